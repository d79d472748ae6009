"""Sequences as lists of fragments, and the order of fragments inside a sequence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Rows:
    """Sequences in order: row r holds `fragments[starts[r] : starts[r + 1]]`, numbers of fragments."""

    fragments: NDArray[np.int64]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return self.starts.size - 1

    def __getitem__(self, row: int) -> NDArray[np.int64]:
        return self.fragments[self.starts[row] : self.starts[row + 1]]

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        return (self[row] for row in range(len(self)))

    def row_of_entry(self) -> NDArray[np.int64]:
        """int64[fragments]: the row of each entry."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))


def rows_of(bins: NDArray[np.int64], count: int) -> Rows:
    """The fragments of each of `count` sequences, in increasing number; `bins` int64[f] as of a `Packing`."""
    starts = np.zeros(count + 1, np.int64)
    np.cumsum(np.bincount(bins, minlength=count), out=starts[1:])
    return Rows(np.argsort(bins, kind="stable"), starts)


def shuffle_within(rows: Rows, keys: NDArray[np.uint64], unfinished: NDArray[np.bool_] | None = None) -> Rows:
    """The same sequences, the fragments of each in the order of their keys.

    Best-fit always puts short documents last, and a model would learn it.  `keys` uint64[f] by fragment number
    are keyed hashes (equal keys: lower number first).  Fragments that are `unfinished` bool[f] (no EOS ends
    them) go last, so that a reader that infers boundaries from EOS sees none missing.
    """
    entries = rows.fragments
    last = np.zeros(entries.size, np.bool_) if unfinished is None else unfinished[entries]
    order = np.lexsort((entries, keys[entries], last, rows.row_of_entry()))
    return Rows(entries[order], rows.starts)
