"""Lines beside a verdict: the same data by other rules.  They explain it; they never replace it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import stats

from proxy_model.experiment.statistics.components import Floats, Layout, Moments, moments
from proxy_model.experiment.statistics.crossed import Items, crossed
from proxy_model.experiment.statistics.design import Line
from proxy_model.experiment.statistics.naive import paired_items
from proxy_model.experiment.statistics.permutation import permutation
from proxy_model.experiment.statistics.registry_prior import Prior


def lines(y: Floats, m: Moments, prior: Prior | None, items: Items, seed: int = 0) -> tuple[Line, ...]:
    """One-sided p's of gain > 0.  y: float64 [runs, units] with the gain's sign, two arms."""
    layout = m.layout
    a, b = layout.runs
    shuffled = permutation(m.suite, a, seed)
    kind = "all assignments" if shuffled.exact else "drawn assignments"
    other: Items = "fixed" if items == "random" else "random"
    out = [
        Line(
            "permutation of run labels",
            shuffled.p_greater,
            f"{kind}; the smallest p possible is {shuffled.smallest:.2g}",
        ),
        Line(f"items {other}", float(crossed(m, prior, other).p_greater()), _ITEMS[other]),
    ]
    if prior is not None and layout.run_df > 0:
        out.append(
            Line("without the registry", float(crossed(m, None, items).p_greater()), "this experiment's variance alone")
        )
    if min(a, b) > 1:
        welch = stats.ttest_ind(m.suite[a:], m.suite[:a], equal_var=False, alternative="greater")
        out.append(Line("Welch on run means", float(welch.pvalue), "run variances may differ; items fixed"))
        ratio = float(np.var(m.suite[a:], ddof=1)) / max(float(np.var(m.suite[:a], ddof=1)), 1e-300)
        out.append(
            Line("variance ratio candidate/baseline", ratio, f"two-sided F test p = {_f_test(ratio, b - 1, a - 1):.2g}")
        )
    if min(a, b) > 2:
        ps = leave_one_run_out(y, layout, prior, items)
        out.append(Line("largest p without one run", max(ps), f"smallest {min(ps):.2g}, over {len(ps)} runs"))
    if len(layout.share) > 1:
        low, high = leave_one_benchmark_out(m)
        out.append(Line("least gain without one benchmark", low, f"largest {high:.4g}"))
    out.append(
        Line(
            "paired items, runs ignored",
            float(paired_items(m)),
            "not valid: rejects a true null in up to 42 % of cases; shown as a warning",
        )
    )
    return tuple(out)


_ITEMS = {"fixed": "about these items only: pooled t on run means", "random": "about benchmarks like these"}


def leave_one_run_out(y: Floats, layout: Layout, prior: Prior | None, items: Items) -> list[float]:
    """One-sided p without each run."""
    out = []
    for row in range(y.shape[0]):
        arm = 0 if row < layout.runs[0] else 1
        fewer = replace(layout, runs=tuple(k - (i == arm) for i, k in enumerate(layout.runs)))
        out.append(float(crossed(moments(np.delete(y, row, 0), fewer), prior, items).p_greater()))
    return out


def leave_one_benchmark_out(m: Moments) -> tuple[float, float]:
    """(least, largest) gain when one benchmark is left out and the others keep their proportions."""
    share = m.layout.share
    total = float(m.differences @ share)
    without = (total - share * m.differences) / (1 - share)
    return float(without.min()), float(without.max())


def _f_test(ratio: float, df_above: int, df_below: int) -> float:
    upper = float(stats.f.sf(ratio, df_above, df_below))
    return min(1.0, 2 * min(upper, 1 - upper))
