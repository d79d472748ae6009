"""Counts over the characters and lines of one document (Gopher quality and FineWeb filters).

Kernel of `statistics.measure`.  Two kinds of line, as in datatrove 0.10: Gopher's are those of
str.splitlines, FineWeb's those between newlines that are not only white space.
"""

from __future__ import annotations

import numpy as np

from curation.text.character_classes import CharacterClass
from curation.text.kernel import kernel_function
from curation.text.utf8 import decode, previous, strip

LINE_BREAK = np.uint32(CharacterClass.LINE_BREAK)
TERMINAL = np.uint32(CharacterClass.TERMINAL)
NEWLINE, RETURN, BLANK, PERIOD, NUMBER, HYPHEN = ord("\n"), ord("\r"), ord(" "), ord("."), ord("#"), ord("-")
BULLET, ELLIPSIS = ord("•"), ord("…")
CONTINUATION, FIRST_LEAD = 0x80, 0xC2  # of UTF-8
SHORT_LINE = 30  # code points; FineWeb's short_line_length

# Indices of the counts.
CHARS, NEWLINES, HASHES, ELLIPSES, SPLIT_LINES, BULLET_LINES, ELLIPSIS_LINES = range(7)
NONBLANK_LINES, PUNCTUATED_LINES, SHORT_LINES = range(7, 10)
LINE_COUNTS = 10


@kernel_function
def count_lines(buffer, start, end, classes, counts):  # type: ignore[no-untyped-def]
    """Fill counts (int64[LINE_COUNTS]) for buffer[start:end]."""
    for k in range(LINE_COUNTS):
        counts[k] = 0
    chars, line_chars = 0, 0  # code points before here, and before the current line
    dots, after_dot = 0, start  # periods of an unfinished ellipsis, and where it would go on
    split_start = line_start = start
    i = start
    while i < end:
        lead = buffer[np.uint64(i)]
        chars += lead & 0xC0 != CONTINUATION
        if BLANK <= lead < FIRST_LEAD and lead != PERIOD and lead != NUMBER:  # most of all bytes: nothing to count
            i += 1
            continue
        if lead == PERIOD:
            dots = dots + 1 if i == after_dot else 1
            after_dot = i + 1
            if dots == 3:
                counts[ELLIPSES] += 1
                dots = 0
            i += 1
            continue
        c, step = decode(buffer, i, end)
        if c == NUMBER:
            counts[HASHES] += 1
        elif c == ELLIPSIS:
            counts[ELLIPSES] += 1
        elif classes[c] & LINE_BREAK:
            if not (c == NEWLINE and i > start and buffer[i - 1] == RETURN):
                _end_split_line(buffer, split_start, i, classes, counts)
            split_start = i + step
            if c == NEWLINE:
                counts[NEWLINES] += 1
                _end_line(buffer, line_start, i, chars - 1 - line_chars, classes, counts)
                line_start, line_chars = i + 1, chars
        i += step
    if split_start < end:
        _end_split_line(buffer, split_start, end, classes, counts)
    _end_line(buffer, line_start, end, chars - line_chars, classes, counts)
    counts[CHARS] = chars


@kernel_function
def _end_split_line(buffer, start, end, classes, counts):  # type: ignore[no-untyped-def]
    """Count a line of str.splitlines, buffer[start:end]."""
    counts[SPLIT_LINES] += 1
    start, end = strip(buffer, start, end, classes)
    if start < end:
        first, _ = decode(buffer, start, end)
        last, _ = decode(buffer, previous(buffer, start, end), end)
        counts[BULLET_LINES] += first in (BULLET, HYPHEN)
        dots = end - start >= 3 and buffer[end - 3] == PERIOD and buffer[end - 2] == PERIOD and last == PERIOD
        counts[ELLIPSIS_LINES] += last == ELLIPSIS or dots


@kernel_function
def _end_line(buffer, start, end, length, classes, counts):  # type: ignore[no-untyped-def]
    """Count a line between newlines, buffer[start:end] of `length` code points."""
    first, _ = strip(buffer, start, end, classes)
    if first < end:
        last, _ = decode(buffer, previous(buffer, start, end), end)
        counts[NONBLANK_LINES] += 1
        counts[PUNCTUATED_LINES] += classes[last] & TERMINAL != 0
        counts[SHORT_LINES] += length <= SHORT_LINE
