"""What a screening found: lines by benchmark and metric, and when a line is worth its items."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

USEFUL, NOISE = 3.0, 2.0  # Δ/σ from which a benchmark is worth its items, and under which it is noise
ABOVE = 3.0  # standard errors above chance
LEVEL = 0.05  # of Page's trend test
STEADY = 0.8  # share of pairs of runs in their final order
Signal = Literal["use", "weak", "noise"]


@dataclass(frozen=True)
class Line:
    """One benchmark (or `suite`, equal weights) under one metric.

    baseline, obvious: mean over runs; chance: of a guess; above: standard errors (items and runs) of the better arm
    over chance; delta: gain of the obvious arm; sigma: pooled sd between runs of one arm; ratio: |Δ|/σ, give or take
    ratio_error = √(1/k_A + 1/k_B); p: two-sided pooled t of Δ; item_share: share of σ² that more items would remove;
    trend: Page's p that scores rise over checkpoints; steady: share of pairs of runs (one of each arm) that stand in
    their final order at the later checkpoints.  NaN where there is nothing to compute it from.
    """

    benchmark: str
    metric: str
    items: int
    baseline: float
    obvious: float
    chance: float
    above: float
    delta: float
    sigma: float
    ratio: float
    ratio_error: float
    p: float
    item_share: float
    trend: float
    steady: float

    @property
    def signal(self) -> Signal:
        """noise: Δ below 2σ or p above .05; use: Δ of 3σ or more with no test against it; weak: the others."""
        if not self.ratio >= NOISE or self.p > LEVEL:
            return "noise"
        weak = self.ratio < USEFUL or self.above < ABOVE or self.trend > LEVEL or self.steady < STEADY
        return "weak" if weak else "use"

    @property
    def why(self) -> str:
        """What speaks against it, in words."""
        said = []
        if self.above < ABOVE:
            said.append("at chance")
        if not self.ratio >= NOISE or self.p > LEVEL:
            said.append("difference within the spread of seeds")
        elif self.ratio < USEFUL:
            said.append("small difference")
        if self.trend > LEVEL:
            said.append("does not rise with training")
        if self.steady < STEADY:
            said.append("order of runs changes")
        return ", ".join(said)


@dataclass(frozen=True)
class Screen:
    """lines: by benchmark and metric; suite: by metric, over all benchmarks that have it; best: metric with the largest
    Δ/σ of the suite; arms: (baseline, obvious); runs of each; checkpoints: different tokens before the end."""

    arms: tuple[str, str]
    runs: tuple[int, int]
    checkpoints: int
    lines: tuple[Line, ...]
    suite: tuple[Line, ...]
    best: str

    def of(self, metric: str) -> list[Line]:
        """The benchmarks under a metric, the strongest first."""
        return sorted(
            (one for one in self.lines if one.metric == metric), key=lambda one: (-or_zero(one.ratio), one.benchmark)
        )

    def to_json(self) -> dict[str, Any]:
        """JSON types; NaN as null."""

        def told(one: Line) -> dict[str, Any]:
            values = {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in asdict(one).items()}
            return {**values, "signal": one.signal, "why": one.why}

        return {
            "arms": list(self.arms), "runs": list(self.runs), "checkpoints": self.checkpoints, "best": self.best,
            "suite": [told(one) for one in self.suite], "lines": [told(one) for one in self.lines],
        }  # fmt: skip

    def rows(self, metric: str | None = None) -> list[list[str]]:
        """A terminal table under one metric (default: the best): benchmark, items, Δ/σ, Δ, σ, over chance, signal."""
        return [
            [
                one.benchmark, f"{one.items:,}", f"{one.ratio:.1f} ± {one.ratio_error:.1f}", f"{one.delta:+.4f}",
                f"{one.sigma:.4f}", "–" if np.isnan(one.above) else f"{one.above:+.1f} SE", one.signal, one.why,
            ]
            for one in self.of(metric or self.best)
        ]  # fmt: skip


def or_zero(value: float) -> float:
    """For sorting: what cannot be computed comes last."""
    return 0.0 if np.isnan(value) else value
