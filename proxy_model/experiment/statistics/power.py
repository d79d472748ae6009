"""Power, smallest detectable effect and cheapest run counts of the default test.

Given S², the estimate is normal and V, df are known, so power = E over χ²_ν of P(D > t*(S²)·√V(S²)).  With no unit
noise this integral is the noncentral t (scipy's `nct`, statsmodels' TTestIndPower: the tests compare); with it, it
stays exact where one noncentral t with an average df is off by up to .044 at two runs per arm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from curation.pipeline.errors import UsageError
from proxy_model.experiment.statistics.components import Components, Floats
from proxy_model.experiment.statistics.crossed import Crossed, Items, combine, critical

NODES = 500  # midpoints on the probability scale of χ²_ν; 64,000 change power by < 1e-4


@dataclass(frozen=True, eq=False)
class Sampling:
    """The distribution of the default test for given components and runs; prior_df: ν₀ of a noise registry."""

    parts: Components
    runs: tuple[int, int]
    prior_df: float = 0.0
    items: Items = "random"

    @property
    def run_df(self) -> float:
        return self.runs[0] + self.runs[1] - 2 + self.prior_df

    @cached_property
    def _drawn(self) -> Crossed:
        if self.run_df <= 0:
            raise UsageError("one run per arm and no noise registry: no test exists, so it has no power")
        parts, own = self.parts, self.runs[0] + self.runs[1] - 2
        contrast = 1 / self.runs[0] + 1 / self.runs[1]
        spread = stats.chi2.ppf((np.arange(NODES) + 0.5) / NODES, self.run_df) / self.run_df
        residual = contrast * parts.share**2 * parts.sigma_e2 / parts.units
        unit = parts.share**2 * parts.tau2 / parts.units + residual
        run = contrast * parts.sigma_seed**2 * spread
        shape = (NODES, len(parts.share))
        return combine(
            np.zeros(NODES),
            run,
            np.broadcast_to(unit, shape),
            np.broadcast_to(residual, shape),
            self.run_df,
            own,
            np.maximum(parts.units - 1, 1.0),
            self.items,
        )

    @cached_property
    def variance(self) -> float:
        """True variance of the estimate; with fixed items, of its distribution over runs alone."""
        parts = self.parts
        runs = (1 / self.runs[0] + 1 / self.runs[1]) * parts.sigma_seed**2
        return runs if self.items == "fixed" else runs + float((parts.share**2 * parts.tau2 / parts.units).sum())

    def thresholds(self, level: float) -> Floats:
        """float64 [NODES]: the estimate from which the test rejects at the one-sided level."""
        drawn = self._drawn
        return critical(level, drawn.df, drawn.run_df) * drawn.error

    def power(self, effect: float, level: float = 0.05) -> float:
        """P(one-sided p ≤ level) at the true effect; the size at effect 0."""
        return float(stats.norm.sf((self.thresholds(level) - effect) / np.sqrt(self.variance)).mean())

    def power_two_sided(self, effect: float, level: float = 0.05) -> float:
        return self.power(effect, level / 2) + self.power(-effect, level / 2)

    def power_equivalent(self, margin: float, level: float = 0.05, effect: float = 0.0) -> float:
        """P(two one-sided tests show |D| < margin)."""
        room, sd = margin - self.thresholds(level), np.sqrt(self.variance)
        inside = stats.norm.cdf((room - effect) / sd) - stats.norm.cdf((-room - effect) / sd)
        return float(np.maximum(inside, 0).mean())

    def mde(self, power: float = 0.8, level: float = 0.05) -> float:
        """Smallest effect found with this power by the one-sided test at `level`."""
        high = float(np.sqrt(self.variance))
        while self.power(high, level) < power:
            high *= 2
        return float(brentq(lambda effect: self.power(effect, level) - power, 0, high, xtol=1e-10 * high + 1e-300))

    def coverage(self, confidence: float = 0.95) -> float:
        """Probability that the two-sided interval holds the effect."""
        return 1 - 2 * self.power(0, (1 - confidence) / 2)


def run_mde(runs: tuple[int, int], power: float = 0.8, level: float = 0.05, prior_df: float = 0.0) -> float:
    """Smallest detectable effect in units of σ_seed when units add nothing (noncentral t)."""
    one = np.ones(1)
    return Sampling(Components(one, one * 1e12, 1.0, one * 0, one * 0), runs, prior_df).mde(power, level)


def with_units(parts: Components, factor: float) -> Components:
    """The same benchmarks with `factor` times the units."""
    return replace(parts, units=parts.units * factor)


@dataclass(frozen=True)
class PaperSizing:
    """MiniMax-01 §4.1.3: items until the detectable effect of one run against one equals σ_seed.

    items: n = ((z_.95 + z_.80)·S_d/MDE)²; nominal: the level it claims; actual: its rate of false positives when the
    training run is a random draw.
    """

    items: float
    mde: float
    nominal: float
    actual: float


def paper_sizing(
    unit_sd: float, sigma_s: float, mde: float | None = None, level: float = 0.05, power: float = 0.8
) -> PaperSizing:
    """unit_sd: S_d of paired item differences; sigma_s: sd of a run's main effect; mde: default σ_s.

    With one run per arm Var(D) = 2σ_s² + se², se = MDE/(z_.95 + z_.80): the test rejects a true null with
    P(Z > z_.95·se/√(2σ_s² + se²)), 33 % at MDE = σ_s.
    """
    target = sigma_s if mde is None else mde
    z = float(stats.norm.isf(level))
    error = target / (z + float(stats.norm.ppf(power)))
    actual = float(stats.norm.sf(z * error / np.sqrt(2 * sigma_s**2 + error**2)))
    return PaperSizing((unit_sd / error) ** 2, target, level, actual)


def realised(result: Crossed, level: float, power: float = 0.8) -> float:
    """Effect that a noncentral t with the V and df of a finished experiment finds with this power."""
    error, df = float(result.error), float(result.df)
    limit = float(critical(level, result.df, result.run_df))

    def missing(effect: float) -> float:
        return float(stats.nct.sf(limit, df, effect / error)) - power

    high = (limit + 2) * error
    while missing(high) < 0:
        high *= 2
    return float(brentq(missing, 0, high))
