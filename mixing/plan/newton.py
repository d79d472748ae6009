"""Projected Newton on the dual of the projection, for constraints that overlap.

Columns are (cell, phase) pairs; without phases a column is a cell.  The dual is, over multipliers t,
    Σ_cells φ(z) − t·target,   z = log q + t·matrix,   x = e^z · min(1, limit / Σ_phases e^z),
φ = Σ e^z below the cell's limit and limit·(1 + log(Σ e^z / limit)) above it: convex, once
differentiable, ∂φ/∂z = x.  Its gradient is what the constraints miss, so where it vanishes (or points
out of t ≥ 0) is the optimum.  Source: the KKT conditions of `groups`; Bertsekas 1982 for the projection.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixing.plan.waterfill import Array

STEPS = 200
LONGEST = 5.0  # of a step, in nats
ENOUGH = 1e-12  # what a constraint misses, in parts of itself, where the search ends
RIDGE = 1e-10  # of the scaled Hessian: a level that no free cell feels


@dataclass(frozen=True, eq=False)
class Dual:
    """log_q: float64[columns]; cell: int64[columns]; log_limit: float64[cells], inf allowed;
    matrix: float64[constraints, columns], +1 for a total and a floor, −1 for a ceiling;
    target: float64[constraints], totals, floors, minus ceilings; free: how many totals stand first."""

    log_q: Array
    cell: NDArray[np.int64]
    log_limit: Array
    matrix: Array
    target: Array
    free: int = 1

    def _z(self, t: Array) -> tuple[Array, Array, Array]:
        """(z, log Σ e^z of each cell, log of what a column keeps under its cell's limit)."""
        z = self.log_q + t @ self.matrix
        top = np.full(len(self.log_limit), -np.inf)
        np.maximum.at(top, self.cell, z)
        whole = np.bincount(self.cell, weights=np.exp(z - top[self.cell]), minlength=len(top))
        log_whole = top + np.log(np.maximum(whole, 1e-300))
        return z, log_whole, np.minimum(0.0, self.log_limit - log_whole)[self.cell]

    def value(self, t: Array) -> float:
        """The dual function, to be minimised."""
        _, log_whole, _ = self._z(t)
        held = np.minimum(log_whole, self.log_limit)
        beyond = np.where(log_whole > self.log_limit, log_whole - held, 0.0)
        return float((np.exp(held) * (1 + beyond)).sum() - t @ self.target)

    def x(self, t: Array) -> Array:
        """The columns' tokens at these multipliers."""
        z, _, kept = self._z(t)
        found: Array = np.exp(z + kept)
        return found

    def minimise(self, t: Array) -> Array:
        """From t on to the minimum; the multipliers of totals are free in sign, the others ≥ 0."""
        value = self.value(t)
        for _ in range(STEPS):
            x = self.x(t)
            slope = self.matrix @ x - self.target
            held = self._held(t, slope)
            if self._missed(t) <= ENOUGH:
                break
            step = self._newton(t, x, slope, ~held)
            size, better = 1.0, False
            while size > 1e-10 and not better:
                there = t + size * step
                there[self.free :] = np.maximum(there[self.free :], 0)
                moved = self.value(there)
                better = moved < value + 1e-4 * float(slope @ (there - t))
                size /= 2
            if not better:  # the value no longer tells; the gradient, which is finer, may
                there = t + step
                there[self.free :] = np.maximum(there[self.free :], 0)
                if self._missed(there) >= 0.5 * self._missed(t):
                    break
                moved = self.value(there)
            t, value = there, moved
        return t

    def _held(self, t: Array, slope: Array) -> NDArray[np.bool_]:
        held = (t <= 0) & (slope > 0)
        held[: self.free] = False
        return held

    def _missed(self, t: Array) -> float:
        slope = self.matrix @ self.x(t) - self.target
        relative = np.abs(slope) / np.maximum(np.abs(self.target), np.finfo(np.float64).tiny)
        return float(relative[~self._held(t, slope)].max())

    def _newton(self, t: Array, x: Array, slope: Array, free: NDArray[np.bool_]) -> Array:
        part = self.matrix[free]
        curve = (part * x) @ part.T
        full = np.flatnonzero(self._z(t)[1] > self.log_limit)  # cells at their limit: phases share it
        if len(full):
            number = np.full(len(self.log_limit), -1)
            number[full] = np.arange(len(full))
            mine = np.flatnonzero(number[self.cell] >= 0)
            shared = np.zeros((len(full), len(part)))
            np.add.at(shared, number[self.cell[mine]], (part[:, mine] * x[mine]).T)
            curve -= shared.T @ (shared / np.exp(self.log_limit[full])[:, None])
        scale = np.sqrt(np.maximum(part**2 @ x, np.finfo(np.float64).tiny))  # groups differ by many decades
        curve /= scale[:, None] * scale
        curve[np.diag_indices_from(curve)] += RIDGE
        step = np.zeros(len(t))
        step[free] = -np.linalg.solve(curve, slope[free] / scale) / scale
        cut = np.clip(step, -LONGEST, LONGEST)  # each for itself: a flat direction must not hold up the others
        if float(cut @ slope) < 0:
            return cut
        return step * (LONGEST / float(np.abs(step).max()))
