"""Which category floors can be met at once when sources have ceilings: a maximum flow.

Sources may send up to their ceiling, a (source, category) pair up to what its cells hold, and each
category wants its floor.  All floors can be met together exactly when the maximum flow carries them all
(max-flow min-cut); otherwise the cut names the categories that compete.  Dinic's algorithm.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixing.plan.waterfill import Array

CONFLICT = 0.99  # of what ceilings leave: at 1 the source would have nothing left for other categories
MET = 1e-9  # of a floor: what is missing is rounding
TINY = 1e-15  # of all that is wanted: no flow worth an augmenting path


def reachable_floors(ceilings: Array, pairs: Array, floors: Array) -> Array:
    """The floors that ceilings allow, in the order of `floors`.

    ceilings: float64[sources] tokens, inf allowed; pairs: float64[sources, categories] tokens that the
    cells hold; floors: float64[categories].  Where they cannot be met together, the competing ones are
    multiplied by one common factor, the largest possible, times CONFLICT; then the rest is looked at
    again: the smallest share met is as large as can be.
    """
    floors = floors.copy()
    frozen = np.zeros(len(floors), bool)
    for _ in range(len(floors) + 1):
        factor, tight = 1.0, None
        while True:
            wanted = np.where(frozen, floors, factor * floors)
            missing, cut = _max_flow(ceilings, pairs, wanted)
            if not (missing > MET * wanted).any():
                break
            sent = float(wanted.sum() - missing.sum())
            competing = cut & ~frozen
            if not competing.any():  # rounding among the frozen ones
                break
            # the cut's capacity is fixed: what it lets through for the competing ones, by their sum
            room = sent - wanted[~cut].sum() - floors[cut & frozen].sum()
            lower = max(room, 0.0) / floors[competing].sum()
            if lower >= factor:
                break
            factor, tight = lower, competing
        if tight is None:
            return floors
        floors[tight] *= factor * CONFLICT
        frozen |= tight
    return floors


def sent_together(ceilings: Array, pairs: Array, wanted: Array) -> Array:
    """float64[categories]: a maximum flow's tokens for each of those who want some."""
    demand, _ = _max_flow(ceilings, pairs, wanted)
    return wanted - demand


def _max_flow(ceilings: Array, pairs: Array, wanted: Array) -> tuple[Array, NDArray[np.bool_]]:
    """(tokens still wanted, categories on the sink's side of a minimum cut: those whose wish is cut short)."""
    supply, demand, edge, back = ceilings.copy(), wanted.copy(), pairs.copy(), np.zeros_like(pairs)
    tiny = TINY * max(float(wanted.sum()), 1e-300)
    while True:
        depth_s, depth_c = _depths(supply, edge, back, tiny)
        if not ((depth_c >= 0) & (demand > tiny)).any():
            return demand, depth_c < 0
        for start in np.flatnonzero(supply > tiny):
            while supply[start] > tiny:
                sent = _push(int(start), float(supply[start]), depth_s, depth_c, edge, back, demand, tiny)
                if sent <= tiny:
                    break
                supply[start] -= sent


def _depths(supply: Array, edge: Array, back: Array, tiny: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Steps from the start in the residual network; −1 for what cannot be reached."""
    depth_s = np.where(supply > tiny, 0, -1)
    depth_c = np.full(edge.shape[1], -1)
    step = 0
    while True:
        new_c = (depth_c < 0) & (edge[depth_s == step] > tiny).any(axis=0)
        depth_c[new_c] = step + 1
        new_s = (depth_s < 0) & (back[:, new_c] > tiny).any(axis=1)
        depth_s[new_s] = step + 2
        if not new_s.any():
            return depth_s, depth_c
        step += 2


def _push(
    source: int, most: float, depth_s: NDArray[np.int64], depth_c: NDArray[np.int64],
    edge: Array, back: Array, demand: Array, tiny: float,
) -> float:  # fmt: skip
    """Send up to `most` tokens on along one path of the level graph; a dead end loses its level."""
    for category in np.flatnonzero((edge[source] > tiny) & (depth_c == depth_s[source] + 1)):
        room = min(most, float(edge[source, category]))
        sent = min(room, float(demand[category]))
        if sent > tiny:
            demand[category] -= sent
        else:
            sent = 0.0
            for other in np.flatnonzero((back[:, category] > tiny) & (depth_s == depth_c[category] + 1)):
                giving = min(room, float(back[other, category]))
                sent = _push(int(other), giving, depth_s, depth_c, edge, back, demand, tiny)
                if sent > tiny:
                    back[other, category] -= sent
                    edge[other, category] += sent
                    break
        if sent > tiny:
            edge[source, category] -= sent
            back[source, category] += sent
            return sent
        depth_c[category] = -1
    depth_s[source] = -1
    return 0.0
