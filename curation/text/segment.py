"""The segmenter: one document's UTF-8 bytes into word hashes and lengths, without Python strings.

First kernel of `statistics.measure`.  The words are part of the filters' specification:
docs/segmenter.md says what they are, `segment_reference.segment` is the same in plain Python,
and SEGMENTER_VERSION changes whenever any text would be split differently.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curation.text.affixes import BEFORE_PERIOD, CURRENCY, DIGIT, ELLIPSIS, PERIOD, SUFFIX
from curation.text.character_classes import CharacterClass, class_table
from curation.text.exceptions import (
    LONGEST,
    LONGEST_STOP_WORD,
    STOP,
    STOP_INDEX,
    WHOLE,
    exception_table,
    find_exception,
    find_hash,
    mix_ends,
)
from curation.text.hashing import hash_bytes
from curation.text.kernel import kernel_function
from curation.text.runs import mark, split_run
from curation.text.utf8 import decode

SEGMENTER_VERSION = 1
LONGEST_RUN = 1 << 16  # code points; longer runs without white space are cut here, to bound memory

SPACE = np.uint32(CharacterClass.SPACE)
UNSPACED = np.uint32(CharacterClass.UNSPACED)
MARK = np.uint32(CharacterClass.MARK)
LETTER = np.uint32(CharacterClass.LETTER)
SYMBOL = np.uint32(CharacterClass.SYMBOL)
ACTIVE = np.uint32(CharacterClass.ACTIVE)
STOPS = SPACE | UNSPACED | ACTIVE  # what a plain word does not contain

# Indices of `Workspace.counts`.
WORDS, NON_SYMBOL_WORDS, NON_SYMBOL_CHARS, ALPHABETIC_WORDS, STOP_MASK, MEASURED_END = range(6)


class Tables(NamedTuple):
    """The read-only data of the segmenter."""

    classes: NDArray[np.uint32]  # bits of CharacterClass by code point
    maybe: NDArray[np.bool_]  # exceptions.ExceptionTable
    hashes: NDArray[np.uint64]
    entries: NDArray[np.uint32]


class Workspace(NamedTuple):
    """Scratch of one document: a run that is split, then the words found so far."""

    cp: NDArray[np.uint32]  # code points of the run
    fl: NDArray[np.uint32]  # their classes
    at: NDArray[np.int64]  # byte where each begins, and the byte after the last
    cut: NDArray[np.uint8]  # 1 where a word of the run begins
    word_hash: NDArray[np.uint64]
    word_length: NDArray[np.uint32]  # code points
    counts: NDArray[np.int64]


def load_tables() -> Tables:
    return Tables(class_table(), *exception_table())


def new_workspace(max_words: int) -> Workspace:
    """Room for the hashes and lengths of `max_words` words; further words are counted only."""
    return Workspace(
        np.empty(LONGEST_RUN, np.uint32),
        np.empty(LONGEST_RUN, np.uint32),
        np.empty(LONGEST_RUN + 1, np.int64),
        np.zeros(LONGEST_RUN + 1, np.uint8),
        np.empty(max_words, np.uint64),
        np.empty(max_words, np.uint32),
        np.zeros(6, np.int64),
    )


@kernel_function
def segment_document(buffer, start, end, tables, work):  # type: ignore[no-untyped-def]
    """Fill `work` with the words of buffer[start:end] (UTF-8).

    Most runs are one plain word: found in a single scan and hashed from its bytes.  Only a run with
    an ACTIVE character or the signature of an exception is spelt out and split.
    """
    classes, maybe, hashes, entries = tables
    word_hash, word_length, counts = work.word_hash, work.word_length, work.counts
    counts[:] = 0
    position = 0  # code points before byte i
    i = start
    while i < end:
        seen, symbols, f = np.uint32(0), SYMBOL, np.uint32(0)
        first, second, last = np.uint32(0), np.uint32(0), np.uint32(0)
        n, j, step = 0, i, 0
        while j < end and n < LONGEST_RUN:
            c, step = decode(buffer, j, end)
            f = classes[c]
            if f & STOPS:
                break
            seen |= f
            symbols &= f
            if n == 0:
                first = c
            elif n == 1:
                second = c
            last = c
            n += 1
            j += step
        if j < end and (n == LONGEST_RUN or f & ACTIVE):
            if n > 0 and _ends_plainly(buffer, j, step, end, n, first, second, last, seen, classes, maybe):
                entry = np.uint32(0)
                value = hash_bytes(buffer, i, j)
                if n <= LONGEST_STOP_WORD:
                    entry = find_hash(value, hashes, entries)
                _add_word(value, n, seen, symbols, entry, position + n, word_hash, word_length, counts)
                value = hash_bytes(buffer, j, j + step)
                _add_word(value, 1, f, f & SYMBOL, np.uint32(0), position + n + 1, word_hash, word_length, counts)
                n, j = n + 1, j + step
            elif n == 0 and _gap_at(buffer, j + step, end, classes):  # a run of one: no rule can split it
                value = hash_bytes(buffer, j, j + step)
                _add_word(value, 1, f, f & SYMBOL, np.uint32(0), position + 1, word_hash, word_length, counts)
                n, j = 1, j + step
            else:
                n, j = _split(buffer, i, end, position, tables, work)
        elif n > 0:
            value = hash_bytes(buffer, i, j)
            entry = np.uint32(0)
            if n <= LONGEST_STOP_WORD or (n <= LONGEST and maybe[mix_ends(first, second, last, n)]):
                entry = find_hash(value, hashes, entries)
            if entry & WHOLE:
                n, j = _split(buffer, i, end, position, tables, work)
            else:
                _add_word(value, n, seen, symbols, entry, position + n, word_hash, word_length, counts)
        elif f & UNSPACED:
            n, j = _add_unspaced(buffer, i, end, position, tables, work)
        else:  # white space
            n, j = 1, i + step
        position += n
        i = j


@kernel_function
def _ends_plainly(buffer, j, step, end, n, first, second, last, seen, classes, maybe):  # type: ignore[no-untyped-def]
    """Whether a plain word of n code points is followed by one mark at byte j that splits off, and then a gap.

    What `_split` would find too, most often: `word,` or `word.`.  Anything that a rule or an exception
    could see otherwise is left to it.
    """
    if seen & DIGIT or n >= LONGEST_RUN - 1 or not _gap_at(buffer, j + step, end, classes):
        return False
    c, _ = decode(buffer, j, end)
    if c == PERIOD:
        if not classes[last] & BEFORE_PERIOD:
            return False
    elif not classes[c] & SUFFIX or classes[c] & CURRENCY or c == ELLIPSIS:
        return False
    whole = n < LONGEST and maybe[mix_ends(first, second if n > 1 else c, c, n + 1)]
    return not whole and not (n <= LONGEST and maybe[mix_ends(first, second, last, n)])


@kernel_function
def _gap_at(buffer, i, end, classes):  # type: ignore[no-untyped-def]
    """Whether byte i begins white space, or the text ends there."""
    if i >= end:
        return True
    c, _ = decode(buffer, i, end)
    return classes[c] & SPACE != 0


@kernel_function
def _add_word(value, length, seen, symbols, entry, position, word_hash, word_length, counts):  # type: ignore[no-untyped-def]
    """Count one word; `position` is the code point after it, `entry` what the exception table has for it."""
    words = counts[WORDS]
    if words < len(word_hash):
        word_hash[words] = value
        word_length[words] = length
        counts[MEASURED_END] = position
    counts[WORDS] = words + 1
    if not symbols:
        counts[NON_SYMBOL_WORDS] += 1
        counts[NON_SYMBOL_CHARS] += length
    if seen & LETTER:
        counts[ALPHABETIC_WORDS] += 1
    if entry & STOP:
        counts[STOP_MASK] |= 1 << int(entry >> STOP_INDEX)


@kernel_function
def _add_unspaced(buffer, i, end, position, tables, work):  # type: ignore[no-untyped-def]
    """One code point of a script without spaces, with its marks, is a word; returns (its code points, byte after)."""
    word_hash, word_length, counts = work.word_hash, work.word_length, work.counts
    c, step = decode(buffer, i, end)
    seen = symbols = tables.classes[c]
    n, j = 1, i + step
    while j < end and n < LONGEST_RUN:
        c, step = decode(buffer, j, end)
        f = tables.classes[c]
        if not f & MARK or f & (SPACE | UNSPACED):
            break
        seen |= f
        symbols &= f
        n += 1
        j += step
    value = hash_bytes(buffer, i, j)
    _add_word(value, n, seen, symbols & SYMBOL, np.uint32(0), position + n, word_hash, word_length, counts)
    return n, j


@kernel_function
def _split(buffer, i, end, position, tables, work):  # type: ignore[no-untyped-def]
    """Spell out the run at byte i and count its words; returns (its code points, the byte after it)."""
    classes, maybe, hashes, entries = tables
    cp, fl, at, cut, word_hash, word_length, counts = work
    n, j, seen = 0, i, np.uint32(0)
    while j < end and n < LONGEST_RUN:
        c, step = decode(buffer, j, end)
        f = classes[c]
        if f & (SPACE | UNSPACED):
            break
        cp[n], fl[n], at[n] = c, f, j
        seen |= f
        n += 1
        j += step
    at[n] = j
    if seen & ACTIVE:
        split_run(buffer, n, tables, work)
    else:
        entry = find_exception(buffer, at, cp, 0, n, maybe, hashes, entries)
        if entry & WHOLE:
            mark(entry, 0, n, cut)
    begin = 0
    while begin < n:
        seen, symbols = np.uint32(0), SYMBOL
        stop = begin
        while stop < n and (stop == begin or not cut[stop]):
            seen |= fl[stop]
            symbols &= fl[stop]
            stop += 1
        cut[stop] = 0
        value = hash_bytes(buffer, at[begin], at[stop])
        entry = np.uint32(0)
        if stop - begin <= LONGEST_STOP_WORD:
            entry = find_hash(value, hashes, entries)
        _add_word(value, stop - begin, seen, symbols, entry, position + stop, word_hash, word_length, counts)
        begin = stop
    return n, j
