"""How much a significant result overstates a true effect (type M error: Gelman & Carlin 2014), for one experiment.

Given a true effect δ: D ~ N(δ, σ²), and the claim is made when D exceeds the test's threshold, which varies with the
run variance that the experiment happens to see (`statistics.power.Sampling`).  Power = P(claim); exaggeration =
E[D | claim] / δ.  Only δ is assumed; never the observed effect's own power, which is a function of its p value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from proxy_model.experiment.statistics.components import Components
from proxy_model.experiment.statistics.crossed import Items
from proxy_model.experiment.statistics.power import Sampling

LOW_POWER = 0.5  # below it a claim overstates by about 1.4 times or more


@dataclass(frozen=True)
class Exaggeration:
    """effect: the assumed true one; power to find it; times: E[estimate | found] / effect."""

    effect: float
    power: float
    times: float


def sampling_of(verdict: Mapping[str, Any], prior_df: float, items: Items) -> Sampling:
    """The test of an experiment like this one, from its estimated components.  verdict: as JSON."""
    parts = verdict["components"]
    share, units, sigma_e2, tau2 = (np.asarray(parts[name], float) for name in ("share", "units", "sigma_e2", "tau2"))
    a, b = verdict["runs"]
    return Sampling(Components(share, units, float(parts["sigma_s2"]), sigma_e2, tau2), (a, b), prior_df, items)


def exaggeration(effect: float, sampling: Sampling, level: float) -> Exaggeration:
    """One-sided at `level`; effect above 0 in the metric's units."""
    error = float(np.sqrt(sampling.variance))
    z = (sampling.thresholds(level) - effect) / error
    found = stats.norm.sf(z)
    power = float(found.mean())
    mean = float((effect * found + error * stats.norm.pdf(z)).mean()) / max(power, 1e-300)
    return Exaggeration(effect, power, mean / effect)
