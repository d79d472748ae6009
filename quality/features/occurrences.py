"""How often each feature occurs in one document: a table by open addressing, as large as the document needs.

It stays in the cache for most documents and is bounded by the number of buckets for the others (24 MB at the
default sizes).  Features wait in a list and are counted many at a time, so that their look-ups overlap.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curation.text.hashing import STEP, finish
from curation.text.kernel import kernel_function
from quality.features.counters import SKETCH_BITS
from quality.features.space import FeatureSpace

ZERO, ONE, SIX, HIGH = np.uint64(0), np.uint64(1), np.uint64(6), np.uint64(32)
LOW, LOW_SIX = np.uint64(0xFFFF_FFFF), np.uint64(63)
ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
SKETCH_WORDS = 1 << (SKETCH_BITS - 6)
PENDING = 1024  # features that wait to be counted: two times 8 KB
SMALLEST = 64  # slots


class Workspace(NamedTuple):
    """Scratch of one document; the table is all zero between documents."""

    table: NDArray[np.uint64]  # bucket + 1 in the high 32 bits, its count in the low; a document uses the first 2^b
    touched: NDArray[np.uint32]  # slots in the order of their features' first occurrence
    sketch: NDArray[np.uint64]  # [3, SKETCH_WORDS] bits: tokens, pairs, lines
    pending: NDArray[np.uint64]  # [2, PENDING] hashes of tokens and pairs, and 4-grams, not yet counted


def new_workspace(space: FeatureSpace, longest: int) -> Workspace:
    """For documents of at most `longest` bytes; at most some 12 times as many bytes as there are buckets."""
    largest = (space.buckets * 3 // 2).bit_length()
    slots = 1 << min(table_bits(longest), largest)
    return Workspace(
        np.zeros(slots, np.uint64),
        np.empty(slots, np.uint32),
        np.zeros((3, SKETCH_WORDS), np.uint64),
        np.empty((2, PENDING), np.uint64),
    )


def table_bits(length: int) -> int:
    """Slots (their logarithm) for a text of `length` bytes: at most 3 features a byte, mostly fewer than 1."""
    return max((4 * length).bit_length(), SMALLEST.bit_length() - 1)


@kernel_function
def table_shift(work, length):  # type: ignore[no-untyped-def]
    """64 less the logarithm of the slots that a text of `length` bytes uses."""
    slots = SMALLEST
    while slots < 4 * length and slots < len(work.table):
        slots *= 2
    shift = np.uint64(64)
    while slots > 1:
        slots //= 2
        shift -= ONE
    return shift


@kernel_function
def add_feature(bucket, table, shift, touched, n):  # type: ignore[no-untyped-def]
    """Count `bucket` in the document's table; `n` is how many are in it, and the place of a new one in `touched`."""
    key = bucket + ONE
    slot = (key * STEP) >> shift
    entry = table[slot]
    while (entry >> HIGH != key) & (entry != ZERO):  # one branch, seldom taken: `and` would be two
        slot = (slot + ONE) & (ALL >> shift)
        entry = table[slot]
    touched[n] = slot
    table[slot] = (key << HIGH | entry & LOW) + ONE
    return n + (entry == ZERO)


@kernel_function
def count_pending(work, words, grams, shifts, shift, found):  # type: ignore[no-untyped-def]
    """Count the hashes of `words` tokens and pairs and `grams` 4-grams; returns how many features there are.

    shifts: those of the hash space; shift: `table_shift`; found: the features before.
    """
    word_shift, char_shift = shifts[0], shifts[1]
    first_char_bucket = ONE << (np.uint64(64) - word_shift)
    table, touched, pending = work.table, work.touched, work.pending
    for k in range(grams):
        pending[1, k] = first_char_bucket + (finish(pending[1, k]) >> char_shift)
    for k in range(words):
        found = add_feature(pending[0, k] >> word_shift, table, shift, touched, found)
    for k in range(grams):
        found = add_feature(pending[1, k], table, shift, touched, found)
    return found
