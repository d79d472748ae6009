"""The default test: its limits are the textbook tests, its symmetries hold, and without a variance it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from proxy_model.experiment.statistics.candidates import adjust, dunnett
from proxy_model.experiment.statistics.components import Layout, Moments, moments
from proxy_model.experiment.statistics.crossed import critical, crossed, tail
from proxy_model.experiment.statistics.naive import paired_items
from proxy_model.experiment.statistics.per_benchmark import holm, per_benchmark
from proxy_model.experiment.statistics.permutation import permutation
from proxy_model.experiment.statistics.simulate import Suite, Truth, drawn_moments, simulate

from .made import TWO


def one(truth: Truth, seed: int = 0) -> tuple[np.ndarray, Layout]:
    return next(simulate(truth, 1, seed))[0].astype(np.float64), truth.layout()


def test_is_the_pooled_t_when_items_are_many() -> None:
    y, layout = one(Truth((3, 4), (Suite(200_000, rho=0.9),), 0.05))
    suite = y.mean(1)
    expected = stats.ttest_ind(suite[3:], suite[:3], alternative="greater").pvalue
    assert float(crossed(moments(y, layout)).p_greater()) == pytest.approx(expected, rel=0.02)


def test_fixed_items_are_exactly_the_pooled_t_and_its_equivalence_test() -> None:
    y, layout = one(Truth((3, 4), TWO, 0.01, effect=0.01))
    suite = y @ layout.weight
    result = crossed(moments(y, layout), items="fixed")
    assert float(result.p_greater()) == pytest.approx(
        stats.ttest_ind(suite[3:], suite[:3], alternative="greater").pvalue, rel=1e-9
    )
    for margin in (0.005, 0.02, 0.08):
        sides = [
            stats.ttest_ind(suite[3:], suite[:3] + shift, alternative=way).pvalue
            for shift, way in ((-margin, "greater"), (margin, "less"))
        ]
        assert float(result.p_equivalent(margin)) == pytest.approx(max(sides), abs=1e-9)
    interval = stats.ttest_ind(suite[3:], suite[:3]).confidence_interval(0.95)
    assert [float(x) for x in result.interval()] == pytest.approx([interval.low, interval.high])


def test_equivalence_agrees_with_statsmodels() -> None:
    weightstats = pytest.importorskip("statsmodels.stats.weightstats")
    y, layout = one(Truth((5, 5), TWO, 0.004), 2)
    suite = y @ layout.weight
    expected = weightstats.ttost_ind(suite[5:], suite[:5], -0.01, 0.01)[0]
    assert float(crossed(moments(y, layout), items="fixed").p_equivalent(0.01)) == pytest.approx(expected, rel=1e-9)


def test_is_the_paired_z_over_items_when_runs_do_not_differ_and_are_many() -> None:
    y, layout = one(Truth((40, 40), (Suite(3000, rho=0.5, arm_share=0.6),), 0.0), 1)
    m = moments(y, layout)
    assert float(crossed(m).p_greater()) == pytest.approx(float(paired_items(m)), abs=0.01)


def test_tail_rule_is_one_rule_for_p_and_for_limits() -> None:
    """p ≤ level exactly where t ≥ critical(level), at every level; df = ν below .025 and at ν < 4."""
    t = np.linspace(-2, 60, 4001)
    for nu, df in ((2.0, 90.0), (3.0, 7.0), (4.0, 11.5), (14.0, 200.0)):
        p = tail(t, np.full(t.shape, df), nu)
        assert (np.diff(p) <= 1e-15).all()
        for level in (0.2, 0.05, 0.0251, 0.024, 0.01, 0.001):
            limit = float(critical(level, np.asarray(df), nu))
            assert ((p <= level) == (t >= limit - 1e-12)).all(), (nu, df, level)
        assert float(critical(0.01, np.asarray(df), nu)) == pytest.approx(stats.t.isf(0.01, nu))
        expected = stats.t.isf(0.05, nu if nu < 4 else df)
        assert float(critical(0.05, np.asarray(df), nu)) == pytest.approx(expected)


def test_swapping_the_arms_flips_the_sign_and_the_p() -> None:
    truth = Truth((3, 3), TWO, 0.01, effect=0.01)
    y, layout = one(truth, 3)
    there, back = crossed(moments(y, layout)), crossed(moments(np.vstack([y[3:], y[:3]]), layout))
    assert float(there.estimate) == pytest.approx(-float(back.estimate))
    assert float(there.p_greater()) == pytest.approx(float(back.p_less()))
    assert float(there.df) == pytest.approx(float(back.df))


def test_order_of_items_and_of_runs_constants_and_scale_do_not_matter() -> None:
    truth = Truth((3, 4), TWO, 0.01, effect=0.01)
    y, layout = one(truth, 4)
    p = float(crossed(moments(y, layout)).p_greater())
    rng = np.random.default_rng(0)
    order = rng.permutation(y.shape[1])
    shuffled = Layout(layout.runs, layout.benchmark[order], layout.weight[order])
    assert float(crossed(moments(y[:, order], shuffled)).p_greater()) == pytest.approx(p, rel=1e-9)
    rows = np.concatenate([rng.permutation(3), 3 + rng.permutation(4)])
    assert float(crossed(moments(y[rows], layout)).p_greater()) == pytest.approx(p, rel=1e-9)
    assert float(crossed(moments(y + 17.0, layout)).p_greater()) == pytest.approx(p, rel=1e-6)
    difficulty = rng.standard_normal(y.shape[1])
    assert float(crossed(moments(y + difficulty, layout)).p_greater()) == pytest.approx(p, rel=1e-6)
    assert float(crossed(moments(y / np.log(2), layout)).p_greater()) == pytest.approx(p, rel=1e-9)


def test_a_third_arm_lends_its_variance_and_nothing_else() -> None:
    y, layout = one(Truth((3, 3), TWO, 0.01), 5)
    rng = np.random.default_rng(1)
    third = rng.standard_normal((4, y.shape[1]))
    m = moments(np.vstack([y, third]), Layout((3, 3, 4), layout.benchmark, layout.weight))
    assert crossed(m).run_df == 7
    assert float(crossed(m).estimate) == pytest.approx(float(crossed(moments(y, layout)).estimate))
    assert np.allclose(m.paired, moments(y, layout).paired)


def test_v_is_never_below_the_run_term_and_df_never_below_nu() -> None:
    m = drawn_moments(Truth((3, 3), (Suite(40, rho=0.3, arm_share=0.0),), 0.0), 2000, 6)
    result = crossed(m)
    assert (result.variance >= result.run_term - 1e-15).all()
    assert (result.df >= 4 - 1e-9).all()
    assert (result.df[result.variance <= result.run_term * (1 + 1e-9)] == 4).all()


def test_permutation_counts_every_assignment() -> None:
    suite = np.array([1.0, 2.0, 3.0, 11.0, 12.0, 13.0])
    found = permutation(suite, 3)
    assert (found.p_greater, found.p_two_sided, found.exact, found.smallest) == (1 / 20, 2 / 20, True, 1 / 20)
    rng = np.random.default_rng(0)
    values = rng.standard_normal(9)
    oracle = stats.permutation_test(
        (values[4:], values[:4]), lambda x, y: x.mean() - y.mean(), n_resamples=np.inf, alternative="greater"
    )
    assert permutation(values, 4).p_greater == pytest.approx(oracle.pvalue)


def test_permutation_draws_where_counting_is_too_long_and_never_gives_zero() -> None:
    suite = np.concatenate([np.arange(12.0), 100 + np.arange(12.0)])
    found = permutation(suite, 12, seed=1)
    assert not found.exact
    assert 0 < found.p_greater < 1e-3
    assert found == permutation(suite, 12, seed=1)


def test_a_benchmark_that_no_run_changes_is_no_finding() -> None:
    """All 0/1 scores alike: V = 0 and D = 0, p = 1 and not nan, which would spoil the others' Holm."""
    y = np.random.default_rng(3).normal(size=(6, 40))
    y[:, :20] = 1.0
    layout = Layout((3, 3), np.repeat([0, 1], 20), np.full(40, 1 / 40))
    found = per_benchmark(moments(y, layout))
    assert found.p[0] == 1 and found.holm[0] == 1 and 0 < found.p[1] <= found.holm[1] <= 1


def test_holm_and_discovery_agree_with_statsmodels() -> None:
    multipletests = pytest.importorskip("statsmodels.stats.multitest").multipletests
    p = np.random.default_rng(2).random((3, 9)) ** 3
    assert np.allclose(holm(p), [multipletests(row, method="holm")[1] for row in p])
    table = adjust([f"m{i}" for i in range(9)], np.zeros(9).tolist(), p[0].tolist())
    assert np.allclose([c.discovery for c in table], multipletests(p[0], method="fdr_bh")[1])
    assert np.allclose([c.holm for c in table], multipletests(p[0], method="holm")[1])


def test_dunnett_is_between_no_correction_and_bonferroni() -> None:
    rng = np.random.default_rng(3)
    base, candidates = rng.standard_normal(6), [rng.standard_normal(3) + d for d in (0.5, 1.5, 2.5)]
    p = dunnett(base, candidates)
    everything = [base, *candidates]
    nu = sum(map(len, everything)) - 4
    s2 = sum(((x - x.mean()) ** 2).sum() for x in everything) / nu
    plain = np.array([stats.t.sf((x.mean() - base.mean()) / np.sqrt(s2 * (1 / 6 + 1 / 3)), nu) for x in candidates])
    assert (p >= plain - 1e-3).all()
    assert (p <= np.minimum(1, 3 * plain) + 1e-3).all()


def test_speed_class_is_linear_in_runs_and_items() -> None:
    """16 runs × 25,000 items use a few copies of the matrix, no runs × runs or items × items array."""
    import tracemalloc

    truth = Truth((8, 8), (Suite(25_000),), 0.005)
    y, layout = one(truth)
    tracemalloc.start()
    m: Moments = moments(y, layout)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert m.paired.shape == (1,)
    assert peak < 6 * y.nbytes
