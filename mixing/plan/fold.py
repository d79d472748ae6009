"""Cells with less than half a document: their tokens go to others of their category, and they are listed.

The sampler takes whole documents; a cell that may have 3 tokens would get nothing, unseen, and its
category would be short (quality_mixing §4.1: a published planner lost 8 of 200 cells that way).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixing.plan.waterfill import Array, at_level, log_level

HALF = 0.5  # of the cell's mean document


@dataclass(frozen=True)
class Folded:
    """A cell whose tokens went to others."""

    cell: int
    tokens: float


def fold(
    x: Array, limit: Array, mean_document: Array, group: NDArray[np.int64]
) -> tuple[Array, list[Folded], list[int]]:
    """(x with small cells at 0, what was folded, small cells that had to stay).

    group: int64[n], where tokens may move: the category, or category and source when sources have
    ceilings.  The smallest go first, into cells that are not small, each up to its limit, in proportion
    to x; where all of a group are small, they go into the one that is nearest to a document.  What finds
    no room stays where it is.  Sums of groups do not change.
    """
    small = (x > 0) & (x < HALF * mean_document)
    x = x.copy()
    folded: list[Folded] = []
    stayed: list[int] = []
    for one in np.unique(group[small]):
        members = np.flatnonzero(group == one)
        giving = members[small[members]]
        taking = members[~small[members] & (x[members] > 0)]
        if not len(taking):
            with np.errstate(divide="ignore"):
                nearest = giving[np.argmax(np.minimum(limit[giving], x[giving].sum()) / mean_document[giving])]
            taking, giving = np.array([nearest]), giving[giving != nearest]
        giving = giving[np.argsort(x[giving], kind="stable")]
        room = float((limit[taking] - x[taking]).sum())
        fits = np.cumsum(x[giving]) <= room
        stayed += giving[~fits].tolist()
        giving = giving[fits]
        if not len(giving):
            stayed += [] if not small[taking].any() else taking.tolist()
            continue
        moved = float(x[giving].sum())
        whole = float(x[taking].sum()) + moved
        folded += [Folded(int(cell), float(x[cell])) for cell in sorted(giving)]
        log_x = np.log(x[taking])
        level = log_level(log_x, limit[taking], whole)
        x[taking], x[giving] = at_level(log_x, limit[taking], level), 0.0
        stayed += [int(cell) for cell in taking if x[cell] < HALF * mean_document[cell]]
    return x, folded, sorted(stayed)
