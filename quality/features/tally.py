"""Counters of one word, sentence and line: what the scanner adds up where each ends (`counters.py`)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curation.text.kernel import kernel_function
from quality.features import counters as c
from quality.features.markers import SLOT_SHIFT, SLOTS
from quality.features.occurrences import LOW_SIX, ONE, SIX, ZERO

SKETCH_SHIFT = np.uint64(64 - c.SKETCH_BITS)


class Tables(NamedTuple):
    """What the scanner reads besides the text."""

    characters: NDArray[np.uint32]  # characters.feature_table
    marker_hashes: NDArray[np.uint64]
    marker_masks: NDArray[np.uint16]
    shifts: NDArray[np.uint64]  # (2,): 64 less the bits of word and character buckets


@kernel_function
def is_new(sketch, value):  # type: ignore[no-untyped-def]
    """1 if no value with these top bits came before, else 0."""
    key = value >> SKETCH_SHIFT
    block = key >> SIX
    bit = ONE << (key & LOW_SIX)
    word = sketch[block]
    sketch[block] = word | bit
    return word & bit == ZERO


@kernel_function
def end_sentence(row, words, mark):  # type: ignore[no-untyped-def]
    if words > 0:
        row[c.SENTENCES] += 1
        row[c.SENTENCE_WORDS] += words
        row[c.SENTENCE_SQUARES] += words * words
        row[c.QUESTIONS] += mark == 0x3F or mark == 0xFF1F or mark == 0x61F  # ? of three scripts
        row[c.EXCLAMATIONS] += mark == 0x21 or mark == 0xFF01


@kernel_function
def end_line(row, visible, indent, marks, first, last, ends):  # type: ignore[no-untyped-def]
    row[c.LINES] += 1
    row[c.LINE_CHARS] += visible
    row[c.LINE_SQUARES] += visible * visible
    row[c.SHORT] += visible <= c.SHORT_LINE
    row[c.HEADED] += first == 0x23
    row[c.INDENTED] += indent >= c.INDENT
    row[c.TABLES] += marks >= c.TABLE_MARKS
    row[c.ENDED] += ends
    row[c.COLONS] += last == 0x3A
    row[c.CODED] += last == 0x3B or last == 0x7B or last == 0x7D


@kernel_function
def is_bullet(code):  # type: ignore[no-untyped-def]
    """- * + • · ‣ ◦ ▪ –"""
    return (
        code == 0x2D or code == 0x2A or code == 0x2B or code == 0x2022 or code == 0xB7 or code == 0x2023
        or code == 0x25E6 or code == 0x25AA or code == 0x2013
    )  # fmt: skip


@kernel_function
def count_word(row, value, length, uppers, digits, first_upper, head, tables):  # type: ignore[no-untyped-def]
    """Counters of one word."""
    row[c.WORDS] += 1
    row[c.WORD_CHARS] += length
    row[c.WORD_SQUARES] += length * length
    row[c.LONG] += length > c.LONG_WORD
    row[c.VERY_LONG] += length > c.VERY_LONG_WORD
    row[c.LONGEST] = max(row[c.LONGEST], length)
    row[c.CAPITALISED] += first_upper
    row[c.SHOUTED] += uppers == length and length > 1
    row[c.WITH_DIGIT] += digits > 0
    row[c.NUMBERS] += digits == length
    row[c.YEARS] += digits == 4 and length == 4 and (head == 19 or head == 20)
    slot = value >> SLOT_SHIFT
    known = tables.marker_hashes[slot]
    while known != ZERO and known != value:
        slot = (slot + ONE) & np.uint64(SLOTS - 1)
        known = tables.marker_hashes[slot]
    if known != ZERO:
        mask = tables.marker_masks[slot]
        at = c.MARKERS
        while mask:
            row[at] += mask & 1
            mask >>= 1
            at += 1
