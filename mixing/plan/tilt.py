"""Tilting the prior towards quality: q ∝ b·exp(λ·s), as far as a budget of KL divergence allows.

Among all q with the same mean score the exponential tilt is nearest to b in KL, and KL(q‖b) rises with
λ; so λ is found by bisection.  For normal scores KL = λ²/2 and the effective sample is exp(−λ²)
(quality_mixing §4.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixing.plan.prior import log_sum, normalised
from mixing.plan.waterfill import Array

MOST = 690.0  # λ times the range of scores: shares that differ by e^690 = 1e299
HALVINGS = 200


@dataclass(frozen=True, eq=False)
class Tilt:
    """log_q: float64[n]; kl in nats; ess: effective sample share, 1 / Σ q²/b."""

    log_q: Array
    lambda_: float
    kl: float
    ess: float


def tilt(log_b: Array, score: Array, kappa: float) -> Tilt:
    """The largest λ ≥ 0 with KL(q‖b) ≤ kappa; λ ends where MOST says when no tilt reaches kappa."""
    there = log_b > -np.inf
    if not there.any():
        return Tilt(log_b, 0.0, 0.0, 0.0)
    score = score - score[there].max()
    spread = float(-score[there].min())
    most = MOST / spread if spread > 0 else 0.0
    low, high = 0.0, most
    if kappa > 0 and divergence(_tilted(log_b, score, most), log_b) <= kappa:
        low = most
    elif kappa <= 0:
        high = 0.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if middle in (low, high) or low >= high:
            break
        if divergence(_tilted(log_b, score, middle), log_b) <= kappa:
            low = middle
        else:
            high = middle
    log_q = _tilted(log_b, score, low)
    return Tilt(log_q, low, divergence(log_q, log_b), effective_share(log_q, log_b))


def _tilted(log_b: Array, score: Array, strength: float) -> Array:
    return normalised(log_b + strength * score)


def divergence(log_q: Array, log_b: Array) -> float:
    """KL(q‖b) in nats; 0·log 0 = 0; inf where q > 0 and b = 0."""
    there = log_q > -np.inf
    return max(0.0, float((np.exp(log_q[there]) * (log_q[there] - log_b[there])).sum()))


def effective_share(log_q: Array, log_b: Array) -> float:
    """1 / Σ q²/b: the share of the base that counts as much as the weighted whole (Kish)."""
    there = log_q > -np.inf
    return float(np.exp(-log_sum(2 * log_q[there] - log_b[there])))
