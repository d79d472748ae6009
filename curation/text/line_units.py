"""Lines or paragraphs of texts: where each stands, and its normalised bytes, for comparing them across documents.

A line is one of str.splitlines that is not only white space; a paragraph is a run of such lines without a
blank one between.  Normalised like a document (`normalize`): white space runs become one space, the ends are
trimmed, control and format characters are dropped; case, digits and punctuation stay.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.text import character_classes, utf8
from curation.text.arrow import text_buffers
from curation.text.character_classes import CharacterClass, class_table
from curation.text.kernel import cached_kernel, source_digest
from curation.text.normalize import normalize_reference
from curation.text.utf8 import decode

UNITS_VERSION = 1  # raised whenever some text has other units, or a unit other normalised bytes

SPACE = np.uint32(CharacterClass.SPACE)
LINE_BREAK = np.uint32(CharacterClass.LINE_BREAK)
INVISIBLE = np.uint32(CharacterClass.INVISIBLE)
NEWLINE, RETURN, BLANK = ord("\n"), ord("\r"), ord(" ")


class Units(NamedTuple):
    """The units of n documents, one after the other."""

    first: NDArray[np.int64]  # byte in the document where the unit begins, without the white space around it
    last: NDArray[np.int64]  # the byte after it
    chars: NDArray[np.int64]  # code points of its normalised form
    bytes: NDArray[np.uint8]  # the normalised forms, joined
    ends: NDArray[np.int64]  # of each unit's part of `bytes`
    document_ends: NDArray[np.int64]  # [n] of each document's part of the units


def find_units(text: pa.LargeStringArray, *, paragraphs: bool) -> Units:
    """The lines (or paragraphs) of every document.

    text: large_string array of n documents (may be a slice; a null has none).
    Raises TypeError for any other type of array.  Memory: the bytes of the text, and 32 a unit.
    """
    offsets, buffer = text_buffers(text)
    size = int(offsets[-1] - offsets[0])
    room = size // 2 + len(text)
    first, last, chars, ends = (np.empty(room, np.int64) for _ in range(4))
    out, document_ends = np.empty(size, np.uint8), np.empty(len(text), np.int64)
    count = int(_find(buffer, offsets, paragraphs, class_table(), first, last, chars, out, ends, document_ends))
    used = int(ends[count - 1]) if count else 0
    return Units(first[:count], last[:count], chars[:count], out[:used], ends[:count], document_ends)


def units_reference(text: str, *, paragraphs: bool) -> list[tuple[int, int, str]]:
    """(first byte, byte after, normalised form) of each unit of one document, in plain Python."""
    found: list[tuple[int, int, str]] = []
    at, open_ = 0, False
    for line in text.splitlines(keepends=True):
        content = line.strip()
        begin = at + len(line[: len(line) - len(line.lstrip())].encode())
        at += len(line.encode())
        if content:
            last = begin + len(content.encode())
            start = found.pop()[0] if paragraphs and open_ else begin
            found.append((start, last, normalize_reference(text.encode()[start:last].decode())))
        open_ = bool(content)
    return found


def _build_find(sources: int) -> Any:
    """The kernel; closing over `sources` makes the digest part of the machine code's cache key."""

    def find_line_units(buffer, offsets, paragraphs, classes, first, last, chars, out, ends, document_ends):  # type: ignore[no-untyped-def]
        """Fill the arrays; returns the number of units."""
        count, o = 0 if sources >= 0 else -1, 0
        for d in range(len(offsets) - 1):
            start, end = offsets[d], offsets[d + 1]
            inside, content, gap = False, False, False  # of a unit; the line has something; white space was met
            begin = o
            i = start
            while i <= end:
                c, step, f = np.uint32(NEWLINE), 1, LINE_BREAK
                if i < end:
                    c, step = decode(buffer, i, end)
                    f = classes[c]
                if f & LINE_BREAK:
                    if i < end and c == NEWLINE and i > start and buffer[i - 1] == RETURN:
                        i += 1
                        continue
                    if inside and (i == end or not paragraphs or not content):
                        ends[count] = o
                        count += 1
                        inside = False
                    content = False
                    gap = True
                elif f & SPACE:
                    gap = True
                else:
                    if not inside:
                        inside, begin, gap = True, o, False
                        first[count] = i - start
                        chars[count] = 0
                    content = True
                    last[count] = i + step - start
                    if not f & INVISIBLE:
                        if gap and o > begin:
                            out[o] = BLANK
                            o += 1
                            chars[count] += 1
                        gap = False
                        for k in range(step):
                            out[o + k] = buffer[i + k]
                        o += step
                        chars[count] += 1
                i += step
            document_ends[d] = count
        return count

    return cached_kernel(find_line_units)


_find = _build_find(source_digest(character_classes, utf8))
