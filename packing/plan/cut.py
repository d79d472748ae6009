"""Documents longer than a sequence become fragments: the first step of a plan.

Every fragment has at most L tokens; a document of at most L tokens is always one fragment, so nothing
here is cut that need not be.  In every policy a fragment that does not end its document is longer than
L / 2, so a sequence holds at most one of them; `rows.shuffle_within` puts it last, and a reader that
infers boundaries from EOS tokens is right too.  Source: reference, packing §3.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from packing.layout.files import FIRST, LAST, TRUNCATED

LongPolicy = Literal["split", "split_balanced", "truncate", "drop"]
MIN_FRAGMENT = 32  # tokens; a shorter tail says nothing without its context and costs an index entry
MAX_LENGTH = 2**31 - 1  # tokens of a sequence: an int32 in the kernels and in every export


@dataclass(frozen=True)
class Fragments:
    """Pieces of documents, in document order: arrays of f entries."""

    doc: NDArray[np.int64]  # number of the document in the input
    offset: NDArray[np.int64]  # its first token within the document
    length: NDArray[np.int64]  # tokens, 1 … L
    flags: NDArray[np.uint8]  # FIRST | LAST | TRUNCATED of packing.layout.files

    def __len__(self) -> int:
        return self.doc.size

    @property
    def unfinished(self) -> NDArray[np.bool_]:
        """True where the document goes on elsewhere or was truncated: no EOS ends the fragment."""
        found: NDArray[np.bool_] = (self.flags & LAST) == 0
        return found


def cut_documents(
    lengths: NDArray[np.int64], L: int, policy: LongPolicy = "split", min_fragment: int = MIN_FRAGMENT
) -> tuple[Fragments, NDArray[np.int64]]:
    """Fragments of documents of `lengths` int64[n] tokens (EOS included), and the numbers of dropped documents.

    For a document of more than L tokens:
    split           pieces of L, then the tail; a tail under `min_fragment` (at most L // 2) takes the tokens it
                    lacks from the piece before it
    split_balanced  ⌈length / L⌉ pieces whose lengths differ by at most one, the longer first
    truncate        the first L tokens
    drop            nothing

    Raises ValueError for a length under 1 or an unknown policy.
    """
    sizes = checked_lengths(lengths, L)
    if policy not in get_args(LongPolicy):
        raise ValueError(f"unknown policy {policy!r} for long documents; one of {', '.join(get_args(LongPolicy))}")
    if policy == "drop":
        kept = np.flatnonzero(sizes <= L)
        return _whole(kept, sizes[kept], sizes[kept]), np.flatnonzero(sizes > L)
    if policy == "truncate":
        return _whole(np.arange(sizes.size), np.minimum(sizes, L), sizes), np.empty(0, np.int64)
    pieces = -(-sizes // L)
    doc = np.repeat(np.arange(sizes.size), pieces)
    number = np.arange(doc.size) - np.repeat(np.cumsum(pieces) - pieces, pieces)  # of the piece in its document
    split = _balanced if policy == "split_balanced" else _full
    offset, end = split(number, sizes[doc], pieces[doc], L, min(min_fragment, L // 2))
    flags = np.where(number == 0, FIRST, 0) | np.where(number == pieces[doc] - 1, LAST, 0)
    return Fragments(doc, offset, end - offset, flags.astype(np.uint8)), np.empty(0, np.int64)


def checked_lengths(lengths: NDArray[np.int64], L: int) -> NDArray[np.int64]:
    """`lengths` as int64; ValueError for one under 1, an array that is not one row of integers, or a bad L."""
    if not 1 <= L <= MAX_LENGTH:
        raise ValueError(f"sequence length {L} is not between 1 and {MAX_LENGTH}")
    sizes = np.asarray(lengths)
    if sizes.ndim != 1 or (sizes.size and sizes.dtype.kind not in "iu"):
        raise ValueError(f"lengths must be one row of integers, not {sizes.ndim}-dimensional {sizes.dtype}")
    sizes = sizes.astype(np.int64, copy=False)
    if sizes.size and sizes.min() < 1:
        raise ValueError(f"item {int(sizes.argmin())} has {int(sizes.min())} tokens; every document has at least EOS")
    return sizes


def _whole(doc: NDArray[np.int64], length: NDArray[np.int64], full: NDArray[np.int64]) -> Fragments:
    """One fragment a document, from its begin."""
    flags = np.where(length < full, FIRST | TRUNCATED, FIRST | LAST).astype(np.uint8)
    return Fragments(doc, np.zeros(doc.size, np.int64), length, flags)


Ends = tuple[NDArray[np.int64], NDArray[np.int64]]  # first token of each piece, and the token after its last


def _full(number: NDArray[np.int64], size: NDArray[np.int64], pieces: NDArray[np.int64], L: int, shortest: int) -> Ends:
    lacking = np.maximum(0, shortest - (size - (pieces - 1) * L)) * (pieces > 1)
    last = number == pieces - 1
    offset = number * L - lacking * last
    end = np.where(last, size, (number + 1) * L - lacking * (number == pieces - 2))
    return offset, end


def _balanced(
    number: NDArray[np.int64], size: NDArray[np.int64], pieces: NDArray[np.int64], L: int, shortest: int
) -> Ends:
    base, longer = size // pieces, size % pieces  # the first `longer` pieces have one token more
    return number * base + np.minimum(number, longer), (number + 1) * base + np.minimum(number + 1, longer)
