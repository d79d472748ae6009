"""Variable sequence length: documents as sums of powers of two, and rows of equally long pieces.

Dataset decomposition (Pouransari et al. 2024, arXiv 2405.13226): a document is cut into pieces whose lengths are
powers of two, so a step can train on sequences of one length and no attention crosses documents.  A row of L
tokens holds L / 2^i pieces of bucket i, so every row, and every step, has the same number of tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from packing.layout.files import FIRST, LAST, TRUNCATED
from packing.plan.cut import Fragments, checked_lengths
from packing.plan.pack import Packing, Placement

SMALLEST = 256  # tokens: the least bucket of the paper


@dataclass(frozen=True)
class Buckets:
    """A placement in which every row holds pieces of one length: `length` int64[bins], a power of two."""

    placement: Placement
    length: NDArray[np.int64]


def decompose(lengths: NDArray[np.int64], L: int, smallest: int = SMALLEST) -> tuple[Fragments, NDArray[np.int64]]:
    """Pieces of `L` as often as they fit, then the powers of two of the remainder, longest first, down to `smallest`.

    What is left under `smallest` is truncated (flag on the last piece); a document with no piece is dropped (its
    number is returned).  Raises ValueError where L or `smallest` is no power of two, or smallest > L.
    """
    if L & (L - 1) or smallest & (smallest - 1) or not 1 <= smallest <= L:
        raise ValueError(f"length buckets need powers of two, not sequence length {L} with smallest bucket {smallest}")
    sizes = checked_lengths(lengths, L)
    kept = sizes // smallest * smallest
    powers = smallest << np.arange((L // smallest).bit_length() - 1, dtype=np.int64)[::-1]  # under L, falling
    whole = kept // L
    present = (kept[:, None] & powers[None, :]) > 0  # [n, buckets under L]
    pieces = whole + present.sum(1)
    doc = np.repeat(np.arange(sizes.size), pieces)
    number = np.arange(doc.size) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    length = np.full(doc.size, L, np.int64)
    length[number >= whole[doc]] = np.broadcast_to(powers, present.shape)[present]  # documents, then falling length
    ends = np.cumsum(length)
    offset = ends - length - np.repeat((np.cumsum(kept) - kept), pieces)
    last = number == pieces[doc] - 1
    cut = (sizes > kept)[doc]
    flags = np.where(number == 0, FIRST, 0) | np.where(last & cut, TRUNCATED, 0) | np.where(last & ~cut, LAST, 0)
    return Fragments(doc, offset, length, flags.astype(np.uint8)), np.flatnonzero(pieces == 0)


def place_buckets(lengths: NDArray[np.int64], L: int, smallest: int = SMALLEST) -> Buckets:
    """Rows of L tokens with pieces of one bucket each, in document order; the last row of a bucket is padded.

    Rows are numbered by their first piece, so the buckets mix as the documents do.
    """
    fragments, dropped = decompose(lengths, L, smallest)
    row = np.empty(len(fragments), np.int64)
    lengths_of_rows: list[NDArray[np.int64]] = []
    rows = 0
    for bucket in np.unique(fragments.length):
        mine = np.flatnonzero(fragments.length == bucket)
        row[mine] = rows + np.arange(mine.size) // (L // bucket)
        count = int(-(-mine.size // (L // bucket)))
        lengths_of_rows.append(np.full(count, bucket, np.int64))
        rows += count
    _, first = np.unique(row, return_index=True)
    order = np.argsort(first, kind="stable")  # rows by their first piece
    number = np.empty(rows, np.int64)
    number[order] = np.arange(rows)
    length = np.concatenate([*lengths_of_rows, np.empty(0, np.int64)])
    return Buckets(Placement(fragments, Packing(number[row], rows), dropped), length[order])
