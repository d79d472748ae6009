"""What the line editors ask about one code point, in one byte: a table small enough to stay in the cache.

White space, line breaks and word characters are those of `character_classes`; the rest is
data (`data/line_classes.tsv`, written by `make_line_classes.py`) pinned to one Unicode version.
"""

from __future__ import annotations

from enum import IntFlag
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curation.text.character_classes import CODE_POINTS, CharacterClass, class_table, data_lines
from curation.text.exceptions import exceptions
from curation.text.kernel import kernel_function


class LineClass(IntFlag):
    """The bits of the table."""

    SPACE = 1 << 0  # str.isspace
    LINE_BREAK = 1 << 1  # str.splitlines
    WORD = 1 << 2  # `\\w`
    PUNCTUATION = 1 << 3  # general category P*: spaCy's is_punct
    SENTENCE_END = 1 << 4  # spaCy's Sentencizer.default_punct_chars
    UPPERCASE = 1 << 5  # str.isupper
    DIGIT = 1 << 6  # str.isdigit
    DECIMAL = 1 << 7  # general category Nd: `\\d`


class LineTables(NamedTuple):
    """The table by code point, and what a first byte already says."""

    classes: NDArray[np.uint8]  # [0x110000] bits of LineClass
    spaces: NDArray[np.uint8]  # [256] by first byte: SPACE and LINE_BREAK of ASCII, MAYBE
    marks: NDArray[np.uint8]  # [256] by first byte: LINE_BREAK of ASCII, MAYBE, OPENING, CURLY
    ends: NDArray[np.uint8]  # [256] by first byte: 1 where a SENTENCE_END may begin
    abbreviations: NDArray[np.bool_]  # [ABBREVIATIONS] by `abbreviation_slot`: false where a word surely is none


MAYBE = 1 << 2  # a code point of white space (in `marks`: a line break) may begin with this byte: decode it
OPENING = 1 << 3  # `[`, where a citation may begin
CURLY = 1 << 4  # `{`
ABBREVIATIONS = 1 << 14


@kernel_function
def abbreviation_slot(first, last, length):  # type: ignore[no-untyped-def]
    """Index of a word and its mark by first and last letter and length: `etc.` is (e, c, 4)."""
    return (first & 31) << 9 | (last & 31) << 4 | min(length, 15)


@cache
def line_tables() -> LineTables:
    """The tables, read-only."""
    classes = np.zeros(CODE_POINTS, np.uint8)
    for line in data_lines("line_classes.tsv"):
        first, last, bits = (int(field, 16) for field in line.split("\t"))
        classes[first : last + 1] = bits
    for ours, theirs in (
        (LineClass.SPACE, CharacterClass.SPACE),
        (LineClass.LINE_BREAK, CharacterClass.LINE_BREAK),
        (LineClass.WORD, CharacterClass.WORD),
    ):
        classes[class_table() & np.uint32(theirs) != 0] |= np.uint8(ours)
    spaces, marks, ends = (np.zeros(256, np.uint8) for _ in range(3))
    spaces[:128] = classes[:128] & (LineClass.SPACE | LineClass.LINE_BREAK)
    marks[:128] = classes[:128] & LineClass.LINE_BREAK
    marks[ord("[")] = OPENING
    marks[ord("{")] = CURLY
    for code in np.flatnonzero(classes & LineClass.SPACE).tolist():
        if code >= 128:
            spaces[chr(code).encode()[0]] = MAYBE
            if classes[code] & LineClass.LINE_BREAK:
                marks[chr(code).encode()[0]] = MAYBE
    for code in np.flatnonzero(classes & LineClass.SENTENCE_END).tolist():
        ends[chr(code).encode()[0]] = 1
    abbreviations = np.zeros(ABBREVIATIONS, np.bool_)
    for known in exceptions().whole:
        if len(known) > 1:
            abbreviations[abbreviation_slot.py_func(ord(known[0]), ord(known[-2]), len(known))] = True
    for table in (classes, spaces, marks, ends, abbreviations):
        table.setflags(write=False)
    return LineTables(classes, spaces, marks, ends, abbreviations)
