"""A budget or a bound that cannot be met is told in numbers, and each policy does what it says."""

from __future__ import annotations

import numpy as np
import pytest

from curation.pipeline.errors import UsageError
from mixing.plan import Infeasible, PlanConfig, plan
from mixing.plan.flow import reachable_floors
from tests.mixing.plan.some_cells import cells_of, corpus

CAPACITY = 3_000_000  # 500k at 2 epochs, 500k at 4


def test_the_error_carries_every_number() -> None:
    with pytest.raises(Infeasible) as caught:
        plan(corpus(), 3_600_000, PlanConfig())
    shortage = caught.value.shortage
    assert shortage.largest_budget == pytest.approx(CAPACITY)
    assert shortage.deficit == pytest.approx(600_000)
    assert shortage.multiplier == pytest.approx(1.2)
    assert shortage.level == pytest.approx(3.2)  # 500k · 3.2 + 500k · 4
    assert caught.value.exit_code == 2
    for text in ("3,600,000", "3,000,000", "600,000 short", "1.2", "3.2", "shrink"):
        assert text in str(caught.value)


def test_shrink_plans_what_is_there() -> None:
    made = plan(corpus(), 3_600_000, PlanConfig(on_deficit="shrink"))
    assert (made.planned, made.deficit) == (pytest.approx(CAPACITY), pytest.approx(600_000))
    np.testing.assert_allclose(made.epochs, made.cap)


def test_relax_caps_multiplies_all_caps_by_the_smallest_factor() -> None:
    made = plan(corpus(), 3_600_000, PlanConfig(on_deficit="relax_caps"))
    assert made.cap_multiplier == pytest.approx(1.2)
    assert sorted(set(made.cap.round(9))) == [2.4, 4.8]
    assert made.planned == pytest.approx(3_600_000)


def test_relax_low_first_raises_the_low_caps_and_spares_the_high_ones() -> None:
    made = plan(corpus(), 3_600_000, PlanConfig(on_deficit="relax_low_first"))
    assert made.cap_level == pytest.approx(3.2)
    assert sorted(set(made.cap.round(9))) == [3.2, 4.0]
    assert plan(corpus(), 5e6, PlanConfig(on_deficit="relax_low_first")).cap == pytest.approx(5.0)


def test_a_feasible_budget_needs_no_policy() -> None:
    made = plan(corpus(), CAPACITY, PlanConfig(on_deficit="relax_caps"))
    assert (made.policy, made.shortage, made.cap_multiplier) == (None, None, 1)


def test_a_floor_above_what_is_there_is_lowered_and_reported() -> None:
    rows = [("a", "rare", 4, 1_000, 0.0), ("a", "rest", 4, 100_000, 0.0)]
    made = plan(cells_of(rows), 20_000, PlanConfig(floors={"rare": 0.5}))
    assert made.deficits == {"rare": pytest.approx(6_000)}
    assert made.x[0] == pytest.approx(4_000)
    assert any("6,000 short" in line for line in made.warnings)


def test_floors_and_ceilings_that_compete_are_lowered_together() -> None:
    rows = [("a", "x", 4, 10_000, 0.0), ("a", "y", 4, 10_000, 0.0), ("b", "z", 4, 100_000, 0.0)]
    config = PlanConfig(floors={"x": 0.3, "y": 0.1, "z": 0.1}, ceilings={"a": 0.2}, fold=False)
    made = plan(cells_of(rows), 10_000, config)
    held = {name: bound.held for name, bound in made.floors.items()}
    assert held == {"x": pytest.approx(1_485), "y": pytest.approx(495), "z": pytest.approx(1_000)}  # ½ · 0.99
    assert made.ceilings["a"].planned == pytest.approx(2_000) and made.ceilings["a"].binds


def test_reachable_floors_lower_only_those_that_compete() -> None:
    ceilings = np.array([10.0, np.inf])
    pairs = np.array([[np.inf, np.inf, 0], [4.0, 0, 5.0]])
    np.testing.assert_allclose(reachable_floors(ceilings, pairs, np.array([7.0, 7.0, 5.0])), [7, 7, 5])
    lowered = reachable_floors(ceilings, pairs, np.array([14.0, 14.0, 5.0]))
    np.testing.assert_allclose(lowered, [14 * 0.5 * 0.99, 14 * 0.5 * 0.99, 5])


def test_ceilings_limit_the_largest_budget() -> None:
    rows = [("a", "x", 4, 1_000, 0.0), ("b", "x", 4, 100_000, 0.0)]
    with pytest.raises(Infeasible) as caught:
        plan(cells_of(rows), 50_000, PlanConfig(ceilings={"b": 0.5}))
    assert caught.value.shortage.largest_budget == pytest.approx(8_000)  # 4,000 from a, as much from b
    assert caught.value.shortage.multiplier == pytest.approx(6.25)


def test_a_weight_of_0_is_a_no_that_only_a_floor_by_name_outweighs() -> None:
    rows = [("a", "x", 4, 1_000, 0.0), ("b", "x", 4, 1_000, 0.0), ("a", "y", 4, 100_000, 0.0)]
    weights = {"a": 1.0, "b": 0.0}
    plain = plan(cells_of(rows), 20_000, PlanConfig("fixed", weights=weights, floors=1.0))
    assert plain.x[2] == 0
    named = plan(cells_of(rows), 20_000, PlanConfig("fixed", weights=weights, floors={"x": 0.3}))
    np.testing.assert_allclose(named.x, [4_000, 14_000, 2_000])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ceilings": {"wbe": 0.5}}, "did you mean 'web'?"),
        ({"floors": {"sience": 0.5}}, "did you mean 'science'?"),
        ({"preset": "fixed", "weights": {"web": 0.5, "bocks": 0.5}}, "did you mean 'books'?"),
        ({"preset": "fixed", "weights": {"web": 1.0}}, "no weight for source 'books'"),
        ({"preset": "fixed", "weights": {"web": -0.5, "books": 1.5}}, "weights.web: -0.5"),
        ({"preset": "fixed", "weights": {"web": 3.0, "books": 1.0}}, "weights.web: 3.0"),
        ({"preset": "fixed", "weights": {"web": 0.3, "books": 0.3}}, "did you mean {web: 0.5, books: 0.5}?"),
        ({"preset": "fixed"}, "no weights"),
        ({"weights": {"web": 1.0}}, "weights belong to the preset fixed"),
        ({"preset": "titled"}, "did you mean 'tilted'?"),
        ({"caps": (1.0, 2.0)}, "one for each of the 5 buckets"),
        ({"caps": (-1.0, 2.0, 2.0, 2.0, 2.0)}, "caps: -1.0"),
        ({"caps": (0.0,) * 5}, "not one token may be taken"),
        ({"kl": float("nan")}, "kl: nan"),
        ({"floors": 1.5}, "floors: 1.5"),
        ({"floors": {"science": 0.7, "sport": 0.7}}, "1.4 in sum"),
        ({"ceilings": {"web": 0.5, "books": 0.3}}, "they add to 0.8"),
        ({"soft_caps": True, "ceilings": {"web": 0.5}}, "soft_caps and ceilings"),
    ],
)
def test_bad_settings_are_named_with_a_remedy(given: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        plan(corpus(), 1_000, PlanConfig(**given))  # type: ignore[arg-type]
    assert said in str(caught.value)


@pytest.mark.parametrize("budget", [0, -1, float("nan"), float("inf")])
def test_a_budget_is_a_number_above_0(budget: float) -> None:
    with pytest.raises(UsageError, match="budget"):
        plan(corpus(), budget, PlanConfig())


def test_a_cap_of_0_leaves_a_bucket_out_and_says_so() -> None:
    made = plan(corpus(), 1_000_000, PlanConfig(caps=(0.0, 0.0, 3.0, 4.0, 4.0), on_deficit="relax_low_first"))
    assert (made.x[::2] == 0).all() and (made.x[1::2] > 0).all()
    assert any("their cap is 0" in line for line in made.warnings)
    relaxed = plan(corpus(), 2.5e6, PlanConfig(caps=(0.0, 0.0, 3.0, 4.0, 4.0), on_deficit="relax_low_first"))
    assert (relaxed.x[::2] == 0).all()  # no policy turns a no into a yes


def test_a_source_of_one_document_is_planned_or_folded_never_forgotten() -> None:
    rows = [("a", "x", 4, 1, 0.0), ("b", "x", 4, 1_000_000, 0.0)]
    small = plan(cells_of(rows), 100_000, PlanConfig("proportional"))
    assert [one.cell for one in small.folded] == [0]
    assert small.x.sum() == pytest.approx(100_000)
    assert plan(cells_of(rows), 900_000, PlanConfig("proportional")).x[0] == pytest.approx(0.9, rel=1e-5)
