"""Words and word n-grams for finding near-duplicates: hashes of 32 bits straight from UTF-8 bytes.

A lighter word than the filters' (version SHINGLE_VERSION; docs/dedup.md): a maximal run of letters,
numbers, marks and underscores of the case-folded text, as Python's `\\w+` with marks; one code point
(with its marks) for scripts without spaces.  Control and format characters are skipped inside words,
digits stay as they are.  The text becomes a bag of word n-grams; one with fewer than n words becomes
one hash of all of them, so that short documents are equal or different, never near.

A word's hash is a polynomial of its code points, finished: one multiplication on the critical path of
each byte instead of the mixing that `curation.text.hashing` does (375 against 237 MB/s).  Polynomials
modulo 2^64 can be made to collide, by words of more than a thousand letters; then two words count as
one, and a pair of documents is still judged by all of its shingles.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.text import character_classes, hashing, utf8
from curation.text.arrow import text_buffers
from curation.text.character_classes import CODE_POINTS, CharacterClass, class_table, data_lines
from curation.text.hashing import MASK, SEED, STEP, absorb, absorb_reference, finish, finish_reference
from curation.text.kernel import cached_kernel, kernel_function, source_digest
from curation.text.utf8 import decode

SHINGLE_VERSION = 1
WORDS = 5  # of a shingle: the paper's and FineWeb's n-gram
BLOCK = 2048  # words hashed at a time: their hashes stay in the first-level cache, whatever the document's size

CODE = np.uint32((1 << 21) - 1)  # the folded code point in an entry of the table
IN_WORD, ALONE, MARK, SKIPPED, RARE = (np.uint32(1 << bit) for bit in (21, 22, 23, 24, 25))
HIGH, ONE = np.uint64(32), np.uint64(1)


class Shingles(NamedTuple):
    """Hashes of all documents of a batch, one after the other."""

    values: NDArray[np.uint32]
    ends: NDArray[np.int64]  # of each document's part of `values`; an empty part for a text without words


@cache
def word_table() -> NDArray[np.uint32]:
    """For each code point its case folding and what it does to words: uint32[0x110000], read-only."""
    classes = class_table()
    table = np.arange(CODE_POINTS, dtype=np.uint32)
    for line in data_lines("case_folding.tsv"):
        code, folded = (int(field, 16) for field in line.split("\t"))
        table[code] = folded
    for flag, members in (
        (IN_WORD, CharacterClass.WORD | CharacterClass.MARK),
        (ALONE, CharacterClass.UNSPACED),
        (MARK, CharacterClass.MARK),
        (SKIPPED, CharacterClass.INVISIBLE),
    ):
        table[classes & np.uint32(members) != 0] |= flag
    table[(classes & np.uint32(CharacterClass.UNSPACED)) != 0] |= IN_WORD
    table[:256][(np.arange(256) >= 128) | (table[:256] & SKIPPED != 0)] |= RARE  # by *byte*: needs decoding
    table.setflags(write=False)
    return table


def shingle_hashes(text: pa.LargeStringArray, words: int = WORDS) -> Shingles:
    """Every n-gram of `words` words of every document, in order, repeated ones repeated.

    text: large_string array (may be a slice; a null counts as a text without words).  With `words=1`
    the result is each document's sequence of words.  Raises TypeError for any other type of array.
    Memory: 4 bytes for every word there can be, which is half the bytes of the text.
    """
    offsets, buffer = text_buffers(text)
    valid = np.asarray(text.is_valid())
    room = int(((np.diff(offsets) + 1) // 2)[valid].sum())
    values, ends = np.empty(room, np.uint32), np.empty(len(text), np.int64)
    block, state = np.empty(BLOCK, np.uint64), np.empty(BLOCK, np.uint64)
    count = int(_shingle(buffer, offsets, valid, word_table(), words, block, state, values, ends))
    return Shingles(values[:count], ends)


def distinct(shingles: Shingles) -> Shingles:
    """Each document's hashes sorted, every one once; works in place, the given arrays are used up."""
    values, ends = shingles
    start = 0
    for end in ends.tolist():
        values[start:end].sort()
        start = end
    count = int(_unique(values, ends))
    return Shingles(values[:count], ends)


def words_reference(text: str) -> list[str]:
    """The words of a text, in plain Python."""
    table = word_table()
    found: list[str] = []
    word, alone = "", False
    for character in [*text, " "]:
        entry = int(table[ord(character)])
        if entry & int(SKIPPED):
            continue
        if word and (not entry & int(IN_WORD) or entry & int(ALONE) or (alone and not entry & int(MARK))):
            found.append(word)
            word = ""
        if entry & int(IN_WORD):
            alone = alone if word else bool(entry & int(ALONE))
            word += chr(entry & int(CODE))
    return found


def shingles_reference(text: str, words: int = WORDS) -> list[int]:
    """The hashes of one document; equals its part of `shingle_hashes`."""
    found = words_reference(text)
    if 0 < len(found) < words:
        return [_hash_reference(found)]
    return [_hash_reference(found[i : i + words]) for i in range(len(found) - words + 1)]


def _hash_reference(words: list[str]) -> int:
    state = int(SEED)
    for word in words:
        value = int(SEED)
        for character in word:
            value = value * int(STEP) + ord(character) & MASK
        state = absorb_reference(state, finish_reference(value))
    return finish_reference(state) >> 32


@kernel_function
def _emit(block, carried, filled, words, state, values, count):  # type: ignore[no-untyped-def]
    """Hash the n-grams of block[:filled]; returns the new count.  The first `carried` words are finished already.

    Slices from 0 on let the loops vectorise.
    """
    fresh = block[carried:filled]
    for i in range(len(fresh)):
        fresh[i] = finish(fresh[i])
    n = max(filled - words + 1, 0)
    for i in range(n):
        state[i] = SEED
    for k in range(words):
        later = block[k : k + n]
        for i in range(len(later)):
            state[i] = absorb(state[i], later[i])
    out = values[count : count + n]
    for i in range(len(out)):
        out[i] = np.uint32(finish(state[i]) >> HIGH)
    return count + n


def _build_shingle(sources: int) -> Any:
    """The kernel; closing over `sources` makes the digest part of the machine code's cache key.

    Indices are unsigned in the loop over bytes: numba then needs no check for negative ones (6 % faster).
    """

    def shingle_documents(buffer, offsets, valid, table, words, block, state, values, ends):  # type: ignore[no-untyped-def]
        """Fill values and ends; returns how many values."""
        count = 0 if sources >= 0 else -1
        room = np.uint64(len(block) - 2)
        for d in range(len(offsets) - 1):
            filled, carried = np.uint64(0), 0  # words in the block; of them finished in the block before
            word, inside, alone = SEED, np.uint32(0), False
            i, end = np.uint64(offsets[d]), np.uint64(offsets[d + 1])
            if not valid[d]:
                i = end
            while i < end:
                while i < end and filled < room and not alone:
                    entry = table[buffer[i]]
                    if entry & RARE:
                        break
                    block[filled] = word  # without a branch for the word's end, which nobody can predict
                    now = entry & IN_WORD
                    filled += np.uint64((inside & ~now) != 0)
                    word = (word * STEP + np.uint64(entry & CODE)) if now else SEED
                    inside = now
                    i += ONE
                if filled >= room:
                    last = np.int64(filled)
                    count = _emit(block, carried, last, words, state, values, count)
                    for k in range(words - 1):
                        block[k] = block[last - words + 1 + k]
                    filled, carried = np.uint64(words - 1), words - 1
                    continue
                if i >= end:
                    break
                c, step = decode(buffer, np.int64(i), np.int64(end))
                entry = table[c] & ~RARE
                i += np.uint64(step)
                if entry & SKIPPED:
                    continue
                if inside and (not entry & IN_WORD or entry & ALONE or (alone and not entry & MARK)):
                    block[filled] = word
                    filled += ONE
                    word, inside, alone = SEED, np.uint32(0), False
                if entry & IN_WORD:
                    alone = alone or (not inside and entry & ALONE != 0)
                    inside = IN_WORD
                    word = word * STEP + np.uint64(entry & CODE)
            block[filled] = word
            last = np.int64(filled) + (inside != 0)
            words_here = last if carried == 0 and 0 < last < words else words
            count = _emit(block, carried, last, words_here, state, values, count)
            ends[d] = count
        return count

    return cached_kernel(shingle_documents)


def _build_unique(sources: int) -> Any:
    def unique_values(values, ends):  # type: ignore[no-untyped-def]
        """Drop repeated neighbours inside each document, in place; returns how many values stay."""
        count = 0 if sources >= 0 else -1
        start = 0
        for d in range(len(ends)):
            end = ends[d]
            for i in range(start, end):
                if i == start or values[i] != values[i - 1]:
                    values[count] = values[i]
                    count += 1
            start = end
            ends[d] = count
        return count

    return cached_kernel(unique_values)


_shingle = _build_shingle(source_digest(character_classes, hashing, utf8))
_unique = _build_unique(0)
