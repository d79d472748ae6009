"""Where a document stands among all: percentiles, standardised scores and the mixing score.

    z(v; c)   = (v − mean_c) / sd_c                        weighted by bytes, 0 where sd_c = 0
    mix_score = mean over the two scores of (1 − r) · z(v; all) + r · z(v; category),   r = 0.5
    pct       = (documents below + half of those at the same value) / documents        (mid-rank)

Within a category mean and variance are drawn to those of the whole by SHRINK documents' worth, so that the only
document of a category is not its average by definition.  Values are counted in steps of 1/STEPS of a level: tables
of a fixed size stand for any number of documents, and integer counts do not depend on their order.
Source: reference §3.5; CONTRACTS, Document columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STEPS = 8192  # of one level
BINS = 5 * STEPS + 1
SHRINK = 50  # documents


def levels(values: NDArray[np.floating]) -> NDArray[np.int64]:
    """Scores 0 … 5 as whole steps; what lies outside is moved to the end."""
    return np.clip(np.rint(values.astype(np.float64) * STEPS), 0, BINS - 1).astype(np.int64)


class Counts:
    """Documents and bytes by category and level of one score: 2 × C × 40,961 integers."""

    def __init__(self, categories: int) -> None:
        self.documents = np.zeros((categories, BINS), np.int64)
        self.bytes = np.zeros((categories, BINS), np.int64)

    def add(self, values: NDArray[np.floating], category: NDArray[np.int64], sizes: NDArray[np.int64]) -> None:
        """Some more documents; a size of 0 counts as 1."""
        at = category * BINS + levels(values)
        np.add.at(self.documents.reshape(-1), at, 1)
        np.add.at(self.bytes.reshape(-1), at, np.maximum(sizes, 1))

    def standing(self) -> Standing:
        """The finished tables."""
        every = np.concatenate([self.documents.sum(0, keepdims=True), self.documents])
        sizes = np.concatenate([self.bytes.sum(0, keepdims=True), self.bytes]).astype(np.float64)
        number = every.sum(1)
        value = np.arange(BINS) / STEPS
        weight = np.maximum(sizes.sum(1), 1.0)
        mean = sizes @ value / weight
        variance = np.array([(one * (value - m) ** 2).sum() for one, m in zip(sizes, mean, strict=True)]) / weight
        own = number / (number + SHRINK)
        own[0] = 1.0
        return Standing(
            _mid_ranks(every), own * mean + (1 - own) * mean[0], np.sqrt(own * variance + (1 - own) * variance[0])
        )


def _mid_ranks(documents: NDArray[np.int64]) -> NDArray[np.float32]:
    before = np.cumsum(documents, axis=1) - documents
    number = np.maximum(documents.sum(1, keepdims=True), 1)
    return np.asarray((before + documents / 2) / number, np.float32)


@dataclass(frozen=True)
class Standing:
    """Row 0: all documents; row 1 + c: those of category c.

    ranks: float32[1 + C, BINS], the percentile (0 … 1) of each level; mean, sd: float64[1 + C].
    """

    ranks: NDArray[np.float32]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]

    def percentiles(
        self, values: NDArray[np.floating], category: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(among all, within the category)."""
        at = levels(values)
        return self.ranks[0, at], self.ranks[1 + category, at]

    def standardised(self, values: NDArray[np.floating], category: NDArray[np.int64], r: float) -> NDArray[np.float64]:
        """(1 − r) · z among all + r · z within the category."""
        return (1 - r) * self._z(values, np.zeros_like(category)) + r * self._z(values, 1 + category)

    def _z(self, values: NDArray[np.floating], row: NDArray[np.int64]) -> NDArray[np.float64]:
        sd = self.sd[row]
        away = values.astype(np.float64) - self.mean[row]
        return np.divide(away, sd, out=np.zeros_like(away), where=sd > 1e-9)


def mix_score(
    standings: tuple[Standing, ...], scores: tuple[NDArray[np.floating], ...], category: NDArray[np.int64], r: float
) -> NDArray[np.float32]:
    """The mean of the standardised scores."""
    parts = [one.standardised(values, category, r) for one, values in zip(standings, scores, strict=True)]
    return np.asarray(sum(parts) / len(parts), np.float32)
