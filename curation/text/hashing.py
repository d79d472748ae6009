"""Hashes inside the text kernels, with the plain-Python reference of each.

Words and lines are hashed by their UTF-8 bytes, eight at a time; every step is xor, multiply,
xor-shift: without the shift the low k bits of a product depend only on the low k bits of the
input, and collisions could be lifted bit by bit.  An n-gram's hash is a polynomial in the hashes
of its words, which are mixed already.  They are salted with SEED and pinned by golden vectors;
statistics on disk depend on them only through (practically impossible) collisions of 64 bits.
"""

from __future__ import annotations

import numpy as np

from curation.pipeline.hashing import hash64
from curation.text.kernel import kernel_function

MASK = 0xFFFF_FFFF_FFFF_FFFF
SEED = np.uint64(hash64(b"curate text statistics 1"))
STEP = np.uint64(0x9E37_79B9_7F4A_7C15)  # 2^64 / golden ratio, odd (Knuth, TAOCP 6.4)
MIX = np.uint64(0xD6E8_FEB8_6659_FD93)  # the multiplier of Pelle Evensen's rrmxmx family of finalisers
SHIFT = np.uint64(32)


@kernel_function
def absorb(state, value):  # type: ignore[no-untyped-def]
    """The state after one more unsigned 64-bit value."""
    state = (state ^ value) * STEP
    return state ^ (state >> SHIFT)


@kernel_function
def finish(state):  # type: ignore[no-untyped-def]
    """The hash of everything absorbed."""
    state = (state ^ (state >> SHIFT)) * MIX
    state = (state ^ (state >> SHIFT)) * MIX
    return state ^ (state >> SHIFT)


@kernel_function
def hash_bytes(buffer, start, end):  # type: ignore[no-untyped-def]
    """Hash of buffer[start:end], eight bytes at a time, the last block filled with zeros, then the length."""
    state = SEED
    i = start
    while i + 8 <= end:
        state = absorb(state, load_block(buffer, i))
        i += 8
    rest = np.uint64(8 * (end - i))
    if i + 8 <= len(buffer):
        block = load_block(buffer, i) & ((np.uint64(1) << rest) - np.uint64(1))
    else:
        block = np.uint64(0)
        for k in range(end - i):
            block |= np.uint64(buffer[i + k]) << np.uint64(8 * k)
    return finish(absorb(absorb(state, block), np.uint64(end - start)))


@kernel_function
def load_block(buffer, i):  # type: ignore[no-untyped-def]
    """buffer[i:i+8] as a little-endian number: spelt out and with unsigned indices, LLVM makes it one load."""
    at = np.uint64(i)
    return (
        np.uint64(buffer[at])
        | np.uint64(buffer[at + np.uint64(1)]) << np.uint64(8)
        | np.uint64(buffer[at + np.uint64(2)]) << np.uint64(16)
        | np.uint64(buffer[at + np.uint64(3)]) << np.uint64(24)
        | np.uint64(buffer[at + np.uint64(4)]) << np.uint64(32)
        | np.uint64(buffer[at + np.uint64(5)]) << np.uint64(40)
        | np.uint64(buffer[at + np.uint64(6)]) << np.uint64(48)
        | np.uint64(buffer[at + np.uint64(7)]) << np.uint64(56)
    )


@kernel_function
def hash_words(word_hash, x, n):  # type: ignore[no-untyped-def]
    """Hash of the n-gram of words x … x+n-1; equals `hash_words_reference`."""
    value = word_hash[x]
    for k in range(1, n):
        value = value * STEP + word_hash[x + k]
    return value


def absorb_reference(state: int, value: int) -> int:
    state = (state ^ value) * int(STEP) & MASK
    return state ^ (state >> 32)


def finish_reference(state: int) -> int:
    for _ in range(2):
        state = (state ^ (state >> 32)) * int(MIX) & MASK
    return state ^ (state >> 32)


def hash_word_reference(word: str) -> int:
    """Hash of a word: of its UTF-8 bytes."""
    return hash_bytes_reference(word.encode("utf-8"))


def hash_words_reference(words: list[str]) -> int:
    """Hash of an n-gram: a polynomial in the hashes of its words."""
    value = 0
    for word in words:
        value = (value * int(STEP) + hash_word_reference(word)) & MASK
    return value


def hash_bytes_reference(data: bytes) -> int:
    """Hash of a line or paragraph: see `hash_bytes`."""
    whole = len(data) // 8 * 8
    blocks = [data[i : i + 8] for i in range(0, whole, 8)] + [data[whole:]]
    state = int(SEED)
    for block in blocks:
        state = absorb_reference(state, int.from_bytes(block, "little"))
    return finish_reference(absorb_reference(state, len(data)))
