"""Projection x = argmin Σ x_i·log(x_i/q_i) on limits, floors of groups and ceilings of other groups.

0 ≤ x ≤ limit, Σ x = total, Σ over a category ≥ its floor, Σ over a source ≤ its ceiling.  The solution
is x_i = min(limit_i, q_i·exp(a + μ_category − ν_source)) with μ, ν ≥ 0, zero where the floor (ceiling)
does not bind.  One family of groups is solved exactly by an active set; both together by ascent of the
dual, first one family after the other, then all at once (`newton`).  Source: quality_mixing §4.2; KKT conditions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixing.plan.newton import Dual
from mixing.plan.waterfill import Array, at_level, log_level

ROUNDS = 20  # of block ascent in all; more than BLOCKS + 2 is rare
BLOCKS = 6  # rounds before Newton's method helps
EXACT = 1e-10  # of a floor: the largest violation left


@dataclass(frozen=True, eq=False)
class Groups:
    """`of`: int64[n], the group of each cell; `bound`: float64[groups], a floor or a ceiling in tokens."""

    of: NDArray[np.int64]
    bound: Array

    def sums(self, x: Array) -> Array:
        """Tokens of each group."""
        found: Array = np.bincount(self.of, weights=x, minlength=len(self.bound)).astype(np.float64)
        return found


def with_floors(log_q: Array, limit: Array, total: float, floors: Groups) -> Array:
    """Levels per group under which every group has its floor and the sum is `total`.

    Groups below their floor are bound at it, the others are filled again: their level only falls, so a
    bound group stays bound, and there are at most as many rounds as groups.
    """
    return _one_family(log_q, limit, total, floors, below=True)


def with_ceilings(log_q: Array, limit: Array, total: float, ceilings: Groups) -> Array:
    """Levels per group under which no group is above its ceiling; the mirror image of `with_floors`."""
    return _one_family(log_q, limit, total, ceilings, below=False)


def _one_family(log_q: Array, limit: Array, total: float, groups: Groups, *, below: bool) -> Array:
    levels = np.empty(len(groups.bound))
    bound = np.zeros(len(groups.bound), bool)
    while True:
        free = ~bound[groups.of]
        level = log_level(log_q[free], limit[free], total - float(groups.bound[bound].sum()))
        sums = groups.sums(np.where(free, at_level(log_q, limit, level), 0.0))
        wrong = (sums < groups.bound) if below else (sums > groups.bound)
        wrong &= ~bound
        levels[~bound] = level
        if not wrong.any():
            return levels
        bound |= wrong
        for group in np.flatnonzero(wrong):
            mine = groups.of == group
            levels[group] = log_level(log_q[mine], limit[mine], float(groups.bound[group]))


def project(log_q: Array, limit: Array, total: float, floors: Groups, ceilings: Groups | None) -> Array:
    """The projection, float64[n].  The constraints must be feasible (`planner` sees to it).

    Dual ascent by blocks: with the sources' multipliers held, the categories' are solved exactly, then
    the other way round.  Where that crawls (floors and ceilings that pull the same cells), Newton's
    method on all multipliers goes on, and one more block step makes sums and ceilings exact.
    """
    levels = with_floors(log_q, limit, total, floors)
    x = at_level(log_q, limit, levels[floors.of])
    if ceilings is None or not (ceilings.sums(x) > ceilings.bound).any():
        return x
    up, down = np.zeros(len(floors.bound)), np.zeros(len(ceilings.bound))
    for round_ in range(ROUNDS):
        up = _relative(with_floors(log_q - down[ceilings.of], limit, total, floors))
        if round_ >= BLOCKS:
            up = _newton(log_q, limit, total, floors, ceilings, up, down)
        tops = with_ceilings(log_q + up[floors.of], limit, total, ceilings)
        x = at_level(log_q + up[floors.of], limit, tops[ceilings.of])
        down = _relative(-tops)
        above = floors.sums(x) - floors.bound  # 0 where the multiplier is not: complementary slackness
        if (np.abs(np.where(up > 0, above, np.minimum(above, 0))) <= EXACT * floors.bound).all():
            break
    return x


def _newton(
    log_q: Array, limit: Array, total: float, floors: Groups, ceilings: Groups, up: Array, down: Array
) -> Array:
    """The categories' multipliers at the dual's minimum, in shares of the total."""
    there = limit > 0
    kept = np.flatnonzero(np.isfinite(ceilings.bound))
    rows = [np.ones(int(there.sum()))]
    rows += [(floors.of[there] == group).astype(np.float64) for group in range(len(floors.bound))]
    rows += [-(ceilings.of[there] == group).astype(np.float64) for group in kept]
    target = np.concatenate([[1.0], floors.bound / total, -ceilings.bound[kept] / total])
    log_limit = np.log(limit[there] / total)
    levels = log_q[there] + up[floors.of[there]] - down[ceilings.of[there]]
    start = log_level(levels, limit[there], total) - float(np.log(total))
    dual = Dual(log_q[there], np.arange(len(log_limit)), log_limit, np.array(rows), target)
    found = dual.minimise(np.concatenate([[start], up, down[kept]]))
    return found[1 : 1 + len(floors.bound)]


def _relative(levels: Array) -> Array:
    """How far each group's level is above the lowest: the free groups' one."""
    finite = levels[np.isfinite(levels)]
    lowest = finite.min() if len(finite) else 0.0
    return np.where(np.isfinite(levels), levels - lowest, 0.0)
