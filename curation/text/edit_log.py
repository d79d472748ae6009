"""The line editors' common ground: reading lines, and the log of edits on its way from kernel to Arrow.

An editing kernel walks over a document's lines, writes the new text to `out` and appends to an
EditLog; `finish` makes an EditedText of both without looking at single documents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit
from numpy.typing import NDArray

from curation.text.arrow import text_buffers
from curation.text.edits import EDIT, EDITS, EditedText
from curation.text.kernel import OPTIONS, cached_kernel, kernel_function
from curation.text.line_classes import MAYBE, LineClass
from curation.text.utf8 import decode, previous

SPACE = np.uint8(LineClass.SPACE)
LINE_BREAK = np.uint8(LineClass.LINE_BREAK)
RETURN, NEWLINE = ord("\r"), ord("\n")
AFTER = pa.array(["", "\n"], pa.large_string())


class EditLog(NamedTuple):
    """Edits in order; `used[0]` says how many there are."""

    rule: NDArray[np.uint8]  # index of the rule's name
    start: NDArray[np.int64]  # byte in its document
    length: NDArray[np.int64]  # bytes
    newline: NDArray[np.bool_]  # whether one line break stands there now, otherwise nothing
    used: NDArray[np.int64]  # [1]


class Outcome(NamedTuple):
    """What an editing kernel fills for a batch of n documents."""

    text: NDArray[np.uint8]  # room for as many bytes as the batch has
    ends: NDArray[np.int64]  # [n + 1] offsets into `text`
    log: EditLog
    log_ends: NDArray[np.int64]  # [n + 1] offsets into the log
    counts: NDArray[np.int64]  # [fields, n]


def new_outcome(offsets: NDArray[np.int64], fields: int) -> Outcome:
    """Room for the result; pages that stay unused cost no memory."""
    documents = len(offsets) - 1
    size = int(offsets[-1] - offsets[0])
    edits = size // 2 + 3 * documents + 1  # an edit takes a line and its break, or two bytes of a citation
    log = EditLog(
        np.empty(edits, np.uint8), np.empty(edits, np.int64), np.empty(edits, np.int64), np.empty(edits, np.bool_),
        np.zeros(1, np.int64),
    )  # fmt: skip
    ends, log_ends = np.zeros(documents + 1, np.int64), np.zeros(documents + 1, np.int64)
    return Outcome(np.empty(size, np.uint8), ends, log, log_ends, np.zeros((fields, documents), np.int64))


def valid_rows(text: pa.LargeStringArray) -> NDArray[np.bool_]:
    """Which rows are not null."""
    return np.asarray(text.is_valid().to_numpy(zero_copy_only=False))


def finish(
    text: pa.LargeStringArray, outcome: Outcome, rules: Sequence[str], columns: Mapping[str, pa.StructType]
) -> EditedText:
    """The new texts, the edits with what stood there, and the one column of counts."""
    ((column, fields),) = columns.items()
    nulls = text.is_null() if text.null_count else None
    counted = [pa.array(row) for row in outcome.counts]
    counts = pa.StructArray.from_arrays(counted, fields=list(fields), mask=nulls)
    used = int(outcome.log.used[0])
    offsets, buffer = text_buffers(text)
    rule, start, length, newline = (array[:used] for array in outcome.log[:4])
    before_ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(length)])
    before = np.empty(int(before_ends[-1]), np.uint8)
    _gather(buffer, offsets, outcome.log_ends, start, before_ends, before)
    edits = pa.StructArray.from_arrays(
        [
            pa.array(rules, pa.string()).take(pa.array(rule)),
            pa.array(start),
            pa.array(length),
            _strings(before_ends, before),
            AFTER.take(pa.array(newline).cast(pa.int8())),
        ],
        fields=list(EDIT),
    )
    listed = pa.ListArray.from_arrays(pa.array(outcome.log_ends.astype(np.int32)), edits, type=EDITS)
    if not used:
        return EditedText(text, listed, {column: counts})
    edited = _strings(outcome.ends, outcome.text[: outcome.ends[-1]])
    if nulls is not None:
        edited = pc.if_else(nulls, pa.scalar(None, pa.large_string()), edited)
    return EditedText(edited, listed, {column: counts})


def _strings(ends: NDArray[np.int64], data: NDArray[np.uint8]) -> pa.LargeStringArray:
    return pa.LargeStringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), pa.py_buffer(data))


@kernel_function
def add_edit(log, rule, start, end, newline):  # type: ignore[no-untyped-def]
    """Append an edit of bytes start to end of the document."""
    n = log.used[0]
    log.rule[n] = rule
    log.start[n] = start
    log.length[n] = end - start
    log.newline[n] = newline
    log.used[0] = n + 1


def line_function(function: Callable[..., Any]) -> Any:
    """`function` as a part of an editing kernel that is called, not inlined: what is done once a line."""
    return njit(**OPTIONS)(function)


def merged_function(function: Callable[..., Any]) -> Any:
    """`function` as text of the one kernel that calls it, before that is compiled.

    Each further function between a kernel and the segmenter has the segmenter optimised once more: 24 s became 16.
    """
    return njit(inline="always", **OPTIONS)(function)


@line_function
def find_line(buffer, i, end, lines):  # type: ignore[no-untyped-def]
    """The line of str.splitlines at byte i: (first, last, following, seen).

    first, last: bytes of the line without the white space at both ends; last == first when it is blank.
    following: where the next line begins.  seen: OPENING and CURLY where the line has such a mark.
    """
    first = i
    last = end
    seen = np.uint8(0)
    while i < end:
        f = lines.marks[buffer[i]]
        if f == 0:
            i += 1
            continue
        step = 1
        if f & MAYBE:
            c, step = decode(buffer, i, end)
            f = lines.classes[c] & LINE_BREAK
        if f & LINE_BREAK:
            last = i
            if buffer[i] == RETURN and i + 1 < end and buffer[i + 1] == NEWLINE:
                step = 2
            i += step
            break
        seen |= f
        i += step
    first, last = strip(buffer, first, last, lines)
    return first, last, i, seen


@kernel_function
def strip(buffer, first, last, lines):  # type: ignore[no-untyped-def]
    """(first, last) without the white space at both ends."""
    while first < last:
        if not lines.spaces[buffer[first]]:
            break
        c, step = decode(buffer, first, last)
        if not lines.classes[c] & SPACE:
            break
        first += step
    while last > first:
        i = previous(buffer, first, last)
        if not lines.spaces[buffer[i]]:
            break
        c, _ = decode(buffer, i, last)
        if not lines.classes[c] & SPACE:
            break
        last = i
    return first, last


@line_function
def count_words(buffer, i, end, limit, lines):  # type: ignore[no-untyped-def]
    """Stretches without white space in buffer[i:end], counted up to `limit`."""
    words = 0
    inside = False
    while i < end:
        f = lines.spaces[buffer[i]]
        step = 1
        if f & MAYBE:
            c, step = decode(buffer, i, end)
            f = lines.classes[c] & SPACE
        if f:
            inside = False
        elif not inside:
            inside = True
            words += 1
            if words == limit:
                break
        i += step
    return words


@kernel_function
def copy(buffer, start, end, out, o):  # type: ignore[no-untyped-def]
    """Copy buffer[start:end] to out at o; returns the end of what was written."""
    for k in range(end - start):
        out[o + k] = buffer[start + k]
    return o + end - start


def _gather_bytes(buffer, offsets, log_ends, start, ends, out):  # type: ignore[no-untyped-def]
    """Copy to out what stood at every edit."""
    for d in range(len(offsets) - 1):
        for e in range(log_ends[d], log_ends[d + 1]):
            first = offsets[d] + start[e]
            copy(buffer, first, first + ends[e + 1] - ends[e], out, ends[e])


_gather = cached_kernel(_gather_bytes)  # all of it is in this file, which is part of the cache key
