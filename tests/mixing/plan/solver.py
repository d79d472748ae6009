"""The same problems put to scipy's SLSQP, which knows nothing of ours: the yardstick of optimality."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import LinearConstraint, minimize

from mixing.inventory.cells import Cells
from mixing.plan import Plan, PlanConfig
from mixing.plan.waterfill import Array

FEASIBLE = 1e-8  # of the budget


@dataclass(frozen=True, eq=False)
class Problem:
    """minimise `value` over shares p with 0 ≤ p ≤ top, Σ p = 1, least ≤ rows·p ≤ most."""

    value: Callable[[Array], float]
    slope: Callable[[Array], Array]
    top: Array
    rows: Array
    least: Array
    most: Array

    def violation(self, p: Array) -> float:
        sums = self.rows @ p
        return float(
            max(
                abs(p.sum() - 1), (-p).max(), (p - self.top).max(),
                (self.least - sums).max(initial=0), (sums - self.most).max(initial=0),
            )
        )  # fmt: skip

    def solve(self, start: Array) -> Array | None:
        """SLSQP's answer; None when it gives up or breaks a bound."""
        floored, topped = np.isfinite(self.least) & (self.least > 0), np.isfinite(self.most)
        sides = [LinearConstraint(np.ones((1, len(start))), 1, 1)]
        if floored.any():
            sides.append(LinearConstraint(self.rows[floored], self.least[floored], np.inf))
        if topped.any():
            sides.append(LinearConstraint(self.rows[topped], -np.inf, self.most[topped]))
        found = minimize(
            self.value, start, jac=self.slope, method="SLSQP",
            bounds=[(1e-14, float(top)) for top in self.top],
            constraints=sides,
            options={"maxiter": 1_000, "ftol": 1e-13},
        )  # fmt: skip
        return found.x if found.success and self.violation(found.x) < FEASIBLE else None


def _groups(cells: Cells, made: Plan) -> tuple[Array, Array, Array]:
    rows = [np.array(cells.category) == name for name in made.floors]
    rows += [np.array(cells.source) == name for name in made.ceilings]
    least = [one.held for one in made.floors.values()] + [-np.inf] * len(made.ceilings)
    most = [np.inf] * len(made.floors) + [one.held for one in made.ceilings.values()]
    return np.array(rows, float).reshape(len(rows), len(cells)), np.array(least), np.array(most)


def divergence_problem(cells: Cells, made: Plan) -> Problem:
    """min KL(p‖q)."""
    total, (rows, least, most) = made.planned, _groups(cells, made)
    return Problem(
        lambda p: float((p * np.log(np.maximum(p, 1e-300) / made.q)).sum()),
        lambda p: np.log(np.maximum(p, 1e-300) / made.q) + 1,
        np.minimum(made.cap * cells.tokens / total, 1.0), rows, least / total, most / total,
    )  # fmt: skip


def effective_problem(cells: Cells, made: Plan, config: PlanConfig) -> Problem:
    """max Σ v·D′, as a minimum."""
    total, (rows, least, most) = made.planned, _groups(cells, made)
    unique, v, r_star = cells.tokens / total, made.q / made.prior, config.r_star[0]

    def value(p: Array) -> float:
        repeats = np.maximum(p / unique - 1, 0)
        return -float((v * (np.minimum(p, unique) + unique * r_star * -np.expm1(-repeats / r_star))).sum())

    def slope(p: Array) -> Array:
        return -v * np.exp(-np.maximum(p / unique - 1, 0) / r_star)

    top = np.minimum(made.cap * cells.tokens / total, 1.0)
    return Problem(value, slope, top, rows, least / total, most / total)
