"""Take passages out of texts and stitch what stays: the one editor behind line and substring dedup.

A cut is a range of bytes.  White space at its ends is trimmed, and of the white space that then stands on
both sides one run stays: the one with more line breaks (the left one in a tie), with the indentation of
the line that follows.  So a cut never makes a gap larger than the larger of the two it found, never joins
two paragraphs that were apart, and where two words would meet one space is put between them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.text import character_classes, utf8
from curation.text.arrow import text_buffers
from curation.text.character_classes import CharacterClass, class_table
from curation.text.edits import EDIT, EDITS, EditedText
from curation.text.kernel import cached_kernel, kernel_function, source_digest
from curation.text.utf8 import decode, previous

CUTS_VERSION = 1  # raised whenever the same cuts can leave another text
REACH = 32  # code points that an end of a cut moves at most to reach the end of a word

SPACE = np.uint32(CharacterClass.SPACE)
LINE_BREAK = np.uint32(CharacterClass.LINE_BREAK)
UNSPACED = np.uint32(CharacterClass.UNSPACED)
INVISIBLE = np.uint32(CharacterClass.INVISIBLE)
EXTENDS = np.uint32(CharacterClass.MARK | CharacterClass.INVISIBLE)  # belongs to what stands before it
IN_WORD = np.uint32(CharacterClass.WORD | CharacterClass.MARK | CharacterClass.INVISIBLE)
NEWLINE, RETURN, BLANK, JOINER = ord("\n"), ord("\r"), ord(" "), 0x200D
AFTER = pa.array(["", " "], pa.large_string())


class Cuts(NamedTuple):
    """Ranges of bytes to take out of n documents: each document's in order, not overlapping."""

    starts: NDArray[np.int64]  # in the document
    stops: NDArray[np.int64]
    ends: NDArray[np.int64]  # [n] of each document's part of the ranges


def cut(text: pa.LargeStringArray, cuts: Cuts, rule: str, *, at_words: bool) -> tuple[EditedText, NDArray[np.bool_]]:
    """The texts without the ranges, the edits under the name `rule`, and which texts have nothing visible left.

    text: large_string array of n documents (may be a slice; a null has no ranges).  With `at_words` the ends of
    a range, which may then be any bytes, move inwards to the nearest end of a word, at most REACH code points.
    Raises TypeError for any other type of array.
    """
    offsets, buffer = text_buffers(text)
    size, ranges = int(offsets[-1] - offsets[0]), len(cuts.starts)
    out, before = np.empty(size + ranges, np.uint8), np.empty(size, np.uint8)
    ends, log_ends = np.zeros(len(text) + 1, np.int64), np.zeros(len(text) + 1, np.int64)
    log = np.empty((3, ranges), np.int64)
    before_ends = np.zeros(ranges + 1, np.int64)
    blank = np.zeros(len(text), np.bool_)
    _cut(buffer, offsets, *cuts, at_words, class_table(), out, ends, log, log_ends, before, before_ends, blank)
    edits = int(log_ends[-1])
    entries = pa.StructArray.from_arrays(
        [
            pa.array([rule] * edits, pa.string()),
            pa.array(log[0, :edits]),
            pa.array(log[1, :edits]),
            _strings(before_ends[: edits + 1], before),
            AFTER.take(pa.array(log[2, :edits])),
        ],
        fields=list(EDIT),
    )
    listed = pa.ListArray.from_arrays(pa.array(log_ends.astype(np.int32)), entries, type=EDITS)
    new = _strings(ends, out)
    if text.null_count:
        new = pc.if_else(text.is_valid(), new, pa.scalar(None, pa.large_string()))
    return EditedText(new, listed), blank


def _strings(ends: NDArray[np.int64], data: NDArray[np.uint8]) -> pa.LargeStringArray:
    return pa.LargeStringArray.from_buffers(
        len(ends) - 1, pa.py_buffer(np.ascontiguousarray(ends)), pa.py_buffer(data[: int(ends[-1])])
    )


@kernel_function
def is_word_end(buffer, start, i, end, classes):  # type: ignore[no-untyped-def]
    """Whether byte i, where a code point begins, lies between two words, or at an end of the text."""
    if i <= start or i >= end:
        return True
    c, _ = decode(buffer, i, end)
    before, _ = decode(buffer, previous(buffer, start, i), end)
    f, g = classes[c], classes[before]
    if f & EXTENDS or before == JOINER:
        return False
    return (f | g) & UNSPACED != 0 or not (f & IN_WORD and g & IN_WORD)


@kernel_function
def _inwards(buffer, start, end, a, b, classes):  # type: ignore[no-untyped-def]
    """The range from a to b with both ends moved inwards to code points, and to words where one is near."""
    while a < b and buffer[a] & 0xC0 == 0x80:
        a += 1
    while b > a and b < end and buffer[b] & 0xC0 == 0x80:
        b -= 1
    i = a
    for _ in range(REACH):
        if i >= b or is_word_end(buffer, start, i, end, classes):
            a = i
            break
        _, step = decode(buffer, i, end)
        i += step
    i = b
    for _ in range(REACH):
        if i <= a or is_word_end(buffer, start, i, end, classes):
            b = i
            break
        i = previous(buffer, start, i)
    return a, b


@kernel_function
def _spaces_after(buffer, i, end, classes):  # type: ignore[no-untyped-def]
    """(end of the white space from byte i, its line breaks, byte after the last of them)."""
    breaks, after = 0, i
    while i < end:
        c, step = decode(buffer, i, end)
        if not classes[c] & SPACE:
            break
        if classes[c] & LINE_BREAK:
            breaks += not (c == NEWLINE and after == i and breaks > 0 and buffer[i - 1] == RETURN)
            after = i + step
        i += step
    return i, breaks, after


@kernel_function
def _spaces_before(buffer, start, i, classes):  # type: ignore[no-untyped-def]
    """Where the white space that ends at byte i begins."""
    while i > start:
        k = previous(buffer, start, i)
        c, _ = decode(buffer, k, i)
        if not classes[c] & SPACE:
            break
        i = k
    return i


@kernel_function
def _stitched(buffer, start, end, a, b, classes):  # type: ignore[no-untyped-def]
    """(first byte to take out, byte after the last, whether a space takes their place) for the cut from a to b."""
    left = _spaces_before(buffer, start, a, classes)
    _, breaks_left, after_left = _spaces_after(buffer, left, a, classes)
    right, breaks_right, after_right = _spaces_after(buffer, b, end, classes)
    if left == start:
        return start, after_right if breaks_right and right < end else right, False
    if right == end or breaks_right > breaks_left:
        return left, b, False
    if breaks_right:
        return after_left, after_right, False
    if left < a:
        return a, right, False
    if b < right:
        return a, b, False
    meet, _ = decode(buffer, previous(buffer, start, a), end)
    c, _ = decode(buffer, b, end)
    f, g = classes[meet], classes[c]
    return a, b, f & IN_WORD != 0 and g & IN_WORD != 0 and not (f | g) & UNSPACED


@kernel_function
def _copy(buffer, start, end, out, o):  # type: ignore[no-untyped-def]
    for k in range(end - start):
        out[o + k] = buffer[start + k]
    return o + end - start


def _build_cut(sources: int) -> Any:
    """The kernel; closing over `sources` makes the digest part of the machine code's cache key."""

    def cut_documents(  # type: ignore[no-untyped-def]
        buffer, offsets, starts, stops, range_ends, at_words, classes, out, ends, log, log_ends, before, before_ends,
        blank,
    ):  # fmt: skip
        """Fill out, ends, log (start, length, whether a space stands there now), what was cut, and blank."""
        o, edits, r = 0, 0 if sources >= 0 else -1, 0
        for d in range(len(offsets) - 1):
            start, end = offsets[d], offsets[d + 1]
            done, first = start, o
            a = b = -1  # the cut that waits: a next one may follow after white space only
            while r <= range_ends[d]:
                x = y = end
                if r < range_ends[d]:
                    x, y = start + starts[r], start + stops[r]
                    if at_words:
                        x, y = _inwards(buffer, start, end, x, y, classes)
                    x = min(_spaces_after(buffer, x, y, classes)[0], y)
                    y = _spaces_before(buffer, x, y, classes)
                    if a >= 0 and x < y and _spaces_after(buffer, b, x, classes)[0] == x:
                        b = y
                        r += 1
                        continue
                if a >= 0 and (x < y or r == range_ends[d]):
                    low, high, space = _stitched(buffer, start, end, a, b, classes)
                    o = _copy(buffer, done, low, out, o)
                    if space:
                        out[o] = BLANK
                        o += 1
                    done = high
                    log[0, edits], log[1, edits], log[2, edits] = low - start, high - low, space
                    before_ends[edits + 1] = _copy(buffer, low, high, before, before_ends[edits])
                    edits += 1
                if r == range_ends[d]:
                    break
                if x < y:
                    a, b = x, y
                r += 1
            o = _copy(buffer, done, end, out, o)
            ends[d + 1] = o
            log_ends[d + 1] = edits
            i = first
            while i < o:
                c, step = decode(out, i, o)
                if not classes[c] & (SPACE | INVISIBLE):
                    break
                i += step
            blank[d] = i >= o

    return cached_kernel(cut_documents)


_cut = _build_cut(source_digest(character_classes, utf8))
