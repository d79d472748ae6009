"""A run of characters that a rule may split, cut into its words: ends, middle, exceptions.

Part of the segmenter: `segment` spells the run out into its workspace and counts the words.
"""

from __future__ import annotations

import numpy as np

from curation.text.affixes import PERIOD, infix_length, is_url, prefix_length, suffix_length
from curation.text.character_classes import CharacterClass
from curation.text.exceptions import LONGEST, MERGE, WHOLE, find_exception
from curation.text.kernel import kernel_function

ACTIVE = np.uint32(CharacterClass.ACTIVE)


@kernel_function
def mark(entry, lo, hi, cut):  # type: ignore[no-untyped-def]
    """Cut [lo, hi) into the words of an exception."""
    begin = lo
    for k in range(2):
        begin += np.int64(entry >> np.uint32(4 * k)) & 15
        if begin < hi:
            cut[begin] = 1


@kernel_function
def split_run(buffer, n, tables, work):  # type: ignore[no-untyped-def]
    """Set `cut` at every word that begins inside the run: ends, middle, exceptions."""
    _, maybe, hashes, entries = tables
    cp, fl, at, cut = work.cp, work.fl, work.at, work.cut
    lo, hi, size, pieces = 0, n, -1, 1
    active = _count_active(fl, 0, n)  # kept up to date, for a scan in each turn would be quadratic
    entry = np.uint32(0)
    while lo < hi and hi - lo != size:
        entry = find_exception(buffer, at, cp, lo, hi, maybe, hashes, entries)
        if entry & WHOLE or active == 0:
            break
        size = hi - lo
        front = prefix_length(cp, fl, lo, hi)
        if 0 < front < size:
            entry = find_exception(buffer, at, cp, lo + front, hi, maybe, hashes, entries)
            if entry & WHOLE:
                lo += front
                cut[lo] = 1
                break
        back = suffix_length(buffer, at, cp, fl, lo + front, hi, maybe, hashes, entries)
        if 0 < back < size:
            entry = find_exception(buffer, at, cp, lo, hi - back, maybe, hashes, entries)
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
            mark(entry, lo, hi, cut)
            pieces += 2
        elif active > 0:
            pieces += _split_middle(cp, fl, lo, hi, cut)
    cut[0] = 0
    cut[n] = 0
    if pieces > 2:  # two pieces are the whole run, which is no exception
        _merge_exceptions(buffer, n, tables, work)


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
def _merge_exceptions(buffer, n, tables, work):  # type: ignore[no-untyped-def]
    """Neighbouring words that together are an exception become its words: `)` `:` is the emoticon `):`."""
    _, maybe, hashes, entries = tables
    cp, at, cut = work.cp, work.at, work.cut
    begin = 0
    while begin < n:
        after, best, best_entry = 0, 0, np.uint32(0)
        for end in range(begin + 1, n + 1):
            if end < n and not cut[end]:
                continue
            if after == 0:
                after = end
            elif end - begin <= LONGEST:
                entry = find_exception(buffer, at, cp, begin, end, maybe, hashes, entries)
                if entry & MERGE:
                    best, best_entry = end, entry
            if end - begin >= LONGEST:
                break
        if best > 0:
            for i in range(begin + 1, best):
                cut[i] = 0
            mark(best_entry, begin, best, cut)
            begin = best
        else:
            begin = after
