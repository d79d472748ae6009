"""The exponential law of data mixing: loss = c + k·exp(Σ t_i·w_i) (Ye et al. 2024, arXiv 2403.16952).

A sum of squares with a robust end (Huber), from several offsets c, by L-BFGS with its own gradient.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from mixing.regression.runs import Floats

HUBER = 1.0  # standard deviations of the losses; beyond it a run counts linearly
SHRINK = 1e-7  # of Σ t²: two sources that no run tells apart get the same t
OFFSETS = (0.05, 0.5, 2.0)  # first guesses of min(loss) − c, in standard deviations
MOST = 30.0  # of the exponent; e^30 is no loss


@dataclass(frozen=True, eq=False)
class ExponentialLaw:
    """offset c, log k, and t: float64[sources], in units of `scale` (of the losses it was fitted to)."""

    offset: float
    log_k: float
    t: Floats
    scale: float

    def predict(self, weights: Floats) -> Floats:
        """float64[n] losses for weights float64[n, sources]."""
        return self.scale * (self.offset + np.exp(np.clip(self.log_k + weights @ self.t, -MOST, MOST)))


def fit_exponential(weights: Floats, losses: Floats) -> ExponentialLaw:
    """weights: float64[n, sources]; losses: float64[n]."""
    scale = float(losses.std()) or 1.0
    y = losses / scale

    def objective(p: Floats) -> tuple[float, Floats]:
        raised = np.exp(np.clip(p[1] + weights @ p[2:], -MOST, MOST))
        rest = p[0] + raised - y
        near = np.abs(rest) < HUBER
        value = np.where(near, rest**2 / 2, HUBER * (np.abs(rest) - HUBER / 2))
        slope = np.where(near, rest, HUBER * np.sign(rest)) / len(y)
        gradient = np.concatenate([[slope.sum(), slope @ raised], weights.T @ (slope * raised) + 2 * SHRINK * p[2:]])
        return float(value.mean() + SHRINK * (p[2:] ** 2).sum()), gradient

    best = None
    for below in OFFSETS:
        start = np.zeros(weights.shape[1] + 2)
        start[0] = y.min() - below
        start[1] = np.log(np.mean(y - start[0]))
        found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 500})
        if best is None or found.fun < best.fun:
            best = found
    assert best is not None
    return ExponentialLaw(float(best.x[0]), float(best.x[1]), best.x[2:].copy(), scale)
