"""Power, smallest effects, cheapest plans, the paper's sizing, looks and the registry."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from curation.pipeline.errors import UsageError
from proxy_model.experiment.statistics.components import Components
from proxy_model.experiment.statistics.naive import paired_items
from proxy_model.experiment.statistics.plan import Costs, Goal, cheapest_of, cost, plan
from proxy_model.experiment.statistics.power import Sampling, paper_sizing, run_mde, with_units
from proxy_model.experiment.statistics.registry_prior import Noise, NoiseKey, Prior, Registry, fit_prior
from proxy_model.experiment.statistics.sequential import bounds, conditional_power, e_value, null_paths, spent_by
from proxy_model.experiment.statistics.simulate import Suite, Truth, drawn_moments

ONE = np.ones(1)
RUNS_ONLY = Components(ONE, ONE * 1e12, 1.0, ONE * 0, ONE * 0)  # σ_seed = 1
REAL = Components(
    np.array([0.4, 0.6]), np.array([1000.0, 3000.0]), 2.5e-5, np.array([0.03, 0.02]), np.array([0.006, 0.006])
)
LOOKS = tuple((k, k) for k in (2, 3, 4, 5, 6, 8))


def test_without_item_noise_power_is_the_noncentral_t() -> None:
    power = pytest.importorskip("statsmodels.stats.power").TTestIndPower()
    for a, b in ((2, 2), (3, 3), (5, 2), (8, 8)):
        for effect in (0.0, 1.0, 2.5):
            expected = power.power(effect, a, 0.05, ratio=b / a, alternative="larger")
            assert Sampling(RUNS_ONLY, (a, b)).power(effect) == pytest.approx(expected, abs=1e-3)
            nct = stats.nct.sf(stats.t.isf(0.05, a + b - 2), a + b - 2, effect / np.sqrt(1 / a + 1 / b))
            assert Sampling(RUNS_ONLY, (a, b)).power(effect) == pytest.approx(nct, abs=1e-3)


def test_smallest_detectable_effects_of_the_reference_table() -> None:
    own = {2: 3.98, 3: 2.48, 4: 2.00, 5: 1.72, 6: 1.54, 8: 1.31, 10: 1.16}
    for k, mde in own.items():
        assert run_mde((k, k)) == pytest.approx(mde, abs=0.011)
    for m, mde in {3: 4.59, 5: 3.33, 8: 2.93, 16: 2.69}.items():
        assert run_mde((m, 1)) == pytest.approx(mde, abs=0.011)
    for runs, mde in {
        (2, 2): 2.67,
        (3, 3): 2.16,
        (5, 5): 1.64,
        (3, 1): 3.09,
        (5, 1): 2.89,
        (4, 2): 2.29,
        (6, 3): 1.84,
    }.items():
        assert run_mde(runs, prior_df=8) == pytest.approx(mde, abs=0.011)


def test_the_papers_sizing_has_these_error_rates() -> None:
    """n = 6.18·(S_d/MDE)²; one run per arm then rejects a true null in 33, 41, 21 % of cases, not 5 %."""
    for ratio, actual in ((1.0, 0.33), (0.5, 0.41), (2.0, 0.21)):
        found = paper_sizing(0.15, 0.005, ratio * 0.005)
        assert found.actual == pytest.approx(actual, abs=0.005)
        assert found.items == pytest.approx(6.1826 * (0.15 / found.mde) ** 2, rel=1e-3)


@pytest.mark.parametrize(("ratio", "actual"), [(1.0, 0.326), (0.5, 0.408), (2.0, 0.208)])
def test_the_papers_error_rates_by_simulating_its_design(ratio: float, actual: float) -> None:
    sigma, spread = 0.005, np.sqrt(2 * 0.1) * 0.45
    n = round(paper_sizing(float(spread), sigma, ratio * sigma).items)
    p = paired_items(drawn_moments(Truth((1, 1), (Suite(n, 0.45, 0.9, 0.0),), sigma), 40_000, 30))
    assert (p <= 0.05).mean() == pytest.approx(actual, abs=0.01)


def test_more_runs_items_and_known_variance_never_lower_the_power() -> None:
    last = 0.0
    for k in (2, 3, 4, 6, 10, 20):
        now = Sampling(REAL, (k, k)).power(0.008)
        assert now >= last
        assert Sampling(REAL, (k, k), prior_df=8).power(0.008) >= now - 1e-6
        assert Sampling(with_units(REAL, 4), (k, k)).power(0.008) >= now - 1e-6
        last = now
    assert Sampling(with_units(REAL, 1e9), (3, 3)).mde() == pytest.approx(run_mde((3, 3)) * 0.005, rel=0.01)


def test_non_inferiority_and_equivalence_cost_what_the_reference_says() -> None:
    """Equal arms for margins 1, 1.5, 2, 3 σ_seed: 14, 7, 4, 3 and 18, 9, 6, 3; the search may find an uneven saving."""
    for margin, non_inferior, equivalent in ((1, 14, 18), (1.5, 7, 9), (2, 4, 6), (3, 3, 3)):
        for kind, k in (("non_inferiority", non_inferior), ("equivalence", equivalent)):
            found = plan(Goal(kind, margin=margin), Costs(), RUNS_ONLY)
            assert 2 * k - 1 <= sum(found.runs) <= 2 * k
            assert found.power >= 0.8


def test_the_cheapest_plan_is_cheapest_and_whole() -> None:
    goal, costs = Goal(effect=0.012), Costs(baseline=1.0, candidate=3.0, existing=2)
    found = plan(goal, costs, REAL)
    assert found.reached
    assert found.power >= 0.8
    for a in range(2, 13):
        for b in range(2, 13):
            if cost((a, b), goal, costs) < found.cost - 1e-9:
                assert Sampling(REAL, (a, b)).power(0.012) < 0.8
    assert found.runs[0] > found.runs[1]  # candidates cost more


def test_a_budget_gives_the_smallest_effect_it_can_show() -> None:
    found = plan(Goal(budget=10), Costs(), RUNS_ONLY)
    assert found.runs == (5, 5)
    assert found.mde == pytest.approx(1.72, abs=0.01)
    assert "detect 1.7" in found.sentence
    short = plan(Goal(effect=1.0, budget=10), Costs(), RUNS_ONLY)
    assert not short.reached
    assert any("budget" in w for w in short.warnings)


def test_scales_are_compared_by_what_was_measured_at_them() -> None:
    noisy = Components(ONE, ONE * 1e12, 9.0, ONE * 0, ONE * 0)
    found = cheapest_of(Goal(effect=1), {"small": (Costs(0.1, 0.1), noisy, 2.0), "1B": (Costs(), RUNS_ONLY, 2.0)})
    assert list(found) == ["small", "1B"]
    assert found["small"].runs > found["1B"].runs
    dead = cheapest_of(Goal(effect=1), {"small": (Costs(0.1, 0.1), noisy, 0.1), "1B": (Costs(), RUNS_ONLY, 2.0)})
    assert list(dead) == ["1B", "small"]
    assert not dead["small"].reached


@pytest.mark.parametrize(
    ("goal", "words"),
    [
        (Goal(), "effect"),
        (Goal("equivalence"), "margin"),
        (Goal(effect=-1.0), "above 0"),
        (Goal(effect=1.0, budget=1.0), "pays no design"),
    ],
)
def test_goals_that_cannot_be_planned_are_refused(goal: Goal, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        plan(goal, Costs(), RUNS_ONLY)


def test_one_run_per_arm_is_never_planned_without_a_registry() -> None:
    assert min(plan(Goal(effect=50.0), Costs(), RUNS_ONLY).runs) == 2
    assert plan(Goal(effect=50.0), Costs(), RUNS_ONLY, Prior(1.0, 8.0, 6)).runs == (1, 1)
    with pytest.raises(UsageError, match="one run per arm"):
        Sampling(RUNS_ONLY, (1, 1)).power(1.0)


def test_boundaries_are_those_of_the_reference_and_reproducible() -> None:
    found = bounds(LOOKS)
    assert found.levels[1:] == pytest.approx((0.0012, 0.0046, 0.0102, 0.0176, 0.0396), rel=0.05)
    assert found.levels[0] == pytest.approx(2 * stats.norm.sf(1.959964 / np.sqrt(0.25)), rel=1e-6)
    assert found == bounds(LOOKS)
    assert found.spent[-1] == pytest.approx(0.05)


@pytest.mark.parametrize("spending", ["obrien-fleming", "pocock"])
@pytest.mark.parametrize(("prior", "looks"), [(0.0, LOOKS), (6.0, LOOKS), (0.0, ((6, 2), (8, 3), (8, 6)))])
def test_looks_together_spend_alpha(spending: str, prior: float, looks: tuple[tuple[int, int], ...]) -> None:
    found = bounds(looks, 0.05, spending, prior)  # type: ignore[arg-type]
    paths = null_paths(looks, prior, 100_000, 77)
    p = stats.t.sf(paths, np.array([a + b - 2 + prior for a, b in looks]))
    assert (p <= np.array(found.levels)).any(1).mean() == pytest.approx(0.05, abs=0.0025)
    if looks is LOOKS and not prior:
        assert (p <= 0.05).any(1).mean() > 0.12  # peeking, the negative control


def test_spending_functions_end_at_alpha_and_grow() -> None:
    f = np.linspace(0.1, 1, 10)
    for spending in ("obrien-fleming", "pocock"):
        spent = spent_by(f, 0.05, spending)  # type: ignore[arg-type]
        assert spent[-1] == pytest.approx(0.05)
        assert (np.diff(spent) > 0).all()


def test_e_values_may_be_looked_at_any_time() -> None:
    paths = null_paths(LOOKS, 0.0, 10_000, 78)
    values = np.stack([e_value(paths[:, j], runs, 2.0) for j, runs in enumerate(LOOKS)], 1)
    assert (values >= 20).any(1).mean() <= 0.05
    assert values[:, 0].mean() == pytest.approx(1, abs=0.05)
    with_effect = null_paths(LOOKS, 0.0, 5000, 79, effect=3.0)
    assert (e_value(with_effect[:, -1], LOOKS[-1], 2.0) >= 20).mean() > 0.95


def test_conditional_power_is_the_share_of_paths_that_end_well() -> None:
    """At half the information with a known variance (many runs)."""
    rng = np.random.default_rng(5)
    first, second = rng.standard_normal((2, 200_000)) + 0.1
    near = np.abs(first - 0.5) < 0.02
    final = (first[near] + second[near]) / 2
    simulated = (final > 1.645 * np.sqrt(0.5)).mean()
    assert conditional_power(0.5, 1.0, 0.5, 0.1, 1.645) == pytest.approx(simulated, abs=0.01)


@pytest.mark.parametrize("looks", [(), ((1, 1), (2, 2)), ((3, 3), (2, 4)), ((3, 3), (3, 3))])
def test_schedules_without_sense_are_refused(looks: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(UsageError, match="look"):
        bounds(looks, replicates=1000)


def test_registry_recovers_the_prior_it_was_drawn_from() -> None:
    rng = np.random.default_rng(6)
    true_df, s0 = 12.0, 4e-6
    s2 = s0 * (true_df / rng.chisquare(true_df, 4000)) * rng.chisquare(4, 4000) / 4
    found = fit_prior(s2.tolist(), [4] * 4000)
    assert found.variance == pytest.approx(s0, rel=0.05)
    assert found.df == pytest.approx(true_df, rel=0.25)


def test_prior_is_capped_and_pools_what_does_not_differ() -> None:
    same = fit_prior([1.0, 1.01, 0.99], [6, 6, 6])
    assert same.df == 6
    assert same.variance == pytest.approx(1.0)
    assert fit_prior([1.0, 1.3, 0.8], [200] * 3).df == 6  # the fit alone says about 40
    single = fit_prior([2.0], [9])
    assert (single.variance, single.df, single.trusted) == (2.0, 2.0, False)
    spread = fit_prior([0.01, 1.0, 100.0, 0.1, 10.0, 3.0], [8] * 6)
    assert spread.df < 2


def test_variances_of_another_scale_are_never_mixed_in() -> None:
    key = NoiseKey("nano", 10**9, "cloze", "norm_prob_byte", "bf16")
    other = NoiseKey("nano", 4 * 10**9, "cloze", "norm_prob_byte", "bf16")
    registry = Registry((Noise(key, 1.0, 4), Noise(key, 1.2, 4), Noise(other, 100.0, 4)))
    found = registry.prior(key)
    assert found is not None
    assert found.variance < 1.3
    assert found.experiments == 2
    assert registry.prior(NoiseKey("nano", 5, "cloze", "acc", "bf16")) is None


@pytest.mark.parametrize(("s2", "df"), [([], []), ([0.0], [3]), ([float("nan")], [3]), ([1.0], [0])])
def test_registry_entries_without_a_variance_are_refused(s2: list[float], df: list[int]) -> None:
    with pytest.raises(UsageError, match="registry"):
        fit_prior(s2, df)
