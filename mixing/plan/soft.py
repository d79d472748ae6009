"""Repeats that lose value bit by bit: effective unique tokens, and the plan that makes most of them.

Muennighoff 2023: x tokens from U unique ones are worth D′ = x up to one epoch, and after it
D′ = U + U·R(1 − exp(−r/R)), r = x/U − 1 repeats, R = 15.387756.  The plan maximises Σ v_i·D′_i, v = q/b.
Stationarity: v_i·exp(−(e_i − 1)/R_i) = ν, so e_i = 1 + R_i·ln(v_i/ν) for cells worth repeating, nothing
for cells with v_i < ν, and between 0 and 1 epoch where v_i = ν.
"""

from __future__ import annotations

import numpy as np

from mixing.plan.groups import Groups
from mixing.plan.waterfill import Array


def effective_tokens(x: Array, unique: Array, r_star: Array) -> Array:
    """D′ of each cell, in tokens that count like fresh ones."""
    there = unique > 0
    repeats = np.zeros(len(x))
    repeats[there] = np.maximum(x[there] / unique[there] - 1, 0)
    worth: Array = np.minimum(x, unique) + unique * r_star * -np.expm1(-repeats / r_star)
    return worth


def _held(price: float, log_v: Array, unique: Array, limit: Array, r_star: Array) -> tuple[Array, Array]:
    """(least, most) tokens of each cell at log ν = price: they differ only where v = ν."""
    epochs = 1 + r_star * (log_v - price)
    most = np.where(log_v >= price, np.minimum(limit, unique * epochs), 0.0)
    least = np.where(log_v > price, most, 0.0)
    return least, most


def soft_fill(log_v: Array, unique: Array, limit: Array, r_star: Array, amount: float) -> tuple[Array, float]:
    """(x, log ν) with Σ x = amount that maximises Σ v·D′ on 0 ≤ x ≤ limit.

    The sum falls with ν, in jumps at the v and in straight lines (in log ν) between them: the piece is
    found among the breakpoints, the rest is a linear equation.
    """
    there = limit > 0
    if amount <= 0 or not there.any():
        return np.zeros(len(log_v)), np.inf
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = log_v[there] - np.maximum(limit[there] / unique[there] - 1, 0) / r_star[there]
    points = np.unique(np.concatenate([log_v[there], ends[np.isfinite(ends)]]))[::-1]
    low, high = 0, len(points)  # the first point at which `most` reaches the amount
    while low < high:
        middle = (low + high) // 2
        if _held(points[middle], log_v, unique, limit, r_star)[1].sum() >= amount:
            high = middle
        else:
            low = middle + 1
    above = points[low - 1] if low else np.inf
    point = points[low] if low < len(points) else -np.inf
    base = _held(above, log_v, unique, limit, r_star)[1] if low else np.zeros(len(log_v))
    least = _held(point, log_v, unique, limit, r_star)[0] if low < len(points) else None
    if least is None or least.sum() > amount:  # between two points: only the slope counts
        rising = (log_v >= above) & (base < limit)
        slope = float((unique * r_star)[rising].sum())
        if slope <= 0:
            return base, above
        price = above - (amount - float(base.sum())) / slope
        return np.minimum(limit, np.where(rising, base + unique * r_star * (above - price), base)), price
    most = _held(point, log_v, unique, limit, r_star)[1]
    jump = most - least
    share = (amount - float(least.sum())) / jump.sum() if jump.sum() > 0 else 0.0
    return least + share * jump, point


def soft_with_floors(log_v: Array, unique: Array, limit: Array, r_star: Array, total: float, floors: Groups) -> Array:
    """`soft_fill` under category floors, by the active set of `groups.with_floors`: ν only rises."""
    bound = np.zeros(len(floors.bound), bool)
    x = np.zeros(len(log_v))
    while True:
        free = ~bound[floors.of]
        left = total - float(floors.bound[bound].sum())
        x[free] = soft_fill(log_v[free], unique[free], limit[free], r_star[free], left)[0]
        wrong = ~bound & (floors.sums(x) < floors.bound)
        if not wrong.any():
            return x
        bound |= wrong
        for group in np.flatnonzero(wrong):
            mine = floors.of == group
            part = soft_fill(log_v[mine], unique[mine], limit[mine], r_star[mine], float(floors.bound[group]))
            x[mine] = part[0]
