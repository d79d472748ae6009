"""Calibration on out-of-fold scores: cumulative link, temperature, offsets, conformal radius.

All are small convex problems solved to the last bits by the same operations everywhere (`arithmetic`).
Sources: cumulative link, McCullagh 1980; conformal, Vovk 2015 (cross-conformal), Barber et al. 2021 (CV+) and, for
new sources, Dunn, Wasserman & Ramdas 2022 (pooled CDFs).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from quality.student.arithmetic import Array, exp, inner, log, sigmoid, softmax, total

OFFSET_PRIOR = 200.0  # reference §3.5: an offset is shrunk by n / (n + 200)
SLOPE_PENALTY = 1e-3  # keeps the slope finite where a score separates the levels; the data outweighs it
GOLDEN = 0.6180339887498949


def spread(y: Array, levels: int) -> Array:
    """P(level ≥ j) that a label states: float64[n, levels − 1]; a mean of judges between two levels shares out."""
    return np.clip(np.asarray(y, dtype=np.float64)[:, None] - np.arange(levels - 1)[None, :], 0.0, 1.0)


def cumulative_link(score: Array, y: Array, weight: Array, levels: int) -> tuple[float, Array]:
    """(slope, cuts) of P(level ≥ j) = σ(slope·score − cut_j) by Newton's method on the sum of the binary losses.

    The binary decisions are fitted together (one slope), each with its own cut: the "all thresholds" loss of
    Rennie & Srebro 2005, convex and always giving rising cuts.  A level that no label reaches or all reach gets
    the cut that one half-label would give.
    """
    target = spread(y, levels)
    mass = total(weight)
    share = np.array([inner(np.ascontiguousarray(target[:, j]), weight) for j in range(levels - 1)])
    share = (share + 0.5) / (mass + 1.0)
    target = (target * mass + share[None, :]) / (mass + 1.0)  # one label's worth of the base rate: finite everywhere
    slope, cuts = 1.0, log((1.0 - share) / share) + total(weight * score) / mass
    value = _link_loss(score, target, weight, slope, cuts)
    for _ in range(200):
        p = sigmoid(slope * score[:, None] - cuts[None, :])
        error, curve = weight[:, None] * (p - target), weight[:, None] * np.maximum(p * (1.0 - p), 1e-12)
        g_cut = np.array([-total(error[:, j]) for j in range(levels - 1)])
        h_cut = np.array([total(curve[:, j]) for j in range(levels - 1)])
        h_both = np.array([-total(curve[:, j] * score) for j in range(levels - 1)])
        g_slope = total(error * score[:, None]) + SLOPE_PENALTY * slope
        h_slope = total(curve * (score * score)[:, None]) + SLOPE_PENALTY
        # the Hessian is an arrow: one slope against diagonal cuts
        d_slope = (g_slope - total(h_both * g_cut / h_cut)) / (h_slope - total(h_both * h_both / h_cut))
        d_cuts = (g_cut - h_both * d_slope) / h_cut
        step = 1.0
        while True:
            new = _link_loss(score, target, weight, slope - step * d_slope, cuts - step * d_cuts)
            if new <= value or step < 1e-9:
                break
            step *= 0.5
        slope, cuts = slope - step * d_slope, cuts - step * d_cuts
        if abs(value - new) <= 1e-12 * (1.0 + abs(value)):
            break
        value = new
    return float(slope), cuts


def _link_loss(score: Array, target: Array, weight: Array, slope: float, cuts: Array) -> float:
    p = np.clip(sigmoid(slope * score[:, None] - cuts[None, :]), 1e-15, 1.0 - 1e-15)
    loss = -(target * log(p) + (1.0 - target) * log(1.0 - p))
    return total(weight[:, None] * loss) + 0.5 * SLOPE_PENALTY * slope * slope


def temperature(logits: Array, target: Array, weight: Array) -> float:
    """The factor in [0.05, 20] that minimises the log loss of softmax(factor × logits): golden section on its
    logarithm (the loss is convex in the factor, so it has one minimum)."""

    def loss(at: float) -> float:
        p = np.maximum(softmax(logits * _power(at)), 1e-300)
        return total(weight[:, None] * (-target * log(p)))

    low, high = -3.0, 3.0
    a, b = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_a, at_b = loss(a), loss(b)
    for _ in range(40):
        if at_a <= at_b:
            high, b, at_b = b, a, at_a
            a = high - GOLDEN * (high - low)
            at_a = loss(a)
        else:
            low, a, at_a = a, b, at_b
            b = low + GOLDEN * (high - low)
            at_b = loss(b)
    return _power(0.5 * (low + high))


def _power(at: float) -> float:
    return float(exp(np.array([at]))[0])


def category_offsets(residual: Array, p: Array, weight: Array) -> Array:
    """Mean residual of each category, shrunk by n/(n + 200); membership is the predicted probability."""
    out = np.zeros(p.shape[1])
    for c in range(p.shape[1]):
        member = weight * p[:, c]
        out[c] = total(member * residual) / (total(member) + OFFSET_PRIOR)
    return out


def conformal_radius(residual: Array, coverage: float) -> float:
    """The ⌈(n + 1)·coverage⌉-th smallest |residual|; the largest where n is too small for the coverage."""
    ordered = np.sort(np.abs(residual))
    rank = math.ceil((len(ordered) + 1) * coverage)
    return float(ordered[min(rank, len(ordered)) - 1])


def origin_radius(residual: Array, origins: Sequence[str], coverage: float) -> float:
    """A radius for a text of an origin unlike those at hand: each of the k origins weighs 1/(k + 1), shared by its
    texts, the rest lies beyond the largest |residual|, which is given where k is too small for the coverage."""
    count = Counter(origins)
    size = np.abs(residual)
    order = np.argsort(size, kind="stable")
    mass = np.cumsum([1.0 / ((len(count) + 1) * count[origins[i]]) for i in order])
    return float(size[order[min(int(np.searchsorted(mass, coverage)), len(order) - 1)]])
