"""What sequences hold: number of fragments and attention cost of each, tallied in bounded memory.

Attention inside documents costs Σ l² over a sequence's fragments, as a share of L² between 0 and 1; a batch
waits for its most expensive rank, so the spread matters (reference, packing §3.7).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from packing.plan.best_fit import BIN, COUNT, EACH, LENGTH, Moves
from packing.plan.rows import Rows

BLOCK = 1 << 20  # sequences that are expanded at a time
SHARES = 1000  # steps of the cost share


@dataclass(frozen=True)
class Spread:
    """Mean, quantiles and maximum over sequences."""

    mean: float
    median: float
    p90: float
    p99: float
    max: float


class RowTally:
    """Histograms over sequences of L tokens: fragments, and Σ l² / L² in steps of a thousandth (rounded up)."""

    def __init__(self, L: int) -> None:
        self.L = L
        self.fragments = np.zeros(1, np.int64)
        self.costs = np.zeros(SHARES + 1, np.int64)
        self.squares = 0  # Σ l², exact

    def add(self, fragments: NDArray[np.int64], squares: NDArray[np.int64]) -> None:
        """Sequences with so many fragments and so large Σ l², one entry each."""
        counts = np.bincount(fragments, minlength=self.fragments.size)
        counts[: self.fragments.size] += self.fragments
        self.fragments = counts
        steps = np.ceil(squares * (SHARES / (self.L * self.L))).astype(np.int64)
        self.costs += np.bincount(steps.clip(0, SHARES), minlength=SHARES + 1)
        self.squares += int(squares.sum())

    def add_bins(self, bins: NDArray[np.int64], lengths: NDArray[np.int64], count: int) -> None:
        """Sequences 0 … count - 1, of which `bins` says where each fragment is."""
        squares = np.zeros(count, np.int64)
        np.add.at(squares, bins, lengths * lengths)
        self.add(np.bincount(bins, minlength=count), squares)

    def add_rows(self, rows: Rows, lengths: NDArray[np.int64]) -> None:
        """Sequences as lists; `lengths` of the entries of `rows.fragments`."""
        self.add_bins(rows.row_of_entry(), lengths, len(rows))

    def add_moves(self, moves: Moves) -> None:
        """All sequences of a plan by groups, a block at a time: each move adds to a range of sequences."""
        table = moves.table
        squares = table[:, EACH] * table[:, LENGTH] ** 2
        for begin in range(0, moves.bins, BLOCK):
            size = min(BLOCK, moves.bins - begin)
            first = (table[:, BIN] - begin).clip(0, size)
            last = (table[:, BIN] + table[:, COUNT] - begin).clip(0, size)
            self.add(*(_spread_out(first, last, each, size) for each in (table[:, EACH], squares)))

    def fragment_spread(self) -> Spread:
        return _spread(self.fragments, 1.0)

    def cost_spread(self) -> Spread:
        """Of Σ l² / L²; the mean is exact, the others are at most a thousandth too high."""
        rough = _spread(self.costs, 1 / SHARES)
        rows = int(self.costs.sum())
        mean = self.squares / (rows * self.L**2) if rows else 0.0
        return Spread(mean, rough.median, rough.p90, rough.p99, rough.max)


def _spread_out(
    first: NDArray[np.int64], last: NDArray[np.int64], each: NDArray[np.int64], size: int
) -> NDArray[np.int64]:
    """int64[size]: the sum over ranges [first, last) of `each`."""
    change = np.zeros(size + 1, np.int64)
    np.add.at(change, first, each)
    np.subtract.at(change, last, each)
    return np.cumsum(change[:size])


def _spread(counts: NDArray[np.int64], step: float) -> Spread:
    """Of a histogram whose entry i counts values i · step; a quantile is the least value that reaches its share."""
    total = int(counts.sum())
    if total == 0:
        return Spread(0.0, 0.0, 0.0, 0.0, 0.0)
    reached = np.cumsum(counts)
    mean = float((counts * np.arange(counts.size)).sum()) * step / total
    median, p90, p99, top = (float(np.searchsorted(reached, np.ceil(q * total))) * step for q in (0.5, 0.9, 0.99, 1.0))
    return Spread(mean, median, p90, p99, top)
