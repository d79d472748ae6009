"""The other processes, as the router sees them: it needs their counts, to balance and to cap over the global batch.

MiniMax-01's "global router" gathers every group's pending counts before dispatch (reference, paper §3); one small
collective a layer serves the capacity, the balance loss and the loss-free bias.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Peers(Protocol):
    """`rank` of `world` processes, each with its own tokens; those of lower ranks come first in the batch."""

    @property
    def rank(self) -> int: ...

    @property
    def world(self) -> int: ...

    def gather(self, counts: Tensor) -> Tensor:
        """int64 [n] of this process → int64 [world, n] of all, without gradient."""


class _Alone:
    rank, world = 0, 1

    def gather(self, counts: Tensor) -> Tensor:
        return counts[None]


ALONE: Peers = _Alone()
