"""Phases share the caps: together they are one plan."""

from __future__ import annotations

import numpy as np
import pytest

from curation.pipeline.errors import UsageError
from mixing.plan import Phase, PlanConfig, plan, plan_phases
from tests.mixing.plan.random_plans import random_cells
from tests.mixing.plan.some_cells import corpus


def test_phases_with_one_mix_are_slices_of_one_plan() -> None:
    config = PlanConfig(fold=False)
    whole = plan(corpus(), 2_000_000, config)
    first, second = plan_phases(corpus(), [Phase("a", 500_000, config), Phase("b", 1_500_000, config)])
    np.testing.assert_allclose(first.x, whole.x / 4, rtol=1e-6)
    np.testing.assert_allclose(second.x, whole.x * 0.75, rtol=1e-6)


def test_no_cell_is_above_its_cap_over_all_phases_and_every_budget_is_met() -> None:
    full = 0
    for seed in range(60):
        r = np.random.default_rng([seed, 9])
        cells = random_cells(r, int(r.integers(4, 40)), 3, 5)
        caps = np.where(np.asarray(cells.bucket) < 0, 2, np.array([2, 2, 3, 4, 4])[np.maximum(cells.bucket, 0)])
        budgets = r.dirichlet(np.ones(3)) * r.uniform(0.1, 0.99) * float((caps * cells.tokens).sum())
        settings = [PlanConfig(kl=float(r.uniform(0, 2)), tau=float(r.random()), floors=0.4) for _ in budgets]
        phases = [Phase(f"p{k}", float(b), c) for k, (b, c) in enumerate(zip(budgets, settings, strict=True))]
        made = plan_phases(cells, phases)
        whole = sum(one.x for one in made)
        assert (whole <= caps * cells.tokens * (1 + 1e-8)).all()
        full += bool((whole >= caps * np.maximum(cells.tokens, 1) * (1 - 1e-6)).any())
        for one, phase in zip(made, phases, strict=True):
            assert one.x.sum() == pytest.approx(phase.budget, rel=1e-8)
            for bound in one.floors.values():
                assert bound.planned >= bound.held * (1 - 1e-6) - 1e-8 * phase.budget
    assert full > 20  # the shared caps really bind


def test_phases_that_ask_too_much_together_are_refused_with_numbers() -> None:
    config = PlanConfig()
    with pytest.raises(UsageError, match="1,000,000 short"):
        plan_phases(corpus(), [Phase("a", 2_000_000, config), Phase("b", 2_000_000, config)])


def test_phases_must_share_the_caps() -> None:
    with pytest.raises(UsageError, match="other caps"):
        plan_phases(corpus(), [Phase("a", 1, PlanConfig()), Phase("b", 1, PlanConfig(caps=(1.0,) * 5))])
