"""Hashes inside the text kernels, with the plain-Python reference of each.

A word is hashed code point by code point, an n-gram over the hashes of its words, a line by
eight bytes at a time.  Every step is xor, multiply, xor-shift: without the shift the low k bits
of a product depend only on the low k bits of the input, and collisions could be lifted bit by
bit.  They are salted with SEED and pinned by golden vectors; statistics on disk depend on them
only through (practically impossible) collisions of 64 bits.
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
        block = np.uint64(0)
        for k in range(8):
            block |= np.uint64(buffer[i + k]) << np.uint64(8 * k)
        state = absorb(state, block)
        i += 8
    block = np.uint64(0)
    for k in range(end - i):
        block |= np.uint64(buffer[i + k]) << np.uint64(8 * k)
    return finish(absorb(absorb(state, block), np.uint64(end - start)))


def absorb_reference(state: int, value: int) -> int:
    state = (state ^ value) * int(STEP) & MASK
    return state ^ (state >> 32)


def finish_reference(state: int) -> int:
    for _ in range(2):
        state = (state ^ (state >> 32)) * int(MIX) & MASK
    return state ^ (state >> 32)


def hash_word_reference(word: str) -> int:
    """Hash of a word: its code points absorbed one by one."""
    state = int(SEED)
    for character in word:
        state = absorb_reference(state, ord(character))
    return finish_reference(state)


def hash_words_reference(words: list[str]) -> int:
    """Hash of an n-gram: the hashes of its words absorbed one by one."""
    state = int(SEED)
    for word in words:
        state = absorb_reference(state, hash_word_reference(word))
    return finish_reference(state)


def hash_bytes_reference(data: bytes) -> int:
    """Hash of a line or paragraph: see `hash_bytes`."""
    whole = len(data) // 8 * 8
    blocks = [data[i : i + 8] for i in range(0, whole, 8)] + [data[whole:]]
    state = int(SEED)
    for block in blocks:
        state = absorb_reference(state, int.from_bytes(block, "little"))
    return finish_reference(absorb_reference(state, len(data)))
