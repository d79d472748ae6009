"""Best-fit-decreasing window by window: for streams, in bounded memory.

Each window of fragments is packed into new sequences and those that the window before left open; a sequence
stays open for `carry` more windows.  So a fragment moves by less than `carry + 1` windows, and memory is
one window and a few hundred open sequences.  Padding with windows of 10,000 and one window of carry is within
0.01 % of the global plan for L from 2,048 to 131,072; without carry it is 0.7 % at 131,072.
Source: reference, packing §3.3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from packing.plan.best_fit import best_fit_moves
from packing.plan.cut import checked_lengths
from packing.plan.rows import Rows
from packing.plan.windowed_kernel import no_open, place_window

WINDOW = 10_000  # fragments
CARRY = 1  # windows


class WindowedPacker:
    """Feed lengths of fragments in their order; finished sequences come out in the order of their openers.

    The result depends on the order of fragments only, not on how they are divided among calls of `feed`.
    """

    def __init__(self, L: int, window: int = WINDOW, carry: int = CARRY) -> None:
        if window < 1 or carry < 0:
            raise ValueError(f"window {window} must be at least 1, and carry {carry} at least 0")
        self.L, self.window, self.carry = L, window, carry
        self.waiting = np.empty(0, np.int64)  # lengths of fragments of the window that is not full yet
        self.next_fragment = 0  # number of the first of them
        self.open = no_open()
        # Written over by every window: a new array of a mebibyte costs more in page faults than a window's plan.
        self._heads, self._cursors = np.empty(L + 1, np.int64), np.empty(L + 1, np.int64)

    def feed(self, lengths: NDArray[np.int64]) -> Rows:
        """Take fragments of 1 … L tokens, numbered on from those before; the sequences that are now finished.

        Raises ValueError for a length outside 1 … L, and takes nothing then.
        """
        sizes = checked_lengths(lengths, self.L)
        if sizes.size and sizes.max() > self.L:
            raise ValueError(f"a fragment of {int(sizes.max())} tokens does not fit {self.L}: cut it first")
        self.waiting = np.concatenate([self.waiting, sizes])
        whole = self.waiting.size // self.window * self.window
        done = [self._pack(self.waiting[at : at + self.window]) for at in range(0, whole, self.window)]
        self.waiting = self.waiting[whole:].copy()  # a view would keep all that was fed alive
        return _joined(done)

    def finish(self) -> Rows:
        """Pack what waits and close every open sequence."""
        done = [self._pack(self.waiting)] if self.waiting.size else []
        self.waiting = np.empty(0, np.int64)
        done.append(self.open.members)
        self.open = no_open()
        return _joined(done)

    def _pack(self, sizes: NDArray[np.int64]) -> Rows:
        """Pack one window; the sequences that are full or have been open for long enough."""
        moves = best_fit_moves(np.bincount(sizes, minlength=self.L + 1), self.L, self.open.rooms, self._heads)
        first, self.next_fragment = self.next_fragment, self.next_fragment + sizes.size
        finished, self.open = place_window(sizes, moves, self.L, self.carry, self.open, first, self._cursors)
        return finished


def _rows(entries: NDArray[np.int64], sizes: NDArray[np.int64]) -> Rows:
    starts = np.zeros(sizes.size + 1, np.int64)
    np.cumsum(sizes, out=starts[1:])
    return Rows(entries, starts)


def _joined(parts: list[Rows]) -> Rows:
    empty = [np.empty(0, np.int64)]
    return _rows(
        np.concatenate(empty + [part.fragments for part in parts]),
        np.concatenate(empty + [np.diff(part.starts) for part in parts]),
    )
