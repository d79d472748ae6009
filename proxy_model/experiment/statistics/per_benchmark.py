"""Which benchmarks moved: two-sided tests of every benchmark, Holm-corrected, at few runs.

The levels that Holm asks for are far in the tail, so from ν ≥ 4 on each benchmark has its own V = max(cS_b², c·σ̂_b² +
S_d²/n) with df = ν.  With two runs per arm that finds nothing; there a run variance pooled over benchmarks, or the
benchmark's own where it is larger, takes 2ν.  Pooling alone (2ν at every k) is wrong as soon as run variances differ
between benchmarks: family error 13–25 % instead of 5 % with a tenfold range (docs/ab-statistics.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from curation.pipeline.errors import UsageError
from proxy_model.experiment.statistics.components import Floats, Moments, pooled_variance
from proxy_model.experiment.statistics.crossed import FEW


@dataclass(frozen=True, eq=False)
class PerBenchmark:
    """All [..., B]: estimate, error (√V), two-sided p, p after Holm, and df (one number)."""

    estimate: Floats
    error: Floats
    p: Floats
    holm: Floats
    df: float

    def interval(self, confidence: float = 0.95) -> tuple[Floats, Floats]:
        """Each benchmark's own interval, not corrected for their number."""
        half = stats.t.isf((1 - confidence) / 2, self.df) * self.error
        return self.estimate - half, self.estimate + half


def per_benchmark(m: Moments) -> PerBenchmark:
    """Raises UsageError without two runs in some arm."""
    layout = m.layout
    nu, c = layout.run_df, layout.contrast
    if nu < 1:
        raise UsageError("one run per arm: no benchmark can be tested", "train a second run of either arm")
    total = pooled_variance(m.means, layout.runs)
    excess = total - m.within / layout.effective
    unit = m.paired / layout.effective
    variance = c * np.maximum(excess, 0) + unit
    if nu < FEW:
        df = 2.0 * nu
        variance = np.maximum(variance, c * np.maximum(excess.mean(-1, keepdims=True), 0) + unit)
    else:
        df = float(nu)
        variance = np.maximum(variance, c * total)
    error = np.sqrt(variance)
    t = np.abs(m.differences) / np.where(error > 0, error, np.inf)  # 0 where V = 0, as in `crossed`
    p = 2 * stats.t.sf(t, df)
    return PerBenchmark(m.differences, error, p, holm(p), df)


def holm(p: Floats) -> Floats:
    """Holm (1979) step-down adjusted p over the last axis; any dependence."""
    count = p.shape[-1]
    order = np.argsort(p, axis=-1)
    steps = np.take_along_axis(p, order, -1) * np.arange(count, 0, -1)
    adjusted = np.minimum(np.maximum.accumulate(steps, axis=-1), 1.0)
    out = np.empty_like(adjusted)
    np.put_along_axis(out, order, adjusted, -1)
    return out
