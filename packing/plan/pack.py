"""Which fragments share a sequence: the one door to the packers.

`pack` places fragments (of `cut.cut_documents`) whole; `place` goes from documents to sequences by any method,
also by those that cut or crop for themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from packing.layout.files import LAST, TRUNCATED
from packing.plan.best_fit import assign, best_fit_moves, length_histogram
from packing.plan.concat import concatenate
from packing.plan.crop import crop
from packing.plan.cut import MIN_FRAGMENT, Fragments, LongPolicy, checked_lengths, cut_documents
from packing.plan.windowed import CARRY, WINDOW, WindowedPacker

Method = Literal["bfd", "windowed", "concat", "crop"]


@dataclass(frozen=True)
class Packing:
    """The sequence of each fragment, int64[f], numbered 0 … bins - 1 in training order; sequences have L tokens."""

    bin: NDArray[np.int64]
    bins: int


@dataclass(frozen=True)
class Placement:
    """Documents in sequences; `dropped` int64: numbers of documents of which nothing is kept."""

    fragments: Fragments
    packing: Packing
    dropped: NDArray[np.int64]


def pack(
    lengths: NDArray[np.int64], L: int, method: Method = "bfd", window: int = WINDOW, carry: int = CARRY
) -> Packing:
    """Sequences of L tokens for fragments of 1 … L tokens, each whole: exact best-fit-decreasing, or by windows.

    Sequences are numbered in the order of their openers (`best_fit.assign`).  int32 lengths save memory.
    Raises ValueError for a length outside 1 … L, and for `concat` and `crop`, which do not keep fragments
    whole: see `place`.
    """
    if method == "bfd":
        moves = best_fit_moves(length_histogram(lengths, L), L)
        return Packing(assign(lengths, moves, L), moves.bins)
    if method == "windowed":
        packer = WindowedPacker(L, window, carry)
        parts = [packer.feed(lengths), packer.finish()]
        bins, count = np.empty(lengths.size, np.int64), 0
        for part in parts:
            bins[part.fragments] = count + part.row_of_entry()
            count += len(part)
        return Packing(bins, count)
    if method in get_args(Method):
        raise ValueError(f"{method!r} cuts fragments while it packs: use place(lengths of documents, L, {method!r})")
    raise ValueError(f"unknown packing method {method!r}; one of {', '.join(get_args(Method))}")


def place(
    lengths: NDArray[np.int64],
    L: int,
    method: Method = "bfd",
    policy: LongPolicy = "split",
    min_fragment: int = MIN_FRAGMENT,
    window: int = WINDOW,
    carry: int = CARRY,
) -> Placement:
    """Documents of `lengths` int64[n] tokens (EOS included) to sequences of L tokens.

    `concat` has no use for `policy`; `crop` applies it first (with "truncate" it is nanochat's).
    """
    if method == "concat":
        fragments, bins = concatenate(lengths, L)
        return Placement(fragments, Packing(bins, int(bins[-1]) + 1 if bins.size else 0), np.empty(0, np.int64))
    fragments, dropped = cut_documents(checked_lengths(lengths, L), L, policy, min_fragment)
    if method != "crop":
        return Placement(fragments, pack(fragments.length, L, method, window, carry), dropped)
    bins, kept = crop(fragments.length, L)
    cropped = kept < fragments.length
    flags = np.where(cropped, (fragments.flags & ~np.uint8(LAST)) | TRUNCATED, fragments.flags).astype(np.uint8)
    return Placement(
        replace(fragments, length=kept, flags=flags), Packing(bins, int(bins.max()) + 1 if bins.size else 0), dropped
    )
