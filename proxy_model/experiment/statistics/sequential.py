"""Looks while runs are added: boundaries computed before the first run.

Under the null the path of the pooled t over (k_A, k_B) is pivotal, so boundaries on its p (df = ν) come exactly from a
simulation with a fixed seed, for any schedule, unbalanced arms and with a registry prior.  Alpha is spent over the
fraction of information by Lan & DeMets (1983): O'Brien–Fleming 2 − 2Φ(z_{α/2}/√f), Pocock α·ln(1 + (e − 1)f).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from scipy import stats

from curation.pipeline.errors import UsageError
from proxy_model.experiment.statistics.components import Floats

Spending = Literal["obrien-fleming", "pocock"]
REPLICATES = 1_000_000
BATCH = 100_000


@dataclass(frozen=True)
class Bounds:
    """looks: (k_A, k_B) in order; levels: one-sided p (df = ν) at or under which a look rejects; spent: alpha used
    up to and with the look; fractions of the final information; prior_df: ν₀ that is added to every ν."""

    looks: tuple[tuple[int, int], ...]
    levels: tuple[float, ...]
    spent: tuple[float, ...]
    fractions: tuple[float, ...]
    alpha: float
    spending: Spending
    prior_df: float
    replicates: int
    seed: int

    def look(self, runs: tuple[int, int]) -> int:
        """Index of the look with these runs; UsageError for a look that was not planned."""
        if runs not in self.looks:
            planned = ", ".join(f"{a}:{b}" for a, b in self.looks)
            raise UsageError(
                f"an unscheduled look at {runs[0]}:{runs[1]} runs: planned are {planned}",
                "finish the runs of the next planned look first",
            )
        return self.looks.index(runs)


def spent_by(fraction: Floats, alpha: float, spending: Spending) -> Floats:
    """Cumulative alpha at each fraction of the information (1 → alpha)."""
    if spending == "pocock":
        return np.asarray(alpha * np.log1p((np.e - 1) * fraction))
    return np.asarray(2 * stats.norm.sf(stats.norm.isf(alpha / 2) / np.sqrt(fraction)))


def bounds(
    looks: tuple[tuple[int, int], ...],
    alpha: float = 0.05,
    spending: Spending = "obrien-fleming",
    prior_df: float = 0.0,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Bounds:
    """Boundaries for a schedule of (k_A, k_B); the first is exact (p is uniform), later ones have the Monte-Carlo error
    of `replicates` null paths.  Raises UsageError for a schedule that does not grow or starts without a variance."""
    _check(looks, prior_df)
    information = np.array([1 / (1 / a + 1 / b) for a, b in looks])
    fraction = information / information[-1]
    spent = spent_by(fraction, alpha, spending)
    paths = null_paths(looks, prior_df, replicates, seed)
    alive, levels = np.ones(replicates, bool), [float(spent[0])]
    alive &= paths[:, 0] < stats.t.isf(levels[0], _df(looks[0], prior_df))
    for j in range(1, len(looks)):
        left = np.sort(paths[alive, j])[::-1]
        rejected = max(1, round(float(spent[j]) * replicates - int((~alive).sum())))
        limit = (left[rejected - 1] + left[min(rejected, len(left) - 1)]) / 2
        levels.append(float(stats.t.sf(limit, _df(looks[j], prior_df))))
        alive &= paths[:, j] < limit
    return Bounds(
        looks,
        tuple(levels),
        tuple(map(float, spent)),
        tuple(map(float, fraction)),
        alpha,
        spending,
        prior_df,
        replicates,
        seed,
    )


def null_paths(
    looks: tuple[tuple[int, int], ...], prior_df: float, replicates: int, seed: int, effect: float = 0.0
) -> Floats:
    """float64 [replicates, looks]: pooled t at each look for effect in σ_seed.

    With a prior, σ² is drawn as ν₀/χ²_ν₀ around s₀² = 1, the law the prior states.
    """
    rng = np.random.default_rng(seed)
    out = np.empty((replicates, len(looks)))
    for start in range(0, replicates, BATCH):
        size = min(BATCH, replicates - start)
        sd = np.sqrt(prior_df / rng.chisquare(prior_df, size)) if prior_df else np.ones(size)
        sums, squares = np.zeros((2, size)), np.zeros((2, size))
        done = [0, 0]
        for j, runs in enumerate(looks):
            for arm in (0, 1):
                for _ in range(runs[arm] - done[arm]):
                    y = sd * rng.standard_normal(size) + arm * effect * (sd if prior_df else 1.0)
                    sums[arm] += y
                    squares[arm] += y * y
                done[arm] = runs[arm]
            counts = np.array(runs, float)[:, None]
            within = (squares - sums**2 / counts).sum(0)
            spread = (prior_df + within) / _df(runs, prior_df)
            out[start : start + size, j] = (sums[1] / runs[1] - sums[0] / runs[0]) / np.sqrt(
                spread * (1 / runs[0] + 1 / runs[1])
            )
    return out


def conditional_power(estimate: float, error: float, fraction: float, effect: float, final_t: float) -> float:
    """P(the last look rejects | estimate now, true effect): Brownian motion in information (Lan & Wittes 1988).

    Non-binding: stopping when it is under .10 can only lower the size, so the boundaries do not count on it.
    """
    final_error = error * np.sqrt(fraction)
    centre = fraction * estimate + (1 - fraction) * effect
    spread = final_error * np.sqrt(max(1 - fraction, 1e-12))
    return float(stats.norm.sf((final_t * final_error - centre) / spread))


def e_value(t: Floats, runs: tuple[int, int], effect: float) -> Floats:
    """Right-Haar Bayes factor of the pooled t against effect·σ_seed (Pérez-Ortiz et al. 2024): reject at ≥ 1/α
    after any number of runs, planned or not."""
    df, size = runs[0] + runs[1] - 2, 1 / (1 / runs[0] + 1 / runs[1])
    return np.asarray(np.exp(stats.nct.logpdf(t, df, effect * np.sqrt(size)) - stats.t.logpdf(t, df)))


def _df(runs: tuple[int, int], prior_df: float) -> float:
    return runs[0] + runs[1] - 2 + prior_df


def _check(looks: tuple[tuple[int, int], ...], prior_df: float) -> None:
    if not looks or min(map(min, looks)) < 1 or _df(looks[0], prior_df) <= 0:
        raise UsageError(f"looks {looks}: the first look needs a variance between runs", "start at two runs per arm")
    for (a, b), (c, d) in pairwise(looks):
        if c < a or d < b or (a, b) == (c, d):
            raise UsageError(f"looks {looks}: each look must add runs to the one before")
