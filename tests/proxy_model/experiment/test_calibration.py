"""The promises about error rates, each by simulation with an exact binomial band (full grid: docs/ab-statistics.md)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from proxy_model.experiment.statistics.calibrate import calibrate, clopper_pearson, truth_of
from proxy_model.experiment.statistics.components import Components
from proxy_model.experiment.statistics.crossed import crossed
from proxy_model.experiment.statistics.naive import paired_items, pooled_items
from proxy_model.experiment.statistics.per_benchmark import per_benchmark
from proxy_model.experiment.statistics.permutation import permutation
from proxy_model.experiment.statistics.power import Sampling
from proxy_model.experiment.statistics.registry_prior import Prior
from proxy_model.experiment.statistics.simulate import Suite, Truth, drawn_moments, simulate, simulated_moments

REFERENCE = Truth((3, 3), (Suite(10_000, rho=0.95),), 0.005)  # the cell at which naive tests are shown to fail
SIX = tuple(
    Suite(n, 0.46, rho, 0.03, run)
    for n, rho, run in zip(
        (300, 500, 1000, 1200, 1800, 3000), (0.8, 0.85, 0.9, 0.8, 0.9, 0.95), (0.006, 0.004, 0.003) * 2, strict=True
    )
)
UNEQUAL = (0.003, 0.002, 0.005, 0.006, 0.01, 0.035)
DRAWN = 30_000


@pytest.mark.parametrize("runs", [(3, 3), (5, 5), (8, 8), (5, 2), (8, 2), (8, 3)])
@pytest.mark.parametrize("run_sd", [0.0, 0.005, 0.01])
@pytest.mark.parametrize(("items", "rho"), [(300, 0.6), (1000, 0.95), (10_000, 0.8)])
def test_size_at_five_percent(runs: tuple[int, int], run_sd: float, items: int, rho: float) -> None:
    """k ≥ 3 or ν ≥ 4: the true size can be in [.040, .060]; the corner σ_seed = 0 included."""
    found = calibrate(Truth(runs, (Suite(items, rho=rho),), run_sd), DRAWN, 11, item_level=False)
    assert found.rejected.compatible(0.04, 0.06), found
    assert found.covered.compatible(0.935, 0.965), found
    assert found.predicted == pytest.approx(found.rejected.rate, abs=0.01)


@pytest.mark.parametrize("runs", [(2, 2), (3, 2), (3, 1), (4, 1)])
@pytest.mark.parametrize("run_sd", [0.0, 0.005, 0.01])
def test_few_runs_never_exceed_the_level(runs: tuple[int, int], run_sd: float) -> None:
    for rho in (0.6, 0.95):
        found = calibrate(Truth(runs, (Suite(1000, rho=rho),), run_sd), DRAWN, 12, item_level=False)
        assert found.rejected.band[0] <= 0.05, found
        assert found.covered.band[1] >= 0.95, found


@pytest.mark.parametrize(("level", "most"), [(0.01, 0.01), (0.001, 0.001)])
def test_far_levels_are_kept_by_the_tail_rule(level: float, most: float) -> None:
    for runs in ((2, 2), (3, 3), (5, 5)):
        truth = Truth(runs, (Suite(1000, rho=0.8),), 0.005)
        assert calibrate(truth, 200_000, 13, level, item_level=False).rejected.band[0] <= most


@pytest.mark.parametrize("kind", ["binary", "heavy", "clustered"])
def test_size_item_by_item(kind: str) -> None:
    """Accuracy (0/1), heavy tails (t₄ items, a tenth of the runs 5σ low), four items a passage."""
    truth = {
        "binary": Truth((3, 3), (Suite(500, rho=0.9),), 0.01, kind="binary"),
        "heavy": Truth((3, 3), (Suite(500, rho=0.9),), 0.01, kind="heavy"),
        "clustered": Truth((3, 3), (Suite(800, rho=0.9, arm_share=0.2),), 0.003, cluster=4),
    }[kind]
    found = calibrate(truth, 3000, 14)
    assert found.rejected.band[0] <= 0.06, found
    assert kind == "heavy" or found.rejected.band[1] >= 0.04, found


def test_items_of_a_passage_counted_as_independent_would_break_the_test() -> None:
    """Negative control of the cluster unit."""
    truth = Truth((5, 5), (Suite(800, rho=0.95, arm_share=0.5),), 0.0, cluster=8, cluster_share=0.8)
    rates = []
    for clustered in (True, False):
        hits = sum(int((crossed(m).p_greater() <= 0.05).sum()) for m in simulated_moments(truth, 1500, 15, clustered))
        rates.append(hits)
    assert clopper_pearson(rates[0], 1500)[0] <= 0.06
    assert rates[1] / 1500 > 0.12


def test_naive_paired_items_fail_at_the_reference_cell() -> None:
    """If they did not, the simulator would have no bite."""
    assert calibrate(REFERENCE, DRAWN, 16, item_level=False).naive.band[0] > 0.15


def test_naive_pooled_items_are_useless_or_wrong() -> None:
    def rate(truth: Truth) -> float:
        hits = sum(int((pooled_items(y, truth.layout()) <= 0.05).sum()) for y in simulate(truth, 1500, 17))
        return hits / 1500

    assert rate(Truth((3, 3), (Suite(300, rho=0.95),), 0.0)) < 0.005
    assert rate(Truth((3, 3), (Suite(2000, rho=0.6),), 0.03)) > 0.15


@pytest.mark.parametrize("runs", [(2, 2), (3, 3), (5, 5), (8, 4)])
def test_predicted_power_is_the_simulated_power(runs: tuple[int, int]) -> None:
    for effect in (0.005, 0.01, 0.015):
        truth = Truth(runs, SIX, 0.004, effect)
        found = calibrate(truth, DRAWN, 18, item_level=False)
        assert found.predicted == pytest.approx(found.rejected.rate, abs=0.02)


def test_a_plan_can_be_simulated_from_its_components() -> None:
    parts = Components(
        np.array([0.3, 0.7]), np.array([400.0, 900.0]), 2.5e-5, np.array([0.03, 0.02]), np.array([0.0, 0.01])
    )
    truth = truth_of(parts, (4, 3), 0.01)
    back = truth.components()
    assert back.sigma_s2 == pytest.approx(parts.sigma_s2)
    assert back.sigma_e2 == pytest.approx(parts.sigma_e2)
    assert back.tau2 == pytest.approx(parts.tau2)
    found = calibrate(truth, DRAWN, 19, item_level=False)
    assert Sampling(parts, (4, 3)).power(0.01) == pytest.approx(found.rejected.rate, abs=0.015)


@pytest.mark.parametrize("runs", [(2, 2), (3, 2), (3, 3), (5, 5), (8, 8), (8, 2)])
@pytest.mark.parametrize("law", ["alike", "unequal", "one"])
def test_family_error_over_benchmarks(runs: tuple[int, int], law: str) -> None:
    own = {"alike": (0.006, 0.004, 0.003) * 2, "unequal": UNEQUAL, "one": (0.002,) * 5 + (0.05,)}[law]
    suites = tuple(Suite(s.units, s.item_sd, s.rho, 0.03, sd) for s, sd in zip(SIX, own, strict=True))
    found = per_benchmark(drawn_moments(Truth(runs, suites, 0.002), 10_000, 20))
    assert clopper_pearson(int((found.holm.min(-1) <= 0.05).sum()), 10_000)[0] <= 0.05


def test_fixed_items_are_the_pooled_t_and_keep_their_level_over_runs() -> None:
    truth = Truth((3, 3), (Suite(1000, rho=0.95, arm_share=0.0),), 0.005)
    found = calibrate(truth, DRAWN, 21, items="fixed", item_level=False)
    assert found.rejected.compatible(0.05, 0.05), found


def test_permutation_of_runs_keeps_its_level_with_bad_runs() -> None:
    truth = Truth((4, 4), (Suite(50, rho=0.9),), 0.05, kind="heavy", bad_shift=10)
    hits = 0
    for m in simulated_moments(truth, 2000, 22):
        hits += sum(permutation(row, 4).p_greater <= 0.05 for row in m.suite)
    assert clopper_pearson(hits, 2000)[0] <= 0.05


def test_one_candidate_run_with_a_prior_keeps_its_level_where_the_prior_is_true() -> None:
    """σ² drawn as the prior says: ν₀s₀²/χ²_ν₀."""
    rng = np.random.default_rng(23)
    prior = Prior(1e-4, 8.0, 10)
    hits = 0
    for variance in prior.df * prior.variance / rng.chisquare(prior.df, 60):
        truth = Truth((1, 1), (Suite(1000, rho=0.95, arm_share=0.0),), float(np.sqrt(variance)))
        m = drawn_moments(truth, 500, int(rng.integers(1 << 30)))
        hits += int((crossed(m, prior).p_greater() <= 0.05).sum())
    assert hits / 30_000 < 0.06


def test_p_values_are_uniform_under_the_null() -> None:
    p = crossed(drawn_moments(Truth((5, 5), SIX, 0.004), 20_000, 24)).p_greater()
    grid = np.linspace(0.03, 0.97, 50)
    assert np.abs(np.quantile(p, grid) - grid).max() < 0.02


def test_naive_size_is_what_theory_says() -> None:
    """P(Z > 1.645·se/√(se² + 2σ²/k)) for items alone."""
    truth = Truth((1, 1), (Suite(2000, rho=0.9),), 0.01)
    parts = truth.components()
    error = float(parts.tau2[0] + 2 * parts.sigma_e2[0]) / 2000
    theory = stats.norm.sf(stats.norm.isf(0.05) * np.sqrt(error / (error + 2 * 0.01**2)))
    p = paired_items(drawn_moments(truth, DRAWN, 25))
    low, high = clopper_pearson(int((p <= 0.05).sum()), DRAWN)
    assert low <= theory <= high
