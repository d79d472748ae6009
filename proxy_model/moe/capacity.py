"""Which choices an expert has room for, when a capacity is asked for (MiniMax-01's token drop).

Capacity C = ceil(factor · k · tokens / E) over the global batch.  An expert takes its first C choices in the order of
the batch: rank by rank, token by token.  Overflow is discarded and weights are not renormalised: the token keeps its
other expert and its residual.  The paper gives neither factor nor policy (reference, paper §3).  Drops couple
documents of a batch, which is why dropless is the default.
"""

from __future__ import annotations

import torch
from torch import Tensor

from proxy_model.moe.dispatch import plan_dispatch


def capacity(factor: float, k: int, tokens: Tensor, experts: int) -> Tensor:
    """tokens: int64 scalar of the global batch → int64 scalar."""
    return (tokens.double() * (factor * k / experts)).ceil().long()


def within_capacity(choices: Tensor, experts: int, room: Tensor, before: Tensor, real: Tensor | None) -> Tensor:
    """choices int64 [R], room: scalar, before int64 [E]: choices of lower ranks, real bool [R] → kept bool [R]."""
    plan = plan_dispatch(choices, experts, real)
    ends = plan.ends.long()
    starts = torch.cat([ends.new_zeros(1), ends[:-1]])
    place = plan.inverse - starts[choices] + before[choices]
    kept = place < room
    return kept if real is None else kept & real
