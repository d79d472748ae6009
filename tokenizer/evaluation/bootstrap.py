"""Intervals for ratios of sums: the percentile bootstrap over documents (or pages), seeded.

A ratio such as bytes per token is Σ bytes / Σ tokens, so whole units are drawn with replacement and both sums
formed again (Efron & Tibshirani 1993, §13.3).  All ratios of one group share the same draws: comparisons of two
tokenizers on the same documents are paired.  Units are sorted by hash, so the order of the input cannot matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

REPLICATES = 1_000
LEVEL = 0.95
MAX_UNITS = 4_096  # above this, units are resampled in 4,096 blocks by the upper bits of their hash
BLOCK_BITS = 12
_DRAWS = 1 << 20  # drawn at a time: bounds the memory


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; `low` and `high` are null for fewer than two units."""

    value: float
    low: float | None = None
    high: float | None = None


class Units:
    """Sums of integer columns per unit, keyed by the unit's 64-bit hash; at most about 2 × MAX_UNITS rows held.

    Once more than MAX_UNITS different units were seen, units with the same upper 12 bits are one block.  Blocks
    are again independent sums, so intervals of ratios keep their meaning; and which units share a block does not
    depend on the order in which they came.
    """

    def __init__(self, columns: int) -> None:
        self.keys = np.empty(0, np.uint64)
        self.values = np.empty((0, columns), np.int64)
        self.folded = False
        self._pending: list[tuple[NDArray[np.uint64], NDArray[np.int64]]] = []
        self._waiting = 0

    def add(self, keys: NDArray[np.uint64], values: NDArray[np.int64], folded: bool = False) -> None:
        """Add rows: uint64[n] and int64[n, columns]; `folded` where the keys are already blocks'."""
        self.folded |= folded
        self._pending.append((keys, values))
        self._waiting += len(keys)
        if self._waiting > MAX_UNITS:
            self.settle()

    def settle(self) -> Units:
        """Sum the rows of each unit; afterwards `keys` is ascending and distinct."""
        keys = np.concatenate([self.keys, *(k for k, _ in self._pending)])
        values = np.concatenate([self.values, *(v for _, v in self._pending)])
        self._pending, self._waiting = [], 0
        self.keys, self.values = _summed(self._blocks(keys), values)
        if len(self.keys) > MAX_UNITS and not self.folded:
            self.folded = True
            self.keys, self.values = _summed(self._blocks(self.keys), self.values)
        return self

    def _blocks(self, keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
        shift = np.uint64(64 - BLOCK_BITS)
        return (keys >> shift) << shift if self.folded else keys


def _summed(keys: NDArray[np.uint64], values: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    if not len(keys):
        return keys, values
    order = np.argsort(keys, kind="stable")
    keys, values = keys[order], values[order]
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return keys[first], np.add.reduceat(values, first, axis=0)


def resampled_sums(values: NDArray[np.int64], seed: int, replicates: int = REPLICATES) -> NDArray[np.float64]:
    """float64[replicates, columns]: column sums over n units drawn with replacement from values[n, columns].

    The draws depend on n and seed alone.  Sums of integers below 2^53 are exact, so the result is the same on
    every machine.
    """
    n = len(values)
    generator = np.random.Generator(np.random.PCG64(seed))
    sums = np.empty((replicates, values.shape[1]), np.float64)
    columns = values.astype(np.float64)
    step = max(1, _DRAWS // max(n, 1))
    for start in range(0, replicates, step):
        rows = min(step, replicates - start)
        drawn = generator.integers(0, n, (rows, n)) + n * np.arange(rows)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)
        sums[start : start + rows] = weights.astype(np.float64) @ columns
    return sums


def estimate(
    numerator: float, denominator: float, sums: NDArray[np.float64] | None, over: int, under: int
) -> Estimate | None:
    """numerator / denominator with the interval of the columns `over` / `under` of `resampled_sums`.

    None where there is nothing to divide by.  A draw without any denominator is left out.
    """
    if not denominator:
        return None
    value = float(numerator / denominator)
    if sums is None:
        return Estimate(value)
    return Estimate(value, *interval(sums[:, over], sums[:, under]))


def interval(over: NDArray[np.float64], under: NDArray[np.float64]) -> tuple[float, float]:
    """The middle 95 % of the ratios (linear interpolation between order statistics)."""
    drawn = under > 0
    low, high = np.quantile(over[drawn] / under[drawn], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
