"""Water-filling: x_i = min(limit_i, α·q_i) with Σ x = amount, exactly, for any ratio between the q.

Everything is in logarithms: weights that differ by a factor of 1e300, or that do not fit a float at
all, keep their order and their ratios.  Source: quality_mixing §4.2 (the algorithm), worked in logs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def log_level(log_q: Array, limit: Array, amount: float) -> float:
    """log α with Σ min(limit, α·q) = amount.

    log_q: finite, any scale; limit: ≥ 0, inf allowed.  −inf for an amount of 0; where the limits hold
    less than the amount, the level at which the last of them is reached.  O(n log n).
    """
    there = limit > 0
    if amount <= 0 or not there.any():
        return -np.inf
    log_q, limit = log_q[there], limit[there]
    with np.errstate(divide="ignore"):
        reached = np.log(limit) - log_q  # level at which a cell is at its limit
    order = np.argsort(reached, kind="stable")
    log_q, limit, reached = log_q[order], limit[order], reached[order]
    full = np.concatenate([[0.0], np.cumsum(limit)[:-1]])  # held by the cells before k
    log_rest = np.logaddexp.accumulate(log_q[::-1])[::-1]  # log Σ q of k and all after it
    finite = np.isfinite(reached)
    held = np.full(len(limit), np.inf)
    with np.errstate(over="ignore"):
        held[finite] = full[finite] + np.exp(reached[finite] + log_rest[finite])  # when k comes to its limit
    k = int(np.searchsorted(held, amount, side="left"))
    if k == len(limit):
        return float(reached[-1])
    return float(np.log(max(amount - full[k], np.finfo(np.float64).tiny)) - log_rest[k])


def at_level(log_q: Array, limit: Array, level: Array | float) -> Array:
    """min(limit, α·q) where log α = level."""
    with np.errstate(over="ignore"):
        held: Array = np.minimum(limit, np.exp(log_q + level))
    return held
