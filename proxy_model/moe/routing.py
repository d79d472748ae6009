"""How one batch was routed in one layer: the router's choice, and what the loss and the statistics take from it."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Routing(NamedTuple):
    """A NamedTuple, because torch.compile, checkpointing and FSDP look into those.  No member waits for the device."""

    experts: Tensor  # int64 [T, k], best first
    weights: Tensor  # [T, k] of the chosen experts, sum 1; detached
    probabilities: Tensor  # [T, E] over all experts; detached
    kept: Tensor | None  # bool [T, k]: choices that were computed; None: all
    aux: Tensor  # scalar: balance loss, 1 at balance
    z: Tensor  # scalar: mean squared log-partition of the router
    counts: Tensor  # int64 [E]: choices of this process's real tokens, before any drop
    dropped: Tensor  # int64 scalar: choices of this process's real tokens that found no room
