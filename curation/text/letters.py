"""Texts reduced to what survives reformatting: their folded letters, numbers and marks, with nothing in between.

Upper case, lost or added punctuation, one word a line, `time-series` against `time series`: all give the same
letters (version LETTERS_VERSION).  The characters are those of `curation.text.shingles` without the underscore, which
Markdown puts around words; case folding is one code point to one; control and format characters are dropped; digits
stay.  Where a word begins is kept beside the letters, so that a match can be held to whole words.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.text import character_classes, shingles, utf8
from curation.text.arrow import text_buffers
from curation.text.kernel import cached_kernel, kernel_function, source_digest
from curation.text.shingles import ALONE, CODE, IN_WORD, MARK, RARE, SKIPPED, word_table
from curation.text.utf8 import decode

LETTERS_VERSION = 1
ASCII, TWO_BYTES, THREE_BYTES = np.uint32(0x80), np.uint32(0x800), np.uint32(0x10000)


class Letters(NamedTuple):
    """The letters of n texts, one after the other.

    data: UTF-8 bytes.  ends: [n] end of each text's part of `data`.
    begins: at the first byte of a word 1, or 2 in a script without spaces, where each letter is a word; else 0.
    start, stop: where in its own text, in bytes, the character that a byte belongs to starts and stops.
    """

    data: NDArray[np.uint8]
    ends: NDArray[np.int64]
    begins: NDArray[np.uint8]
    start: NDArray[np.int32]
    stop: NDArray[np.int32]


@cache
def letter_table() -> NDArray[np.uint32]:
    """`shingles.word_table` without the underscore: uint32[0x110000], read-only."""
    table = word_table().copy()
    table[ord("_")] &= ~IN_WORD
    table.setflags(write=False)
    return table


def room(size: int) -> int:
    """Bytes that the letters of a text of `size` bytes may take: folding makes three bytes of two at most."""
    return size + size // 2 + 16


def letters(text: pa.LargeStringArray) -> Letters:
    """The letters of every text (a null counts as an empty one), with their places; texts below 2 GiB."""
    offsets, buffer = text_buffers(text)
    size = room(int(offsets[-1] - offsets[0]))
    data, begins = np.empty(size, np.uint8), np.empty(size, np.uint8)
    start, stop = np.empty(size, np.int32), np.empty(size, np.int32)
    ends = np.empty(len(text), np.int64)
    valid = np.asarray(text.is_valid())
    n = int(_letters(buffer, offsets, valid, letter_table(), data, begins, start, stop, ends))
    return Letters(data[:n], ends, begins[:n], start[:n], stop[:n])


def letters_reference(text: str) -> tuple[str, list[int]]:
    """(the letters of a text, the indices of those that begin a word), in plain Python."""
    table = letter_table()
    found: list[str] = []
    begins: list[int] = []
    inside = alone = False
    for character in text:
        entry = int(table[ord(character)])
        if entry & int(SKIPPED):
            continue
        if not entry & int(IN_WORD):
            inside = alone = False
            continue
        if not inside or entry & int(ALONE) or (alone and not entry & int(MARK)):
            begins.append(len(found))
            alone = bool(entry & int(ALONE))
        inside = True
        found.append(chr(entry & int(CODE)))
    return "".join(found), begins


@kernel_function
def put(code, out, o):  # type: ignore[no-untyped-def]
    """Write a code point as UTF-8; returns the end of what was written."""
    if code < ASCII:
        out[o] = code
        return o + 1
    if code < TWO_BYTES:
        out[o] = 0xC0 | code >> np.uint32(6)
        out[o + 1] = 0x80 | code & np.uint32(63)
        return o + 2
    if code < THREE_BYTES:
        out[o] = 0xE0 | code >> np.uint32(12)
        out[o + 1] = 0x80 | code >> np.uint32(6) & np.uint32(63)
        out[o + 2] = 0x80 | code & np.uint32(63)
        return o + 3
    out[o] = 0xF0 | code >> np.uint32(18)
    out[o + 1] = 0x80 | code >> np.uint32(12) & np.uint32(63)
    out[o + 2] = 0x80 | code >> np.uint32(6) & np.uint32(63)
    out[o + 3] = 0x80 | code & np.uint32(63)
    return o + 4


@kernel_function
def take_letters(buffer, i, end, table, out, begins, o):  # type: ignore[no-untyped-def]
    """Write the letters of buffer[i:end] at o, and 1 or 2 to `begins` where a word begins; returns their end."""
    inside, alone = np.uint32(0), False
    while i < end:
        entry = table[buffer[i]]
        if not alone and not entry & RARE:  # without a branch for the word's end, which nobody can predict
            now = entry & IN_WORD
            out[o] = entry & CODE
            begins[o] = (inside == 0) & (now != 0)
            o += now != 0
            inside = now
            i += 1
            continue
        c, step = decode(buffer, i, end)
        entry = table[c] & ~RARE
        i += step
        if entry & SKIPPED:
            continue
        if not entry & IN_WORD:
            inside, alone = np.uint32(0), False
            continue
        first = inside == 0 or entry & ALONE != 0 or (alone and not entry & MARK)
        if first:
            alone = entry & ALONE != 0
        inside = IN_WORD
        last = put(entry & CODE, out, o)
        begins[o] = 2 if first and alone else first
        for k in range(o + 1, last):
            begins[k] = 0
        o = last
    return o


def _build_letters(sources: int) -> Any:
    """The kernel; closing over `sources` makes the digest part of the machine code's cache key."""

    def take_all_letters(buffer, offsets, valid, table, data, begins, start, stop, ends):  # type: ignore[no-untyped-def]
        """Fill data, begins, start, stop and ends; returns how many bytes."""
        o = 0 if sources >= 0 else -1
        for d in range(len(offsets) - 1):
            i, end = offsets[d], offsets[d + 1]
            if not valid[d]:
                i = end
            first = o
            o = take_letters(buffer, i, end, table, data, begins, o)
            k = first
            while i < end:  # once more for the places: only texts with a match need them
                c, step = decode(buffer, i, end)
                entry = table[c] & ~RARE
                if entry & IN_WORD and not entry & SKIPPED:
                    last = put(entry & CODE, data, k)
                    for b in range(k, last):
                        start[b] = i - offsets[d]
                        stop[b] = i + step - offsets[d]
                    k = last
                i += step
            ends[d] = o
        return o

    return cached_kernel(take_all_letters)


_letters = _build_letters(source_digest(character_classes, shingles, utf8))
