"""Weights of queues along a training stage: piecewise linear in tokens, and their integral.

`ideal(T)` is how many of the first T tokens each queue should have given; `reached(k, v)` is its inverse.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError

Floats = NDArray[np.float64]
SMALLEST_SHARE = 1e-15  # less than a token of any corpus; dividing by it would overflow


@dataclass(frozen=True)
class WeightPath:
    """Knots `at` float64[m] tokens (from 0 on, a repeated one is a jump) and `weights` float64[m, K] there.

    Linear between knots, constant after the last; each row sums to 1.  Make one with `static`
    or `path`, which check and normalise.
    """

    at: Floats
    weights: Floats

    @property
    def queues(self) -> int:
        return int(self.weights.shape[1])

    @cached_property
    def cumulative(self) -> Floats:
        """float64[m, K]: tokens that each queue should have given at each knot."""
        areas = (self.weights[1:] + self.weights[:-1]) / 2 * np.diff(self.at)[:, None]
        return np.concatenate([np.zeros((1, self.queues)), np.cumsum(areas, 0)])

    @cached_property
    def slopes(self) -> Floats:
        """float64[m, K]: change of the weight per token after each knot; 0 after the last and at a jump."""
        steps = np.diff(self.at)[:, None]
        slopes = np.divide(
            np.diff(self.weights, axis=0), steps, out=np.zeros((self.at.size - 1, self.queues)), where=steps > 0
        )
        return np.concatenate([slopes, np.zeros((1, self.queues))])

    def weight(self, tokens: Floats, queue: int) -> Floats:
        """Weight of a queue after so many tokens."""
        segment, inside = self._segment(tokens)
        found: Floats = self.weights[segment, queue] + self.slopes[segment, queue] * inside
        return found

    def ideal(self, tokens: Floats, queue: int) -> Floats:
        """How many of the first `tokens` tokens the queue should have given."""
        segment, inside = self._segment(tokens)
        mean = self.weights[segment, queue] + self.slopes[segment, queue] * inside / 2
        found: Floats = self.cumulative[segment, queue] + mean * inside
        return found

    def reached(self, queue: int, tokens: float) -> float:
        """The least number of tokens in all after which the queue should have given `tokens`; inf if never."""
        if tokens <= 0:
            return 0.0
        for segment in range(self.at.size):
            if segment + 1 < self.at.size and self.cumulative[segment + 1, queue] < tokens:
                continue
            missing = tokens - self.cumulative[segment, queue]
            begin, slope = self.weights[segment, queue], self.slopes[segment, queue]
            root = begin + np.sqrt(max(0.0, begin * begin + 2 * slope * missing))
            return float(self.at[segment] + 2 * missing / root) if root > 0 else float("inf")
        return float("inf")

    def _segment(self, tokens: Floats) -> tuple[NDArray[np.int64], Floats]:
        total = np.asarray(tokens, np.float64)
        segment = np.searchsorted(self.at, total, "right") - 1
        return segment, total - self.at[segment]


def static(weights: Floats | list[float]) -> WeightPath:
    """The same weights throughout."""
    return path([0.0], [weights])


def path(at: list[float], weights: list[Floats] | list[list[float]] | list[Floats | list[float]]) -> WeightPath:
    """Checked and normalised knots.  Raises UsageError for a negative or all-zero row, or one of another length."""
    if len({len(row) for row in weights}) != 1 or len(at) != len(weights):
        raise UsageError(f"weights of {sorted({len(row) for row in weights})} queues do not go together")
    table = np.array(weights, np.float64)
    if not np.isfinite(table).all() or (table < 0).any() or (table.sum(1) <= 0).any():
        raise UsageError("queue weights must be numbers of at least 0, and one of them above 0")
    knots = np.array(at, np.float64)
    if knots[0] != 0 or (np.diff(knots) < 0).any():
        raise UsageError(f"knots of weights must rise from 0, not {at}")
    shares = table / table.sum(1, keepdims=True)
    shares[shares < SMALLEST_SHARE] = 0.0
    return WeightPath(knots, shares)
