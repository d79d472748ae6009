"""The segmenter: one document's UTF-8 bytes into word hashes and lengths, without Python strings.

First kernel of `statistics.measure`.  The words are part of the filters' specification:
docs/segmenter.md says what they are, `segment_reference.segment` is the same in plain Python,
and SEGMENTER_VERSION changes whenever any text would be split differently.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curation.text.affixes import PERIOD, infix_length, is_url, prefix_length, suffix_length
from curation.text.character_classes import CharacterClass, class_table
from curation.text.exceptions import (
    LONGEST,
    LONGEST_STOP_WORD,
    MERGE,
    STOP,
    STOP_INDEX,
    WHOLE,
    exception_table,
    find_exception,
    find_hash,
)
from curation.text.hashing import SEED, absorb, finish
from curation.text.kernel import kernel_function
from curation.text.utf8 import decode

SEGMENTER_VERSION = 1
LONGEST_RUN = 1 << 16  # code points; longer runs without white space are cut here, to bound memory

SPACE = np.uint32(CharacterClass.SPACE)
UNSPACED = np.uint32(CharacterClass.UNSPACED)
MARK = np.uint32(CharacterClass.MARK)
LETTER = np.uint32(CharacterClass.LETTER)
SYMBOL = np.uint32(CharacterClass.SYMBOL)
ACTIVE = np.uint32(CharacterClass.ACTIVE)

# Indices of `Workspace.counts`.
WORDS, NON_SYMBOL_WORDS, NON_SYMBOL_CHARS, ALPHABETIC_WORDS, STOP_MASK, MEASURED_END = range(6)


class Tables(NamedTuple):
    """The read-only data of the segmenter."""

    classes: NDArray[np.uint32]  # bits of CharacterClass by code point
    maybe: NDArray[np.bool_]  # exceptions.ExceptionTable
    hashes: NDArray[np.uint64]
    entries: NDArray[np.uint32]


class Workspace(NamedTuple):
    """Scratch of one document: the current run, then the words found so far."""

    cp: NDArray[np.uint32]  # code points of the run
    fl: NDArray[np.uint32]  # their classes
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
        np.zeros(LONGEST_RUN + 1, np.uint8),
        np.empty(max_words, np.uint64),
        np.empty(max_words, np.uint32),
        np.zeros(6, np.int64),
    )


@kernel_function
def segment_document(buffer, start, end, tables, work):  # type: ignore[no-untyped-def]
    """Fill `work` with the words of buffer[start:end] (UTF-8)."""
    classes, maybe, hashes, entries = tables
    cp, fl, cut, word_hash, word_length, counts = work
    words, non_symbol_words, non_symbol_chars, alphabetic_words = 0, 0, 0, 0
    stop_mask, measured_end = 0, 0
    n = 0  # code points in the run
    # Of the whole run, which mostly is one word: its hash so far, union and intersection of its classes.
    state, seen, symbols = SEED, np.uint32(0), SYMBOL
    unspaced = False  # the run is one code point of a script without spaces, with its marks
    position = 0  # code points read
    i = start
    while i <= end:
        c, step, f = np.uint32(0), 1, SPACE  # the end of the text ends the run, as white space does
        if i < end:
            c, step = decode(buffer, i, end)
            f = classes[c]
        i += step
        if f & (SPACE | UNSPACED) or n == LONGEST_RUN or (unspaced and not f & MARK):
            split = False
            if unspaced:
                pass
            elif seen & ACTIVE:
                _split_run(n, cp, fl, cut, maybe, hashes, entries)
                split = True
            elif n > 0:
                entry = find_exception(cp, 0, n, maybe, hashes, entries)
                if entry & WHOLE:
                    _mark(entry, 0, n, cut)
                    split = True
            begin = 0
            while begin < n:
                stop = n
                if split:
                    state, seen, symbols = SEED, np.uint32(0), SYMBOL
                    stop = begin
                    while stop < n and (stop == begin or not cut[stop]):
                        state = absorb(state, np.uint64(cp[stop]))
                        seen |= fl[stop]
                        symbols &= fl[stop]
                        stop += 1
                    cut[stop] = 0
                value, length = finish(state), stop - begin
                if words < len(word_hash):
                    word_hash[words] = value
                    word_length[words] = length
                    measured_end = position - n + stop
                words += 1
                if not symbols:
                    non_symbol_words += 1
                    non_symbol_chars += length
                if seen & LETTER:
                    alphabetic_words += 1
                if length <= LONGEST_STOP_WORD:
                    entry = find_hash(value, hashes, entries)
                    if entry & STOP:
                        stop_mask |= 1 << int(entry >> STOP_INDEX)
                begin = stop
            n = 0
            state, seen, symbols = SEED, np.uint32(0), SYMBOL
            unspaced = f & UNSPACED != 0
        if not f & SPACE:
            cp[n] = c
            fl[n] = f
            state = absorb(state, np.uint64(c))
            seen |= f
            symbols &= f
            n += 1
        position += 1
    counts[WORDS] = words
    counts[NON_SYMBOL_WORDS] = non_symbol_words
    counts[NON_SYMBOL_CHARS] = non_symbol_chars
    counts[ALPHABETIC_WORDS] = alphabetic_words
    counts[STOP_MASK] = stop_mask
    counts[MEASURED_END] = measured_end


@kernel_function
def _mark(entry, lo, hi, cut):  # type: ignore[no-untyped-def]
    """Cut [lo, hi) into the words of an exception."""
    begin = lo
    for k in range(2):
        begin += np.int64(entry >> np.uint32(4 * k)) & 15
        if begin < hi:
            cut[begin] = 1


@kernel_function
def _split_run(n, cp, fl, cut, maybe, hashes, entries):  # type: ignore[no-untyped-def]
    """Set `cut` at every word that begins inside the run: ends, middle, exceptions."""
    lo, hi, size, pieces = 0, n, -1, 1
    active = _count_active(fl, 0, n)  # kept up to date, for a scan in each turn would be quadratic
    entry = np.uint32(0)
    while lo < hi and hi - lo != size:
        entry = find_exception(cp, lo, hi, maybe, hashes, entries)
        if entry & WHOLE or active == 0:
            break
        size = hi - lo
        front = prefix_length(cp, fl, lo, hi)
        if 0 < front < size:
            entry = find_exception(cp, lo + front, hi, maybe, hashes, entries)
            if entry & WHOLE:
                lo += front
                cut[lo] = 1
                break
        back = suffix_length(cp, fl, lo + front, hi, maybe, hashes, entries)
        if 0 < back < size:
            entry = find_exception(cp, lo, hi - back, maybe, hashes, entries)
            if entry & WHOLE:
                hi -= back
                cut[hi] = 1
                break
        active -= _count_active(fl, lo, lo + front) + _count_active(fl, hi - back, hi)
        lo += front
        hi -= back
        cut[lo] = 1
        cut[hi] = 1
        pieces += (front > 0) + (back > 0)
    if lo < hi:
        if entry & WHOLE:
            _mark(entry, lo, hi, cut)
            pieces += 2
        elif active > 0:
            pieces += _split_middle(cp, fl, lo, hi, cut)
    cut[0] = 0
    cut[n] = 0
    if pieces > 2:  # two pieces are the whole run, which is no exception
        _merge_exceptions(n, cp, cut, maybe, hashes, entries)


@kernel_function
def _count_active(fl, lo, hi):  # type: ignore[no-untyped-def]
    count = 0
    for i in range(lo, hi):
        count += fl[i] & ACTIVE != 0
    return count


@kernel_function
def _split_middle(cp, fl, lo, hi, cut):  # type: ignore[no-untyped-def]
    """Cut around the infixes unless it is a URL; returns how many it found, twice."""
    period = False
    for i in range(lo, hi):
        period |= cp[i] == PERIOD
    if period and is_url(cp, fl, lo, hi):
        return 0
    found = 0
    i = lo
    while i < hi:
        length = infix_length(cp, fl, lo, i, hi) if fl[i] & ACTIVE else 0
        if length > 0 and i > lo:
            cut[i] = 1
            cut[i + length] = 1
            found += 2
        i += max(length, 1)
    return found


@kernel_function
def _merge_exceptions(n, cp, cut, maybe, hashes, entries):  # type: ignore[no-untyped-def]
    """Neighbouring words that together are an exception become its words: `)` `:` is the emoticon `):`."""
    begin = 0
    while begin < n:
        after, best, best_entry = 0, 0, np.uint32(0)
        for end in range(begin + 1, n + 1):
            if end < n and not cut[end]:
                continue
            if after == 0:
                after = end
            elif end - begin <= LONGEST:
                entry = find_exception(cp, begin, end, maybe, hashes, entries)
                if entry & MERGE:
                    best, best_entry = end, entry
            if end - begin >= LONGEST:
                break
        if best > 0:
            for i in range(begin + 1, best):
                cut[i] = 0
            _mark(best_entry, begin, best, cut)
            begin = best
        else:
            begin = after
