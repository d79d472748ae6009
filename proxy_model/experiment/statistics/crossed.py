"""The default test: candidate − baseline on the weighted suite mean, runs and units both random.

D = Σ W_b D_b;  t₁ = c·S²,  t₂ = Σ W_b² S²_d,b/n_b,  t₃ = c·Σ W_b² E_b/n_b;  V = max(t₁ + t₂ − t₃, t₁);
df = V² / [t₁²/ν + Σ t₂b²/(n_b − 1) + Σ t₃b²/(ν(n_b − 1))], at least ν (Satterthwaite 1946 on the mean squares of
`components`).  `items="fixed"` is the pooled t test on run means: V = t₁, df = ν.

Tail rule.  Satterthwaite's df describes the middle of the distribution, not its tail: far levels need df = ν.  So
p = max(p_Satterthwaite, min(p_ν, .025)), which at any level ≥ .025 decides by Satterthwaite's df and at any lower level
by ν; with ν < 4 (two runs per arm) always by ν.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import special

from curation.pipeline.errors import UsageError
from proxy_model.experiment.statistics.components import Floats, Moments
from proxy_model.experiment.statistics.registry_prior import Prior, moderated

Items = Literal["random", "fixed"]
TAIL = 0.025  # one-sided level below which df = ν
FEW = 4  # run degrees of freedom below which df = ν at every level


@dataclass(frozen=True, eq=False)
class Crossed:
    """estimate, variance and df [...] of D; run_df: ν (with the prior's share); terms t₁, t₂, t₃ [...]."""

    estimate: Floats
    variance: Floats
    df: Floats
    run_df: float
    run_term: Floats
    unit_term: Floats
    residual_term: Floats

    @property
    def error(self) -> Floats:
        return np.sqrt(self.variance)

    def _t(self, null: float) -> Floats:
        """0 where V = 0: few 0/1 scores can give all runs of an arm the same mean, which proves nothing."""
        error = self.error
        return np.asarray((self.estimate - null) / np.where(error > 0, error, np.inf))

    def p_greater(self, null: float = 0.0) -> Floats:
        """One-sided p of H₀: D ≤ null."""
        return tail(self._t(null), self.df, self.run_df)

    def p_less(self, null: float = 0.0) -> Floats:
        """One-sided p of H₀: D ≥ null."""
        return tail(-self._t(null), self.df, self.run_df)

    def p_two_sided(self, null: float = 0.0) -> Floats:
        return np.asarray(np.minimum(1.0, 2 * np.minimum(self.p_greater(null), self.p_less(null))))

    def p_equivalent(self, margin: float) -> Floats:
        """Two one-sided tests (Schuirmann 1987) of |D| ≥ margin."""
        return np.maximum(self.p_greater(-margin), self.p_less(margin))

    def interval(self, confidence: float = 0.95) -> tuple[Floats, Floats]:
        """Two-sided confidence interval, the values that no test at (1 − confidence)/2 a side rejects."""
        half = critical((1 - confidence) / 2, self.df, self.run_df) * self.error
        return self.estimate - half, self.estimate + half


def crossed(m: Moments, prior: Prior | None = None, items: Items = "random") -> Crossed:
    """Raises UsageError when there is neither a second run nor a prior: no variance, no verdict."""
    layout = m.layout
    if layout.run_df + (0 if prior is None else prior.df) <= 0:
        raise UsageError(
            "one run per arm and no noise registry: the variance between runs is unknown, so there is no test",
            "train two runs per arm, or bring a registry of earlier runs of the same model, tokens, suite and metric",
        )
    spread, run_df = moderated(m.run_variance, layout.run_df, prior)
    return combine(
        np.asarray(m.differences @ layout.share),
        layout.contrast * spread,
        layout.share**2 * m.paired / layout.effective,
        layout.contrast * layout.share**2 * m.within / layout.effective,
        run_df,
        layout.run_df,
        layout.unit_df,
        items,
    )


def combine(
    estimate: Floats,
    run: Floats,
    unit: Floats,
    residual: Floats,
    run_df: float,
    own_df: int,
    unit_df: Floats,
    items: Items,
) -> Crossed:
    """V and df from t₁ [...], t₂ [..., B], t₃ [..., B]; own_df: ν of this experiment alone."""
    t2, t3 = unit.sum(-1), residual.sum(-1)
    if items == "fixed":
        return Crossed(estimate, run, np.full(np.shape(run), run_df), run_df, run, t2, t3)
    variance = np.maximum(run + t2 - t3, run)
    spread = run**2 / run_df + (unit**2 / unit_df).sum(-1) + (residual**2 / (max(own_df, 1) * unit_df)).sum(-1)
    df = np.where(variance > run * (1 + 1e-9), np.maximum(variance**2 / np.maximum(spread, 1e-300), run_df), run_df)
    return Crossed(estimate, variance, df, run_df, run, t2, t3)


def tail(t: Floats, df: Floats, run_df: float) -> Floats:
    """p of a large t by the tail rule."""
    safe = np.asarray(special.stdtr(run_df, -np.asarray(t)))
    if run_df < FEW:
        return safe
    return np.asarray(np.maximum(special.stdtr(df, -np.asarray(t)), np.minimum(safe, TAIL)))


def critical(level: float, df: Any, run_df: float) -> Floats:
    """The t that `tail` maps to `level`."""
    if run_df < FEW or level < TAIL - 1e-12:
        return np.full(np.shape(df), -special.stdtrit(run_df, level))
    return np.asarray(-special.stdtrit(df, level))
