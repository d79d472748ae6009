"""How much a significant result overstates a true effect (type M error: Gelman & Carlin 2014), for one experiment.

Given a true effect δ and the experiment's standard error and df: D ~ N(δ, σ²), V̂ = σ²·χ²_df/df, and the claim is made
when D > t*·√V̂.  Power = P(claim); exaggeration = E[D | claim] / δ.  Only δ is assumed; never the observed effect's own
power, which is a function of its p value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

NODES = 2000  # midpoints on the probability scale of χ²
LOW_POWER = 0.5  # below it a claim overstates by about 1.4 times or more


@dataclass(frozen=True)
class Exaggeration:
    """effect: the assumed true one; power to find it; times: E[estimate | found] / effect."""

    effect: float
    power: float
    times: float


def exaggeration(effect: float, error: float, df: float, level: float) -> Exaggeration:
    """One-sided at `level`; effect and error above 0 in one unit."""
    spread = np.sqrt(stats.chi2.ppf((np.arange(NODES) + 0.5) / NODES, df) / df)
    limit = stats.t.isf(level, df) * error * spread
    z = (limit - effect) / error
    found = stats.norm.sf(z)
    power = float(found.mean())
    mean = float((effect * found + error * stats.norm.pdf(z)).mean()) / max(power, 1e-300)
    return Exaggeration(effect, power, mean / effect)
