"""Does the test keep its level?  Size, power, coverage and the naive size on a simulated truth, with exact bands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from proxy_model.experiment.statistics.components import Components, Moments
from proxy_model.experiment.statistics.crossed import Items, crossed
from proxy_model.experiment.statistics.naive import paired_items
from proxy_model.experiment.statistics.power import Sampling
from proxy_model.experiment.statistics.registry_prior import Prior
from proxy_model.experiment.statistics.simulate import Suite, Truth, drawn_moments, simulated_moments


@dataclass(frozen=True)
class Rate:
    """hits of trials, with the exact (Clopper & Pearson 1934) 99 % band."""

    hits: int
    trials: int

    @property
    def rate(self) -> float:
        return self.hits / self.trials

    @property
    def band(self) -> tuple[float, float]:
        return clopper_pearson(self.hits, self.trials)

    def compatible(self, low: float, high: float) -> bool:
        """Whether some rate in [low, high] is inside the band: a failure is then no chance of the simulation."""
        below, above = self.band
        return below <= high and above >= low


@dataclass(frozen=True)
class Calibration:
    """rejected: one-sided at the level (size at effect 0, else power); covered: CI95 holds the effect; naive: paired
    items without runs; predicted: the power that `Sampling` states (nan unless gaussian)."""

    rejected: Rate
    covered: Rate
    naive: Rate
    predicted: float


def clopper_pearson(hits: int, trials: int, confidence: float = 0.99) -> tuple[float, float]:
    """Exact binomial interval."""
    tail = (1 - confidence) / 2
    low = float(stats.beta.ppf(tail, hits, trials - hits + 1)) if hits else 0.0
    high = float(stats.beta.isf(tail, hits + 1, trials - hits)) if hits < trials else 1.0
    return low, high


def calibrate(
    truth: Truth,
    replicates: int,
    seed: int,
    level: float = 0.05,
    items: Items = "random",
    prior: Prior | None = None,
    item_level: bool = True,
) -> Calibration:
    """Test `replicates` made experiments.  item_level False draws a gaussian truth's moments directly."""
    batches: Iterable[Moments] = (
        simulated_moments(truth, replicates, seed) if item_level else [drawn_moments(truth, replicates, seed)]
    )
    rejected = covered = naive = 0
    for m in batches:
        result = crossed(m, prior, items)
        low, high = result.interval()
        rejected += int((result.p_greater() <= level).sum())
        covered += int(((low <= truth.effect) & (truth.effect <= high)).sum())
        naive += int((paired_items(m) <= level).sum())
    predicted = float("nan")
    if truth.kind == "gaussian" and truth.variance_ratio == 1:
        sampling = Sampling(truth.components(), truth.runs, 0.0 if prior is None else prior.df, items)
        predicted = sampling.power(truth.effect, level)
    return Calibration(Rate(rejected, replicates), Rate(covered, replicates), Rate(naive, replicates), predicted)


def truth_of(parts: Components, runs: tuple[int, int], effect: float = 0.0) -> Truth:
    """The gaussian truth with these components: what a plan is simulated on (`item_level=False`)."""
    spread = np.maximum(parts.sigma_e2 + parts.tau2, 1e-300)
    suites = tuple(
        Suite(max(2, round(n)), float(np.sqrt(v)), float(1 - e / v), float(t / v), weight=float(w))
        for n, v, e, t, w in zip(parts.units, spread, parts.sigma_e2, parts.tau2, parts.share, strict=True)
    )
    return Truth(runs, suites, float(np.sqrt(parts.sigma_s2)), effect)
