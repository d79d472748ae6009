"""Is the mix planner fast, and is it right?  Time at 1,000 cells; distance to scipy's solver; promises kept.

    python benchmarks/mix_plan.py [--plans 10000] [--instances 200]

Time is CPU time of one thread, best and median of 20.  The solver is SLSQP from two starting points that
owe nothing to our answer (`tests/mixing/plan/solver.py`): where it succeeds, its value and ours.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.results import write_result
from mixing.inventory.cells import Cells
from mixing.plan import Phase, PlanConfig, plan, plan_phases
from tests.mixing.plan.random_plans import random_cells
from tests.mixing.plan.solver import Problem, divergence_problem, effective_problem
from tests.mixing.plan.test_optimality import made_caps, small_cells, starts
from tests.mixing.plan.test_properties import check, instance

CELLS = 1_000


def corpus(n: int, seed: int = 0) -> Cells:
    """n cells of 10 sources and 24 categories, sizes over nine decades."""
    return random_cells(np.random.default_rng(seed), n, 10, 24)


def milliseconds(work: Callable[[], object], times: int = 20) -> dict[str, float]:
    """CPU time of one call: best and median."""
    work()
    taken = []
    for _ in range(times):
        start = time.process_time()
        work()
        taken.append(1e3 * (time.process_time() - start))
    return {"best_ms": round(min(taken), 2), "median_ms": round(statistics.median(taken), 2)}


def speed() -> dict[str, Any]:
    """Each kind of plan at 1,000 cells."""
    cells = corpus(CELLS)
    whole = float(cells.tokens.sum())
    sources = sorted(set(cells.source))
    share = {name: float(cells.tokens[np.array(cells.source) == name].sum()) / whole for name in sources}
    ceilings = {name: min(1.0, 0.7 * share[name]) for name in sources[: len(sources) // 2]}
    kinds = {
        "tilted, caps and floors": (0.5, PlanConfig()),
        "caps bind": (1.8, PlanConfig(on_deficit="shrink")),
        "floors and ceilings overlap": (0.5, PlanConfig(kl=1.0, floors=0.95, ceilings=ceilings, on_deficit="shrink")),
        "infeasible, relax_caps": (6.0, PlanConfig(on_deficit="relax_caps")),
        "infeasible, relax_low_first": (6.0, PlanConfig(on_deficit="relax_low_first")),
        "soft caps": (1.0, PlanConfig(soft_caps=True)),
    }
    found: dict[str, Any] = {
        name: milliseconds(lambda part=part, config=config: plan(cells, part * whole, config))
        for name, (part, config) in kinds.items()
    }
    phases = [Phase(str(k), 0.5 * whole, PlanConfig(kl=0.2 * (k + 1))) for k in range(3)]
    found["three phases"] = milliseconds(lambda: plan_phases(cells, phases), 5)
    return {"cells": len(cells), "plans": found}


def optimality(instances: int) -> dict[str, Any]:
    """Value of our plan against the solver's, in nats (soft caps: value per token of the budget)."""
    return {
        "caps and floors": _compared(instances, 2, _with_floors),
        "caps, floors and ceilings": _compared(instances, 3, _with_ceilings),
        "soft caps": _compared(instances, 4, _soft),
    }


Made = tuple[Problem, np.ndarray]


def _compared(instances: int, kind: int, make: Callable[[np.random.Generator], Made]) -> dict[str, Any]:
    above, violations, failed = [], [], 0
    for seed in range(instances):
        r = np.random.default_rng([seed, kind])
        problem, ours = make(r)
        violations.append(problem.violation(ours))
        answers = [one for start in starts(problem, r) if (one := problem.solve(start)) is not None]
        if answers:
            above.append(problem.value(ours) - min(problem.value(one) for one in answers))
        else:
            failed += 1
    return {
        "instances": instances,
        "solver_gave_up": failed,
        "compared": len(above),
        "agree_within_1e-5": int(sum(abs(one) <= 1e-5 for one in above)),
        "ours_worse_by_at_most": float(max(above)),
        "solver_worse_by_at_most": float(-min(above)),
        "largest_violation_of_ours": float(max(violations)),
    }


def _budget(r: np.random.Generator, cells: Cells, low: float, high: float) -> float:
    return float(r.uniform(low, high) * (made_caps(cells) * cells.tokens).sum())


def _with_floors(r: np.random.Generator) -> Made:
    cells = small_cells(r, int(r.integers(3, 13)), 3, 4)
    config = PlanConfig(kl=float(r.choice([0.1, 0.5, 1.5])), floors=float(r.uniform(0.3, 1)), fold=False)
    made = plan(cells, _budget(r, cells, 0.2, 0.95), config)
    return divergence_problem(cells, made), made.x / made.planned


def _with_ceilings(r: np.random.Generator) -> Made:
    cells = small_cells(r, int(r.integers(8, 19)), 3, 4)
    shares = {name: float(r.uniform(0.15, 0.5)) for name in sorted(set(cells.source))[:-1]}
    kl, floors = float(r.choice([0.5, 1.5])), float(r.uniform(0.5, 0.98))
    config = PlanConfig(kl=kl, floors=floors, ceilings=shares, on_deficit="shrink", fold=False)
    made = plan(cells, _budget(r, cells, 0.1, 0.7), config)
    return divergence_problem(cells, made), made.x / made.planned


def _soft(r: np.random.Generator) -> Made:
    cells = small_cells(r, int(r.integers(3, 11)), 3, 3)
    config = PlanConfig(kl=float(r.choice([0.05, 0.5])), floors=float(r.uniform(0, 0.8)), soft_caps=True, fold=False)
    made = plan(cells, float(r.uniform(0.3, 2.5) * cells.tokens.sum()), config)
    return effective_problem(cells, made, config), made.x / made.planned


def promises(plans: int) -> dict[str, Any]:
    """Random plans of all presets that keep budget, caps, floors and divergence; raises on the first that does not."""
    start = time.process_time()
    for seed in range(plans):
        cells, config, budget = instance(seed)
        check(cells, config, budget, plan(cells, budget, config))
    return {"random_plans": plans, "broken": 0, "cpu_seconds": round(time.process_time() - start, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plans", type=int, default=10_000)
    parser.add_argument("--instances", type=int, default=200)
    options = parser.parse_args()
    results = {"speed": speed(), "optimality": optimality(options.instances), "promises": promises(options.plans)}
    print(results)
    write_result("mix_plan", results)


if __name__ == "__main__":
    main()
