"""Moments and variance components: the algebra of the balanced analysis of variance, unbiased, replicates as axes."""

from __future__ import annotations

import numpy as np
import pytest

from curation.pipeline.errors import UsageError
from proxy_model.experiment.statistics.components import Layout, components, moments, unbiased_components
from proxy_model.experiment.statistics.crossed import crossed
from proxy_model.experiment.statistics.simulate import Suite, Truth, drawn_moments, simulate, simulated_moments


def test_equals_the_balanced_two_way_anova_of_each_arm() -> None:
    """S² and E are the run and residual mean squares (over n) of the two-way table runs × items, pooled over arms."""
    rng = np.random.default_rng(0)
    n, ks = 40, (3, 4)
    y = rng.standard_normal((sum(ks), n)) + rng.standard_normal(n)
    m = moments(y, Layout(ks, np.zeros(n, np.int64), np.full(n, 1 / n)))
    runs, residual, start = 0.0, 0.0, 0
    for k in ks:
        arm = y[start : start + k]
        grand, rows, columns = arm.mean(), arm.mean(1), arm.mean(0)
        runs += n * ((rows - grand) ** 2).sum()
        residual += ((arm - rows[:, None] - columns + grand) ** 2).sum()
        start += k
    nu = sum(ks) - 2
    assert m.run_variance * n == pytest.approx(runs / nu, rel=1e-12)
    assert m.within[0] == pytest.approx(residual / nu / (n - 1), rel=1e-12)
    difference = y[3:].mean(0) - y[:3].mean(0)
    assert m.paired[0] == pytest.approx(difference.var(ddof=1), rel=1e-12)
    assert m.differences[0] == pytest.approx(difference.mean(), rel=1e-12)


@pytest.mark.filterwarnings("ignore")
def test_anova_f_of_run_differences_over_arms_and_items_agrees_with_statsmodels() -> None:
    """The sums of squares of `run nested in arm` and the residual, from an ordinary least-squares table."""
    ols = pytest.importorskip("statsmodels.formula.api").ols
    anova = pytest.importorskip("statsmodels.stats.anova").anova_lm
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(4)
    n, k = 12, 3
    y = rng.standard_normal((2 * k, n)) + rng.standard_normal(n) + rng.standard_normal((2 * k, 1))
    m = moments(y, Layout((k, k), np.zeros(n, np.int64), np.full(n, 1 / n)))
    run, item = np.meshgrid(np.arange(2 * k), np.arange(n), indexing="ij")
    frame = pd.DataFrame({"y": y.ravel(), "run": run.ravel(), "item": item.ravel(), "arm": run.ravel() // k})
    found = anova(ols("y ~ C(arm) * C(item) + C(arm):C(run)", frame).fit())
    assert m.within[0] == pytest.approx(found.loc["Residual", "mean_sq"], rel=1e-9)
    interaction = found.loc["C(arm):C(item)", "mean_sq"]
    assert m.paired[0] * k / 2 == pytest.approx(interaction, rel=1e-9)


def test_components_are_unbiased_within_two_percent() -> None:
    truth = Truth((3, 2), (Suite(60, 0.5, 0.8, 0.1, 0.02), Suite(90, 0.4, 0.9, 0.2, 0.01, weight=2)), 0.03)
    sums = np.zeros(5)
    batches = 0
    for m in simulated_moments(truth, 30_000, 1):
        s, e, t = unbiased_components(m)
        sums += np.array([s.sum(), *e.sum(0), *t.sum(0)])
        batches += len(s)
    true = truth.components()
    assert sums / batches == pytest.approx(np.array([true.sigma_s2, *true.sigma_e2, *true.tau2]), rel=0.02)


def test_weights_that_are_all_alike_change_nothing_and_leading_axes_are_replicates() -> None:
    truth = Truth((2, 3), (Suite(30), Suite(50, weight=3)), 0.01)
    y = next(simulate(truth, 4, 3)).astype(np.float64)
    together = moments(y, truth.layout())
    for i in range(4):
        alone = moments(y[i], truth.layout())
        assert np.allclose(alone.paired, together.paired[i])
        assert np.allclose(alone.within, together.within[i])
        assert float(crossed(alone).p_greater()) == pytest.approx(float(crossed(together).p_greater()[i]), rel=1e-9)
    assert truth.layout().effective == pytest.approx([30, 50])
    assert truth.layout().unit_df == pytest.approx([29, 49])


def test_moments_drawn_from_their_laws_are_those_of_simulated_items() -> None:
    """The shortcut of the big calibration grid: same distribution as item by item (two-sample KS of V, df and p)."""
    from scipy import stats

    truth = Truth((3, 2), (Suite(50, rho=0.8, arm_share=0.1), Suite(80, rho=0.9, run_sd=0.01)), 0.02, effect=0.02)
    drawn = crossed(drawn_moments(truth, 4000, 5))
    items = [crossed(m) for m in simulated_moments(truth, 4000, 6)]
    for name in ("estimate", "variance", "df", "unit_term", "residual_term"):
        other = np.concatenate([getattr(r, name) for r in items])
        assert stats.ks_2samp(getattr(drawn, name), other).pvalue > 0.001, name


def test_agrees_with_reml_of_a_crossed_mixed_model() -> None:
    """6 runs × 50 items, interior components: statsmodels' MixedLM with crossed effects, the slow oracle."""
    mixedlm = pytest.importorskip("statsmodels.formula.api").mixedlm
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(3)
    k, n = 3, 50
    arm = np.repeat([0, 1], k)
    run_effect = rng.standard_normal(2 * k)
    run_effect *= 0.5 / run_effect.reshape(2, k).std(1, ddof=1).mean()
    y = run_effect[:, None] + rng.standard_normal((2 * k, n)) + rng.standard_normal(n) + 0.4 * arm[:, None]
    y += np.repeat(0.7 * rng.standard_normal((2, n)), k, axis=0)
    m = moments(y, Layout((k, k), np.zeros(n, np.int64), np.full(n, 1 / n)))
    ours = components(m)
    run, item = np.meshgrid(np.arange(2 * k), np.arange(n), indexing="ij")
    frame = pd.DataFrame({"y": y.ravel(), "run": run.ravel(), "item": item.ravel(), "arm": np.repeat(arm, n), "all": 1})
    frame["cell"] = frame["arm"] * n + frame["item"]
    parts = {"run": "0 + C(run)", "item": "0 + C(item)", "cell": "0 + C(cell)"}
    fit = mixedlm("y ~ arm", frame, groups="all", vc_formula=parts).fit(reml=True)
    found = dict(zip(fit.model.exog_vc.names, fit.vcomp, strict=True))
    assert ours.sigma_s2 == pytest.approx(found["run"], rel=0.02)
    assert ours.sigma_e2[0] == pytest.approx(fit.scale, rel=0.02)
    assert ours.tau2[0] == pytest.approx(2 * found["cell"], rel=0.02)
    assert float(crossed(m).error) == pytest.approx(fit.bse["arm"], rel=0.02)


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        (lambda: Layout((2,), np.zeros(4, np.int64), np.full(4, 0.25)), "two arms"),
        (lambda: Layout((2, 2), np.zeros(4, np.int64), np.full(4, 0.3)), "sum to 1"),
        (lambda: Layout((2, 2), np.array([0, 0, 1]), np.full(3, 1 / 3)), "one unit"),
    ],
)
def test_layouts_without_a_variance_are_refused(layout, words) -> None:
    with pytest.raises(UsageError, match=words):
        layout()
