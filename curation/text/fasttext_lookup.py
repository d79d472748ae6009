"""Lookups inside the fastText kernel: dictionary words, n-gram buckets, and fastText's own hash.

A word is found by a salted 64-bit hash and then compared byte by byte, so no two words are ever
confused.  A pruned (quantised) model keeps a few of its millions of n-gram buckets: a bit set says
which, and the row of a kept one is found by its rank among them, without probing or branching.
Source of the fastText hash: facebookresearch/fastText, src/dictionary.cc, `Dictionary::hash`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.text import hashing
from curation.text.hashing import hash_bytes
from curation.text.kernel import cached_kernel, kernel_function, source_digest

FNV_BASIS = np.uint32(2166136261)
FNV_PRIME = np.uint32(16777619)


@kernel_function
def fnv_step(state, byte):  # type: ignore[no-untyped-def]
    """fastText's FNV-1a: bytes count as *signed* and are sign-extended to 32 bits."""
    return np.uint32((state ^ np.uint32(np.int32(np.int8(byte)))) * FNV_PRIME)


@kernel_function
def fnv_hash(buffer, start, end):  # type: ignore[no-untyped-def]
    """fastText's 32-bit hash of buffer[start:end]."""
    state = FNV_BASIS
    for i in range(start, end):
        state = fnv_step(state, buffer[i])
    return state


@kernel_function
def same_bytes(left, left_start, right, right_start, length):  # type: ignore[no-untyped-def]
    """Whether two byte ranges of one length are equal."""
    for k in range(length):  # noqa: SIM110 (numba has no generator expressions)
        if left[left_start + k] != right[right_start + k]:
            return False
    return True


@kernel_function
def find_word(buffer, start, end, hashed, slots, entry_bytes, entry_starts):  # type: ignore[no-untyped-def]
    """Number of the dictionary entry with these bytes, or -1; `hashed` is hash_bytes(buffer, start, end)."""
    mask = np.uint64(slots.shape[0] - 1)
    slot = hashed & mask
    while slots[slot] >= 0:
        entry = slots[slot]
        first = entry_starts[entry]
        length = end - start
        if entry_starts[entry + 1] - first == length and same_bytes(entry_bytes, first, buffer, start, length):
            return entry
        slot = (slot + np.uint64(1)) & mask
    return np.int32(-1)


@kernel_function
def is_kept(bucket, bits):  # type: ignore[no-untyped-def]
    """1 for a kept bucket of a pruned model, else 0."""
    return np.int64(bits[bucket >> 6] >> np.uint64(bucket & 63)) & 1


@kernel_function
def rank(bucket, bits, before):  # type: ignore[no-untyped-def]
    """How many kept buckets come before this one; without a branch (bits counted as in Knuth, TAOCP 7.1.3 (62))."""
    x = bits[bucket >> 6] & ((np.uint64(1) << np.uint64(bucket & 63)) - np.uint64(1))
    x -= (x >> np.uint64(1)) & np.uint64(0x5555_5555_5555_5555)
    x = (x & np.uint64(0x3333_3333_3333_3333)) + ((x >> np.uint64(2)) & np.uint64(0x3333_3333_3333_3333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F_0F0F_0F0F_0F0F)
    return np.int64(before[bucket >> 6]) + np.int64((x * np.uint64(0x0101_0101_0101_0101)) >> np.uint64(56))


def _build_fill(digest: int) -> Any:
    def fill_words(entry_bytes, entry_starts, slots):  # type: ignore[no-untyped-def]
        seed = digest  # closed over, so that a changed helper changes the cache key
        mask = np.uint64(slots.shape[0] - 1)
        for entry in range(entry_starts.shape[0] - 1):
            hashed = hash_bytes(entry_bytes, entry_starts[entry], entry_starts[entry + 1])
            start, end = entry_starts[entry], entry_starts[entry + 1]
            known = find_word(entry_bytes, start, end, hashed, slots, entry_bytes, entry_starts)
            if known >= 0:
                return known  # listed twice
            slot = hashed & mask
            while slots[slot] >= 0:
                slot = (slot + np.uint64(1)) & mask
            slots[slot] = entry
        return np.int32(-1) if seed >= 0 else np.int32(-2)

    return cached_kernel(fill_words)


_fill_words = _build_fill(source_digest(hashing))


def word_table(entry_bytes: NDArray[np.uint8], entry_starts: NDArray[np.int64]) -> NDArray[np.int32]:
    """Hash table (power of two, at most half full) over n entries: bytes [entry_starts[i], entry_starts[i + 1]).

    Raises ValueError when an entry is listed twice.
    """
    slots = np.full(_capacity(2 * len(entry_starts)), -1, np.int32)
    twice = int(_fill_words(entry_bytes, entry_starts, slots))
    if twice >= 0:
        word = entry_bytes[entry_starts[twice] : entry_starts[twice + 1]].tobytes()
        raise ValueError(f"every word once in the dictionary; {word[:40]!r} stands there twice")
    return slots


def bucket_bits(buckets: NDArray[np.int32], bucket: int) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
    """(a bit for each of `bucket` buckets that is set for the kept ones, number of bits set before each 64)."""
    bits = np.zeros(bucket // 64 + 1, np.uint64)
    np.bitwise_or.at(bits, buckets >> 6, np.uint64(1) << (buckets & 63).astype(np.uint64))
    counts = np.bincount(buckets >> 6, minlength=len(bits))
    return bits, (np.cumsum(counts) - counts).astype(np.int32)


def _capacity(least: int) -> int:
    return 1 << max(4, (least - 1).bit_length())
