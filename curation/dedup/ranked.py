"""A set of documents as one bit each, numbered in the order of their positions: 0.19 bytes a document.

`rank` turns positions of members into dense numbers, which index arrays of 4 bytes a member.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.dedup.inputs import ROW_MASK, Positions
from curation.pipeline.barrier import ROW_BITS
from curation.text.kernel import cached_kernel, kernel_function

ONE = np.uint64(1)
WORD = np.uint64(63)
SHARD, ROW = np.uint64(ROW_BITS), np.uint64(ROW_MASK)


class RankedSet:
    """`add` positions, `seal`, then `rank` them."""

    def __init__(self, rows: list[int]) -> None:
        self._base = np.cumsum([0, *rows]).astype(np.int64)
        self._bits = np.zeros(int(self._base[-1]) // 64 + 1, np.uint64)
        self._before = np.empty(0, np.uint32)
        self.size = 0

    def add(self, positions: Positions) -> None:
        """Make these documents members."""
        _set_bits(self._bits, self._base, positions)

    def seal(self) -> None:
        """No more members.  Raises OverflowError beyond 2^32 − 1 of them."""
        self._before = np.empty(len(self._bits), np.uint32)
        self.size = int(_count_before(self._bits, self._before))
        if self.size > np.iinfo(np.uint32).max:
            raise OverflowError(f"{self.size:,} candidates: more than one barrier can number")

    def rank(self, positions: Positions) -> NDArray[np.uint32]:
        """Numbers of members, from 0 in order of position."""
        ranks = np.empty(len(positions), np.uint32)
        _rank(self._bits, self._before, self._base, positions, ranks)
        return ranks

    def holds(self, positions: Positions) -> NDArray[np.bool_]:
        """Which of the documents are members."""
        found = np.empty(len(positions), np.bool_)
        _holds(self._bits, self._base, positions, found)
        return found


@kernel_function
def _ordinal(base, position):  # type: ignore[no-untyped-def]
    """The document's number among all rows of all shards."""
    p = np.uint64(position)
    return np.uint64(base[p >> SHARD]) + (p & ROW)


def _build_set(sources: int) -> Any:
    def set_bits(bits, base, positions):  # type: ignore[no-untyped-def]
        for i in range(len(positions) if sources >= 0 else 0):
            ordinal = _ordinal(base, positions[i])
            bits[ordinal >> np.uint64(6)] |= ONE << (ordinal & WORD)

    return cached_kernel(set_bits)


def _build_count(sources: int) -> Any:
    def count_before(bits, before):  # type: ignore[no-untyped-def]
        """Members before each word; returns how many there are."""
        total = 0 if sources >= 0 else -1
        for i in range(len(bits)):
            before[i] = np.uint32(total)
            word = bits[i]
            while word:
                word &= word - ONE
                total += 1
        return total

    return cached_kernel(count_before)


def _build_rank(sources: int) -> Any:
    def rank_members(bits, before, base, positions, ranks):  # type: ignore[no-untyped-def]
        for i in range(len(positions) if sources >= 0 else 0):
            ordinal = _ordinal(base, positions[i])
            rest = bits[ordinal >> np.uint64(6)] & ((ONE << (ordinal & WORD)) - ONE)
            rest = rest - ((rest >> ONE) & np.uint64(0x5555555555555555))  # bits of a word counted in parallel
            rest = (rest & np.uint64(0x3333333333333333)) + ((rest >> np.uint64(2)) & np.uint64(0x3333333333333333))
            rest = (rest + (rest >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
            ranks[i] = before[ordinal >> np.uint64(6)] + np.uint32(
                (rest * np.uint64(0x0101010101010101)) >> np.uint64(56)
            )

    return cached_kernel(rank_members)


def _build_holds(sources: int) -> Any:
    def holds_members(bits, base, positions, found):  # type: ignore[no-untyped-def]
        for i in range(len(positions) if sources >= 0 else 0):
            ordinal = _ordinal(base, positions[i])
            found[i] = (bits[ordinal >> np.uint64(6)] >> (ordinal & WORD)) & ONE != 0

    return cached_kernel(holds_members)


_holds = _build_holds(0)
_set_bits = _build_set(0)
_count_before = _build_count(0)
_rank = _build_rank(0)
