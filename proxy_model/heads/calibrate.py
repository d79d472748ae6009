"""Calibration on documents that the heads did not see: one factor a head, one radius a score.

A factor multiplies all logits of a head (its inverse is the temperature): the ranks stay, only the certainty changes.
The loss is convex in it, so golden section finds the one minimum.  Radius: as tier 0, `conformal_radius`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from proxy_model.heads.ordinal import at_least, ordinal_nats

LEAST, MOST = 0.05, 20.0
GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class HeldOut:
    """What heads say of documents that they did not see, before calibration.

    rows: int64 [m] in the training set; scores [m, D]; cuts [D, L − 1]; logits [m, C].
    """

    rows: Tensor
    scores: Tensor
    cuts: Tensor
    logits: Tensor


def score_factor(parts: Sequence[HeldOut], dimension: int, target: Tensor, weight: Tensor) -> float:
    """The factor for one score; target [n, L] and weight [n] of the whole training set."""

    def loss(factor: float) -> float:
        total = 0.0
        for part in parts:
            nats = ordinal_nats(part.scores[:, dimension], part.cuts[dimension], target[part.rows], factor)
            total += float((weight[part.rows] * nats).sum())
        return total

    return best_factor(loss)


def category_factor(parts: Sequence[HeldOut], category: Tensor, weight: Tensor) -> float:
    """The factor of the category's logits; category int64 [n]."""

    def loss(factor: float) -> float:
        total = 0.0
        for part in parts:
            log_p = torch.log_softmax(part.logits * factor, dim=1)
            total -= float((weight[part.rows] * log_p.gather(1, category[part.rows, None])[:, 0]).sum())
        return total

    return best_factor(loss)


def best_factor(loss: Callable[[float], float]) -> float:
    """The factor in [LEAST, MOST] with the least loss, which has one minimum there; to 1e-6 of its logarithm."""
    low, high = math.log(LEAST), math.log(MOST)
    while high - low > 1e-6:
        a, b = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        if loss(math.exp(a)) <= loss(math.exp(b)):
            high = b
        else:
            low = a
    return math.exp((low + high) / 2)


def above_of(parts: Sequence[HeldOut], factors: Sequence[float], n: int) -> Tensor:
    """P(level ≥ j) [n, D, L − 1] of every row; rows of no part are NaN."""
    dimensions, cuts = parts[0].cuts.shape
    made = torch.full((n, dimensions, cuts), math.nan, dtype=torch.float64)
    for part in parts:
        for d, factor in enumerate(factors):
            made[part.rows, d] = at_least(part.scores[:, d], part.cuts[d], factor).double()
    return made
