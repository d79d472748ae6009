"""Scores and choice: float32 logits, softmax over all experts, the k best, weights renormalised to 1.

The order of MiniMax and Mixtral (softmax, then top-k), which equals a softmax over the k best logits alone; it is kept
because the balance loss needs all probabilities anyway.  Reference, proxy model §3 and §7.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def router_logits(x: Tensor, weight: Tensor) -> Tensor:
    """x [T, d], weight [E, d] → float32 [T, E] (float64 for float64 x), under autocast too."""
    wide = torch.float64 if x.dtype == torch.float64 else torch.float32
    with torch.autocast(x.device.type, enabled=False):
        return F.linear(x.to(wide), weight.to(wide))


def choose(probabilities: Tensor, k: int, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """probabilities [T, E] → experts int64 [T, k] best first, weights [T, k] that sum to 1.

    `bias` [E] shifts the choice, not the weights (loss-free balancing, Wang et al. 2024, arXiv 2408.15664).
    """
    shifted = probabilities.detach() if bias is None else probabilities.detach() + bias
    experts = shifted.topk(k, dim=-1).indices
    chosen = probabilities.gather(-1, experts)
    return experts, chosen / chosen.sum(-1, keepdim=True)
