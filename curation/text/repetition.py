"""Repeated n-grams, lines and paragraphs of one document (Gopher: Rae et al. 2021, A.1.1, Table A1).

Kernels of `statistics.measure`, after the segmenter.  The semantics are those of datatrove
0.10's GopherRepetitionFilter: the most frequent 2-4-gram counts all its occurrences (the
first to occur wins a tie); a repeated 5-10-gram counts once it recurs and is then skipped whole.
"""

from __future__ import annotations

import numpy as np

from curation.text.character_classes import CharacterClass
from curation.text.hashing import hash_bytes, hash_words, load_block
from curation.text.kernel import kernel_function
from curation.text.seen import MAX_MEMBERS, add, start_set
from curation.text.utf8 import decode

SPACE = np.uint32(CharacterClass.SPACE)
NEWLINE = 10
NEWLINES = np.uint64(0x0A0A_0A0A_0A0A_0A0A)
LOW_BITS, HIGH_BITS = np.uint64(0x0101_0101_0101_0101), np.uint64(0x8080_8080_8080_8080)
TOP_SIZES = (2, 3, 4)
DUPLICATE_SIZES = (5, 6, 7, 8, 9, 10)


@kernel_function
def count_chars(word_length, x, n):  # type: ignore[no-untyped-def]
    total = np.int64(0)
    for k in range(n):
        total += np.int64(word_length[x + k])
    return total


@kernel_function
def top_ngram(word_hash, word_length, words, n, repeated, seen):  # type: ignore[no-untyped-def]
    """Code points, joining spaces included, of all occurrences of the most frequent n-gram.

    `repeated[x]` says whether the (n-1)-gram at x occurs twice; on return, whether the n-gram does:
    an n-gram can only repeat where both its (n-1)-grams do, so most need no look at the table.
    """
    if words < n:
        return 0
    start_set(seen, words)
    slots, base, mask = seen.slots, np.uint64(seen.bounds[0]), np.uint64(seen.bounds[2])
    most, at = 1, 0
    for x in range(words - n + 1):
        candidate = n == 2 or (repeated[x] and repeated[x + 1])
        repeated[x] = False
        if candidate:
            count, first = add(slots, base, mask, hash_words(word_hash, x, n), x)
            if count > 1:
                repeated[x] = True
                repeated[first] = True
                if count > most or (count == most and first < at):
                    most, at = count, first
    repeated[words - n + 1 : words] = False
    return most * (count_chars(word_length, at, n) + n - 1)


@kernel_function
def repeated_places(repeated, words, places):  # type: ignore[no-untyped-def]
    """Write where two repeated 4-grams begin side by side, so that a 5-gram may repeat; returns how many."""
    found = 0
    for x in range(words - 4):
        if repeated[x] and repeated[x + 1]:
            places[found] = x
            found += 1
    return found


@kernel_function
def duplicate_ngrams(word_hash, word_length, words, n, repeated, places, seen):  # type: ignore[no-untyped-def]
    """Code points in n-grams that occurred before; `repeated` is that of the 4-grams, `places` from above."""
    if len(places) == 0:
        return 0
    start_set(seen, words)
    slots, base, mask = seen.slots, np.uint64(seen.bounds[0]), np.uint64(seen.bounds[2])
    chars, free = np.int64(0), np.int64(0)  # free: where the last counted n-gram ends
    for k in range(len(places)):
        x = np.int64(places[k])
        if x < free or x > words - n:
            continue
        candidate = True
        for i in range(x + 2, x + n - 3):
            candidate = candidate and repeated[i]
        if candidate:
            count, _ = add(slots, base, mask, hash_words(word_hash, x, n), x)
            if count > 1:
                chars += count_chars(word_length, x, n)
                free = x + n
    return chars


@kernel_function
def duplicate_segments(buffer, start, end, newlines, segments, classes, seen):  # type: ignore[no-untyped-def]
    """Segments between runs of at least `newlines` newlines: 1 gives lines, 2 paragraphs.

    `segments` bounds their number from above.  Returns (segments, segments that occurred before,
    their code points, those of them that are not only white space).
    """
    start_set(seen, segments)
    slots, base, mask = seen.slots, np.uint64(seen.bounds[0]), np.uint64(seen.bounds[2])
    total, duplicates, chars, visible_chars = 0, 0, 0, 0
    begin = i = start
    while True:
        i = stop = find_newline(buffer, i, end)
        while i < end and buffer[i] == NEWLINE:
            i += 1
        if stop < end and i - stop < newlines:
            continue
        if total < MAX_MEMBERS:
            count, _ = add(slots, base, mask, hash_bytes(buffer, begin, stop), total)
            if count > 1:
                length, visible = _measure_segment(buffer, begin, stop, classes)
                duplicates += 1
                chars += length
                if visible:
                    visible_chars += length
        total += 1
        if stop >= end:
            return total, duplicates, chars, visible_chars
        begin = i


@kernel_function
def find_newline(buffer, i, end):  # type: ignore[no-untyped-def]
    """The next newline at or after byte i, or `end`; looks at eight bytes at a time (Warren, Hacker's Delight, 6-1)."""
    while i + 8 <= end:
        block = load_block(buffer, i) ^ NEWLINES
        if (block - LOW_BITS) & ~block & HIGH_BITS:
            break
        i += 8
    while i < end and buffer[i] != NEWLINE:
        i += 1
    return i


@kernel_function
def _measure_segment(buffer, start, end, classes):  # type: ignore[no-untyped-def]
    """(code points of buffer[start:end], whether one is not white space)."""
    length, visible = 0, False
    i = start
    while i < end:
        c, step = decode(buffer, i, end)
        visible |= not classes[c] & SPACE
        length += 1
        i += step
    return length, visible
