"""Variance between runs borrowed from earlier experiments: limma's moderated variance (Smyth 2004, section 6.2).

Earlier residual variances s_e² with d_e degrees of freedom are taken as draws of s₀²·F(d_e, ν₀): log s² has mean
log s₀² + ψ(d/2) − ln(d/2) − ψ(ν₀/2) + ln(ν₀/2) and variance ψ′(d/2) + ψ′(ν₀/2).  A new experiment then uses
(ν₀s₀² + νS²)/(ν₀ + ν) with ν₀ + ν degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, polygamma

from curation.pipeline.errors import UsageError

TRUSTED = 5  # past experiments from which on the size was shown to stay ≤ .06 (docs/ab-statistics.md)
CAP = 2  # ν₀ at most this many times the number of past experiments: a handful cannot prove equal variances


@dataclass(frozen=True)
class NoiseKey:
    """Variances are only exchanged between equal keys: between scales they differ tenfold."""

    model: str
    tokens: int
    suite: str
    metric: str
    precision: str


@dataclass(frozen=True)
class Noise:
    """One finished experiment: pooled variance of the suite mean between runs of an arm, and its degrees of freedom."""

    key: NoiseKey
    variance: float
    df: int


@dataclass(frozen=True)
class Prior:
    """variance s₀² in squared metric units, df ν₀ after the cap, experiments it was fitted on."""

    variance: float
    df: float
    experiments: int

    @property
    def trusted(self) -> bool:
        return self.experiments >= TRUSTED


@dataclass(frozen=True)
class Registry:
    """Noise of finished experiments; reading and writing it is the caller's."""

    entries: tuple[Noise, ...] = field(default=())

    def prior(self, key: NoiseKey) -> Prior | None:
        """Prior from the entries with exactly this key, None when there is none."""
        found = [entry for entry in self.entries if entry.key == key]
        return fit_prior([e.variance for e in found], [e.df for e in found]) if found else None


def fit_prior(variances: Sequence[float], dfs: Sequence[float]) -> Prior:
    """Fit s₀² and ν₀ by the moments of log s²; ν₀ ≤ 2 × experiments.

    One experiment, or variances no more spread than chance, give the pooled variance with ν₀ at its cap (and at most
    their own degrees of freedom).  Raises UsageError for an empty list, a variance ≤ 0 or df < 1.
    """
    s2, d = np.asarray(variances, np.float64), np.asarray(dfs, np.float64)
    if len(s2) == 0 or len(s2) != len(d) or not np.isfinite(s2).all() or s2.min() <= 0 or d.min() < 1:
        raise UsageError("a noise registry needs positive finite variances, each with at least 1 degree of freedom")
    cap = float(min(CAP * len(s2), d.sum()))
    pooled = Prior(float((s2 * d).sum() / d.sum()), cap, len(s2))
    if len(s2) == 1:
        return pooled
    level = np.log(s2) - digamma(d / 2) + np.log(d / 2)
    excess = float(level.var(ddof=1) - polygamma(1, d / 2).mean())
    if excess <= polygamma(1, 5e4):  # no more spread than chance
        return pooled
    nu0 = float(brentq(lambda x: polygamma(1, x / 2) - excess, 1e-4, 1e5))
    return Prior(float(np.exp(level.mean() + digamma(nu0 / 2) - np.log(nu0 / 2))), min(nu0, cap), len(s2))


def moderated(variance: np.ndarray, df: float, prior: Prior | None) -> tuple[np.ndarray, float]:
    """(variance, df) of this experiment → the same with the prior's weight; df 0 uses the prior alone."""
    if prior is None:
        return variance, df
    own = np.where(df > 0, np.nan_to_num(variance), 0.0)
    return (prior.df * prior.variance + df * own) / (prior.df + df), prior.df + df


def minimum_baseline(candidates: Iterable[str], runs: int) -> int:
    """Baseline runs worth training when several candidates share them: k·√J (Dunnett 1955)."""
    return int(np.ceil(runs * np.sqrt(len(list(candidates)))))
