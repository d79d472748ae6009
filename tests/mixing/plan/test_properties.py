"""Promises of every plan, on 10,000 random ones: P1–P4, P6, P13, P14 of the design, and folding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from curation.pipeline.errors import UsageError
from mixing.inventory.cells import Cells
from mixing.plan import Infeasible, Plan, PlanConfig, plan
from mixing.plan.tilt import divergence
from tests.mixing.plan.random_plans import random_cells, random_config

PLANS = 10_000


def instance(seed: int, **given: object) -> tuple[Cells, PlanConfig, float]:
    r = np.random.default_rng([seed, 1])
    cells = random_cells(r, int(r.integers(2, 31)), int(r.integers(1, 5)), int(r.integers(1, 7)))
    config = random_config(r, cells, **given)
    return cells, config, float(cells.tokens.sum() * np.exp(r.uniform(np.log(1e-3), np.log(8))))


def check(cells: Cells, config: PlanConfig, budget: float, made: Plan) -> None:
    x = made.x
    assert x.sum() + made.deficit == pytest.approx(budget, rel=1e-9)  # P1
    assert (x >= 0).all()
    assert (x <= made.cap * np.maximum(cells.tokens, 1e-300) * (1 + 1e-9)).all()  # P2
    assert (x[cells.tokens == 0] == 0).all()
    for name, bound in made.floors.items():  # P3
        got = x[np.array(cells.category) == name].sum()
        assert got >= bound.held * (1 - 1e-9) - 1e-9
        assert bound.asked == pytest.approx(bound.held + bound.deficit)
    assert made.kl <= (config.kl if config.preset == "tilted" else 0) + 1e-9  # P4
    with np.errstate(divide="ignore"):
        assert divergence(np.log(made.q), np.log(made.prior)) == pytest.approx(made.kl, abs=1e-9)
    explicit = not isinstance(config.floors, float)
    if not explicit:  # P14: nothing without a cap or a weight (a floor by name may need the weightless)
        assert (x[(made.q == 0) & (made.prior == 0)] == 0).all()
    assert (x[made.cap == 0] == 0).all()
    if made.policy is None:
        assert made.shortage is None and (made.cap_multiplier, made.cap_level) == (1, None)
    elif made.policy == "shrink":
        assert made.planned == pytest.approx(made.shortage.largest_budget, rel=1e-9)


def test_ten_thousand_random_plans_keep_budget_caps_floors_and_divergence() -> None:
    planned, short = 0, 0
    for seed in range(PLANS):
        cells, config, budget = instance(seed)
        made = plan(cells, budget, config)
        check(cells, config, budget, made)
        planned, short = planned + 1, short + (made.policy is not None)
    assert planned == PLANS
    assert short > PLANS // 20  # the policies are really tried


def test_a_larger_budget_never_takes_less_of_a_cell() -> None:  # P6
    for seed in range(400):
        cells, config, budget = instance(seed, fold=False, on_deficit="shrink")
        first, second = plan(cells, budget, config), plan(cells, 1.3 * budget, config)
        assert (second.x >= first.x * (1 - 1e-9) - 1e-9).all(), seed


def test_doubling_all_cells_and_the_budget_changes_no_share() -> None:  # P13
    for seed in range(400):
        cells, config, budget = instance(seed)
        twice = replace(cells, tokens=2 * cells.tokens, natural=2 * cells.natural, longest=2 * cells.longest)
        first, second = plan(cells, budget, config), plan(twice, 2 * budget, config)
        np.testing.assert_allclose(second.x, 2 * first.x, rtol=1e-9, atol=1e-9 * budget)


def test_folding_moves_tokens_within_a_category_and_loses_none() -> None:
    folded = 0
    for seed in range(400):
        cells, config, budget = instance(seed)
        budget = min(budget, 3.0 * float(cells.tokens[cells.tokens > 0].min()))
        config = replace(config, on_deficit="shrink")
        made, plain = plan(cells, budget, config), plan(cells, budget, replace(config, fold=False))
        names, group = np.unique(np.array(cells.category), return_inverse=True)
        sums = [np.bincount(group, weights=one.x, minlength=len(names)) for one in (made, plain)]
        np.testing.assert_allclose(*sums, rtol=1e-9, atol=1e-9)
        assert (made.x <= made.cap * np.maximum(cells.tokens, 1e-300) * (1 + 1e-9)).all()
        for one in made.folded:
            assert made.x[one.cell] == 0 and plain.x[one.cell] == pytest.approx(one.tokens)
            assert one.tokens < cells.tokens[one.cell] / cells.documents[one.cell] / 2
        small = (made.x > 0) & (made.x < 0.5 * cells.tokens / np.maximum(cells.documents, 1) * (1 - 1e-9))
        assert not small.any() or any("half a document" in line for line in made.warnings)
        folded += len(made.folded)
    assert folded > 400


def test_ceilings_and_floors_hold_together() -> None:
    bound = 0
    for seed in range(600):
        cells, config, budget = instance(seed, soft_caps=False)
        r = np.random.default_rng([seed, 5])
        names, group = np.unique(np.array(cells.source), return_inverse=True)
        share = np.bincount(group, weights=cells.tokens) / cells.tokens.sum()
        tops = {str(name): float(min(1, share[i] * r.uniform(0.2, 2))) for i, name in enumerate(names[:-1])}
        config = replace(config, ceilings=tops, on_deficit="shrink")
        try:
            made = plan(cells, budget, config)
        except UsageError as error:  # what is left without the ceilings' sources may be nothing
            assert isinstance(error, Infeasible) or "not one token" in str(error)
            continue
        check(cells, config, budget, made)
        for name, top in made.ceilings.items():
            assert top.held == pytest.approx(tops[name] * made.planned, rel=1e-8)
            assert made.x[np.array(cells.source) == name].sum() <= top.held * (1 + 1e-9)
            bound += top.binds
    assert bound > 200


def test_a_plan_is_a_pure_function() -> None:
    cells, config, budget = instance(7)
    assert plan(cells, budget, config).to_json(cells) == plan(cells, budget, config).to_json(cells)


def test_error_raises_with_the_exact_numbers() -> None:
    seen = 0
    for seed in range(300):
        cells, config, budget = instance(seed, on_deficit="error")
        try:
            plan(cells, budget, config)
        except Infeasible as error:
            shortage, seen = error.shortage, seen + 1
            assert shortage.deficit == pytest.approx(budget - shortage.largest_budget)
            at = plan(cells, shortage.largest_budget, config)  # the largest budget is feasible …
            assert at.policy is None
            with pytest.raises(Infeasible):  # … and the next is not
                plan(cells, shortage.largest_budget * (1 + 1e-6), config)
    assert seen > 30


if __name__ == "__main__":
    import time

    for name, test in list(globals().items()):
        if name.startswith("test_"):
            start = time.process_time()
            test()
            print(name, time.process_time() - start)
