"""Metrics: equal to public oracles wherever those are defined, NaN where nothing is, and never fed a NaN."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from quality.analysis import metrics
from quality.analysis.arrays import midranks
from quality.analysis.resampling import resamples

pair = st.integers(1, 60).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 5), min_size=n, max_size=n), st.lists(st.integers(0, 5), min_size=n, max_size=n)
    )
)
few = settings(max_examples=60, deadline=None)


def same(ours: float, theirs: float) -> bool:
    return (math.isnan(ours) and math.isnan(theirs)) or ours == pytest.approx(theirs, abs=1e-9)


@few
@given(pair)
def test_kappas_are_scikit_learns(ab: tuple[list[int], list[int]]) -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    a, b = ab
    if len(set(a) | set(b)) > 1:
        assert same(metrics.qwk(a, b), sklearn.cohen_kappa_score(a, b, weights="quadratic", labels=range(6)))
        assert same(metrics.cohen_kappa(a, b), sklearn.cohen_kappa_score(a, b))
    else:
        assert math.isnan(metrics.qwk(a, b))
        assert math.isnan(metrics.cohen_kappa(a, b))


@pytest.mark.filterwarnings("ignore:invalid value encountered")  # its standard error, of which nothing is used
@few
@given(pair)
def test_kappa_is_statsmodels(ab: tuple[list[int], list[int]]) -> None:
    rater = pytest.importorskip("statsmodels.stats.inter_rater")
    a, b = np.array(ab)
    if len(set(a) | set(b)) > 1:
        table = np.zeros((6, 6))
        np.add.at(table, (a, b), 1)
        assert same(metrics.qwk(a, b), rater.cohens_kappa(table, weights=np.arange(6) ** 2, wt="toeplitz").kappa)


@few
@given(pair)
def test_spearman_is_scipys(ab: tuple[list[int], list[int]]) -> None:
    a, b = ab
    ours = metrics.spearman(a, b)
    if len(set(a)) > 1 and len(set(b)) > 1:
        assert same(ours, stats.spearmanr(a, b).statistic)
        assert same(metrics.pearson(a, b), stats.pearsonr(a, b).statistic)
    else:
        assert math.isnan(ours)


@few
@given(pair)
def test_auroc_is_scikit_learns(ab: tuple[list[int], list[int]]) -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    positive, score = (np.array(ab[0]) > 2).astype(int), ab[1]
    ours = metrics.auroc(positive, score)
    if len(set(positive)) == 2:
        assert same(ours, sklearn.roc_auc_score(positive, score))
    else:
        assert math.isnan(ours)


@few
@given(pair)
def test_f1_is_scikit_learns(ab: tuple[list[int], list[int]]) -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    names = [[f"c{x}" for x in one] for one in ab]
    assert same(metrics.macro_f1(*names), sklearn.f1_score(*names, average="macro", zero_division=0))


@few
@given(st.integers(2, 4), st.integers(1, 30), st.integers(0, 2**32), st.floats(0, 0.9))
def test_alpha_is_the_krippendorff_packages(raters: int, items: int, seed: int, missing: float) -> None:
    krippendorff = pytest.importorskip("krippendorff")
    generator = np.random.default_rng(seed)
    ratings = generator.integers(0, 5, (raters, items)).astype(float)
    ratings[generator.random(ratings.shape) < missing] = np.nan
    pairable = ratings[:, (~np.isnan(ratings)).sum(0) > 1]
    for kind in ("nominal", "ordinal", "interval"):
        ours = metrics.krippendorff_alpha(ratings, kind)  # type: ignore[arg-type]
        if len(np.unique(pairable[~np.isnan(pairable)])) < 2:
            assert math.isnan(ours)
        else:
            theirs = krippendorff.alpha(reliability_data=pairable, level_of_measurement=kind)
            assert same(ours, theirs)


@few
@given(st.lists(st.floats(-5, 5), min_size=5, max_size=60), st.integers(0, 2**32))
def test_variance_share_is_the_r_squared_of_a_regression_on_groups(values: list[float], seed: int) -> None:
    api = pytest.importorskip("statsmodels.api")
    y = np.round(np.array(values), 3)
    groups = np.random.default_rng(seed).integers(0, 3, len(y))
    eta, adjusted = metrics.variance_share(y, groups)
    if np.ptp(y) == 0:
        assert math.isnan(eta)
        return
    fitted = api.OLS(y, (groups[:, None] == np.unique(groups)).astype(float)).fit()
    total = ((y - y.mean()) ** 2).sum()
    assert eta == pytest.approx(1 - fitted.ssr / total, abs=1e-8)
    k = len(np.unique(groups))
    assert adjusted == pytest.approx(1 - (fitted.ssr / (len(y) - k)) / (total / (len(y) - 1)), abs=1e-8)


def ece_reference(p: NDArray[np.float64], y: NDArray[np.float64], bins: int) -> float:
    """Bin by bin: an item belongs to the bin of the mean position of all items with its prediction."""
    ordered = sorted(p.tolist())
    found: dict[int, list[int]] = {}
    for i, one in enumerate(p.tolist()):
        first = ordered.index(one)
        middle = first + (ordered.count(one) - 1) / 2 + 0.5
        found.setdefault(min(int(middle / len(p) * bins), bins - 1), []).append(i)
    return sum(len(m) / len(p) * abs(p[m].mean() - y[m].mean()) for m in found.values())


@few
@given(st.lists(st.sampled_from([0, 0.1, 0.2, 0.25, 0.5, 0.7, 1]), min_size=1, max_size=40), st.integers(0, 2**32))
def test_ece_is_the_sum_over_bins_and_blind_to_order(values: list[float], seed: int) -> None:
    generator = np.random.default_rng(seed)
    p = np.array(values)
    y = generator.integers(0, 2, len(p)).astype(float)
    shuffled = generator.permutation(len(p))
    assert metrics.ece(p, y, 5) == pytest.approx(ece_reference(p, y, 5))
    assert metrics.ece(p[shuffled], y[shuffled], 5) == pytest.approx(metrics.ece(p, y, 5))


def test_bins_have_equal_mass() -> None:
    assert np.bincount(metrics.equal_mass(np.random.default_rng(0).random(150), 15)).tolist() == [10] * 15


def test_a_perfect_predictor_has_an_ece_that_chance_explains_and_a_wrong_one_does_not() -> None:
    generator = np.random.default_rng(1)
    p = generator.random(400)
    y = (generator.random(400) < p).astype(float)
    right = metrics.ece_interval(p, y, seed=3, n=200)
    assert right.value <= right.chance_hi
    assert right.chance > 0.02  # 400 items cannot show an ECE of 0
    wrong = metrics.ece_interval(p**3, y, seed=3, n=200)
    assert wrong.value > 3 * wrong.chance_hi


def test_scores_that_only_know_the_category_have_no_correlation_within_it() -> None:
    generator = np.random.default_rng(5)
    groups = np.repeat(np.array(["a", "b", "c", "rare"]), [60, 60, 60, 5])
    level = np.repeat([0.0, 2, 4, 9], [60, 60, 60, 5])
    truth, sorted_by_group = level + generator.random(185), level + generator.random(185)
    assert metrics.spearman(truth, sorted_by_group) > 0.85
    assert abs(metrics.within_group_spearman(truth, sorted_by_group, groups)) < 0.2
    assert metrics.within_group_spearman(truth, truth, groups) == pytest.approx(1)
    assert metrics.within_group_spearman(truth, level, groups) == 0  # constant within each group: knows nothing


def test_within_group_spearman_is_the_weighted_mean_of_the_groups() -> None:
    generator = np.random.default_rng(6)
    a, b = generator.integers(0, 5, 50), generator.integers(0, 5, 50)
    groups = np.repeat([0, 1], [20, 30])
    each = [stats.spearmanr(a[groups == g], b[groups == g]).statistic for g in (0, 1)]
    assert metrics.within_group_spearman(a, b, groups) == pytest.approx((20 * each[0] + 30 * each[1]) / 50)


def test_nan_infinity_and_unequal_lengths_are_refused() -> None:
    for fn in (metrics.qwk, metrics.spearman, metrics.pearson, metrics.within_one, metrics.auroc, metrics.ece):
        for bad in ([0.0, math.nan], [math.inf, 1.0], [0.0], [[0.0, 1.0]]):
            with pytest.raises(ValueError, match=r"NaN|lengths|dimension"):
                fn([0.0, 1.0], bad)
        with pytest.raises(ValueError, match="no items"):
            fn([], [])
    for fn in (metrics.cohen_kappa, metrics.macro_f1):
        for bad in (["a", None], [1.0, math.nan], ["a"]):
            with pytest.raises(ValueError):
                fn(np.array(["a", "b"], object) if bad != [1.0, math.nan] else [1.0, 2.0], np.array(bad, object))


@pytest.mark.parametrize("bad", [[0, 6], [-1, 2], [0.5, 1]])
def test_levels_outside_the_scale_are_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="whole numbers from 0 to 5"):
        metrics.qwk([0, 1], bad)


def test_one_item_and_constant_arrays_are_undefined_not_perfect() -> None:
    assert math.isnan(metrics.qwk([3], [3]))
    assert math.isnan(metrics.spearman([3, 3, 3], [1, 2, 3]))
    assert math.isnan(metrics.krippendorff_alpha([[2.0, 2.0], [2.0, 2.0]]))
    assert metrics.qwk([3, 3], [1, 1]) == 0
    assert metrics.within_one([3], [4]) == 1
    assert all(math.isnan(x) for x in metrics.bootstrap(metrics.spearman, [1], [1], seed=0))


@few
@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_shares_have_wilsons_interval(found: tuple[int, int]) -> None:
    hits, units = found
    expected = stats.binomtest(hits, units).proportion_ci(method="wilson")
    ours = metrics.proportion(hits, units)
    assert (ours.lo, ours.hi) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert 0 <= ours.lo <= ours.value <= ours.hi <= 1


@few
@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, -3.0]), min_size=1, max_size=40))
def test_ranks_are_scipys(values: list[float]) -> None:
    assert midranks(np.array(values)).tolist() == stats.rankdata(values).tolist()


def test_entropy_and_level_shares() -> None:
    shares = metrics.level_shares([0, 1, 1, 5])
    assert shares.tolist() == [0.25, 0.5, 0, 0, 0, 0.25]
    assert metrics.entropy(shares) == pytest.approx(stats.entropy([1, 2, 1], base=2))
    assert metrics.entropy([1.0, 0.0]) == 0


def test_the_bootstrap_covers_a_known_mean_and_repeats_exactly() -> None:
    generator = np.random.default_rng(9)
    covered = 0
    for trial in range(100):
        x = generator.normal(2, 1, 80)
        found = metrics.bootstrap(lambda v: float(np.mean(v)), x, seed=trial, n=200)
        covered += found.lo <= 2 <= found.hi
    assert 88 <= covered <= 100
    assert metrics.bootstrap(np.mean, x, seed=4) == metrics.bootstrap(np.mean, x, seed=4)
    assert metrics.bootstrap(np.mean, x, seed=4) != metrics.bootstrap(np.mean, x, seed=5)


def test_the_bootstrap_draws_whole_groups() -> None:
    groups = np.repeat(["a", "b", "c"], [2, 3, 5])
    for drawn in resamples(10, seed=0, groups=groups, n=50):
        counts = np.bincount(drawn, minlength=10)
        assert all(len(set(counts[groups == g])) == 1 for g in "abc")
    value = np.repeat([0.0, 1, 2], [2, 3, 5])
    narrow = metrics.bootstrap(np.mean, value, seed=1)
    wide = metrics.bootstrap(np.mean, value, seed=1, groups=groups)
    assert wide.hi - wide.lo > narrow.hi - narrow.lo
