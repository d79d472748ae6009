"""P5: no plan is better than ours, says a general solver that knows nothing of water-filling."""

from __future__ import annotations

import numpy as np
import pytest

from mixing.inventory.cells import Cells
from mixing.plan import PlanConfig, plan
from tests.mixing.plan.solver import Problem, divergence_problem, effective_problem

pytest.importorskip("scipy")

CLOSE = 1e-7  # of the objective: nats


def small_cells(r: np.random.Generator, n: int, sources: int, categories: int) -> Cells:
    places = np.sort(r.choice(sources * categories * 5, n, replace=False))
    source, rest = np.divmod(places, categories * 5)
    category, bucket = np.divmod(rest, 5)
    tokens = r.lognormal(15, 1, n).astype(np.int64)
    return Cells(
        tuple(f"s{i}" for i in source), tuple(f"c{i}" for i in category), bucket.astype(np.int8), tokens,
        np.full(n, 1000), (bucket - 2) / 2 + r.normal(0, 0.5, n), tokens // 1000,
    )  # fmt: skip


def starts(problem: Problem, r: np.random.Generator) -> list[np.ndarray]:
    """Places that owe nothing to our answer: in proportion to the caps, and random ones."""
    tops = problem.top / problem.top.sum()
    return [tops, r.dirichlet(np.ones(len(tops)))]


def compare(problem: Problem, ours: np.ndarray, r: np.random.Generator, close: float) -> bool:
    """Assert that no start leads the solver below us; True when it comes to our value."""
    assert problem.violation(ours) < 1e-9
    answers = [one for start in starts(problem, r) if (one := problem.solve(start)) is not None]
    if not answers:
        return False
    best = min(problem.value(one) for one in answers)
    mine = problem.value(ours)
    assert mine <= best + close, (mine, best)
    return best <= mine + 1e-5


def test_with_caps_and_floors() -> None:
    agreed = 0
    for seed in range(200):
        r = np.random.default_rng([seed, 2])
        cells = small_cells(r, int(r.integers(3, 13)), 3, 4)
        config = PlanConfig(kl=float(r.choice([0.1, 0.5, 1.5])), floors=float(r.uniform(0.3, 1)), fold=False)
        made = plan(cells, r.uniform(0.2, 0.95) * float((made_caps(cells) * cells.tokens).sum()), config)
        agreed += compare(divergence_problem(cells, made), made.x / made.planned, r, CLOSE)
    assert agreed >= 150, agreed


def test_with_caps_floors_and_ceilings_of_overlapping_groups() -> None:
    agreed = both = 0
    for seed in range(60):
        r = np.random.default_rng([seed, 3])
        cells = small_cells(r, int(r.integers(8, 19)), 3, 4)
        shares = {name: float(r.uniform(0.15, 0.5)) for name in sorted(set(cells.source))[:-1]}
        config = PlanConfig(
            kl=float(r.choice([0.5, 1.5])), floors=float(r.uniform(0.5, 0.98)), ceilings=shares,
            on_deficit="shrink", fold=False,
        )  # fmt: skip
        made = plan(cells, r.uniform(0.1, 0.7) * float((made_caps(cells) * cells.tokens).sum()), config)
        binding = [any(one.binds for one in side.values()) for side in (made.floors, made.ceilings)]
        both += all(binding)
        agreed += compare(divergence_problem(cells, made), made.x / made.planned, r, CLOSE)
    assert agreed >= 40, agreed
    assert both >= 15, both


def test_soft_caps() -> None:
    agreed = 0
    for seed in range(100):
        r = np.random.default_rng([seed, 4])
        cells = small_cells(r, int(r.integers(3, 11)), 3, 3)
        config = PlanConfig(
            kl=float(r.choice([0.05, 0.5])), floors=float(r.uniform(0, 0.8)), soft_caps=True, fold=False,
            caps=(3.0, 3.0, 4.0, 6.0, 6.0) if seed % 2 else None,
        )  # fmt: skip
        made = plan(cells, r.uniform(0.3, 2.5) * float(cells.tokens.sum()), config)
        agreed += compare(effective_problem(cells, made, config), made.x / made.planned, r, 1e-6)
    assert agreed >= 60, agreed


def made_caps(cells: Cells) -> np.ndarray:
    return np.array([2, 2, 3, 4, 4.0])[np.asarray(cells.bucket, int)]
