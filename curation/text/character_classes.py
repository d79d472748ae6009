"""Character classes by code point, from a data file pinned to one Unicode version.

Python's own `unicodedata` changes with the Python version and would change our
statistics with it; so the classes are data (`data/character_classes.tsv`, written by
`make_tables.py`), and every kernel reads the same array.
"""

from __future__ import annotations

from enum import IntFlag
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

CODE_POINTS = 0x110000


class CharacterClass(IntFlag):
    """What a rule can ask about one code point; the numbers are the bits of the data file."""

    SPACE = 1 << 0  # str.isspace
    LETTER = 1 << 1  # general category L*, as str.isalpha
    WORD = 1 << 2  # letter, number or underscore: `\\w`
    MARK = 1 << 3  # general category M*: belongs to the character before it
    INVISIBLE = 1 << 4  # control and format characters that are not white space
    LINE_BREAK = 1 << 5  # str.splitlines
    UNSPACED = 1 << 6  # letters of scripts written without spaces: one code point is one word
    SYMBOL = 1 << 7  # datatrove's PUNCTUATION_SET: a word of nothing else is not counted as a word
    TERMINAL = 1 << 8  # datatrove's TERMINAL_PUNCTUATION
    ALPHA = 1 << 9  # spaCy's ALPHA
    LOWER = 1 << 10  # spaCy's ALPHA_LOWER (with the caseless scripts)
    UPPER = 1 << 11  # spaCy's ALPHA_UPPER (with the caseless scripts)
    DIGIT = 1 << 12  # [0-9]
    QUOTE = 1 << 13  # spaCy's CONCAT_QUOTES
    ICON = 1 << 14  # spaCy's LIST_ICONS: symbols, dingbats, emoji
    CURRENCY = 1 << 15  # one-character currency signs
    PREFIX = 1 << 16  # split off the front of a run
    SUFFIX = 1 << 17  # split off the end of a run
    BEFORE_PERIOD = 1 << 18  # a final period after it is split off
    HYPHEN = 1 << 19  # hyphen, dashes, tilde: split between letters
    HOST = 1 << 20  # may stand in the labels of a host name
    ACTIVE = 1 << 21  # some splitting rule looks at it; a run without any is one word


@cache
def class_table() -> NDArray[np.uint32]:
    """Bits of `CharacterClass` for every code point: uint32 array of length 0x110000, read-only."""
    table = np.zeros(CODE_POINTS, np.uint32)
    for line in data_lines("character_classes.tsv"):
        first, last, bits = (int(field, 16) for field in line.split("\t"))
        table[first : last + 1] = bits
    table.setflags(write=False)
    return table


def unicode_version() -> str:
    """The Unicode version of the general categories in the table."""
    text = resources.files("curation.text").joinpath("data/character_classes.tsv").read_text("utf-8")
    return text.split("Unicode ", 1)[1].split(" ", 1)[0]


def data_lines(name: str) -> list[str]:
    text = resources.files("curation.text").joinpath(f"data/{name}").read_text("utf-8")
    return [line for line in text.split("\n") if line and not line.startswith("# ")]
