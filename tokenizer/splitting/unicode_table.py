"""The class of every code point, pinned: what `\\p{Lu}`, `\\p{M}`, `\\s` … mean in the library that was probed.

`make_unicode_table` writes the file and a test probes the installed library again, so that counts, exported
vocabulary and reference encoder never disagree about a border between two words.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tokenizer.splitting.patterns import UNICODE_TABLE_VERSION

CODE_POINTS = 0x110000
SURROGATES = range(0xD800, 0xE000)  # no UTF-8 text contains one
TABLE_PATH = Path(__file__).parents[1] / "data" / "unicode_classes.tsv"


class UnicodeClass(IntEnum):
    """Disjoint; general categories in brackets."""

    OTHER = 0
    UPPER = 1  # Lu, Lt
    LOWER = 2  # Ll
    CASELESS = 3  # Lm, Lo
    MARK = 4  # M
    NUMBER = 5  # N
    SPACE = 6  # white space


@cache
def unicode_classes() -> NDArray[np.uint8]:
    """uint8[0x110000]: the UnicodeClass of every code point; read-only.

    Raises ValueError if the file is not the one that `patterns.UNICODE_TABLE_VERSION` names.
    """
    header, *lines = TABLE_PATH.read_text("utf-8").splitlines()
    if header != f"# {UNICODE_TABLE_VERSION}":
        raise ValueError(f"{TABLE_PATH.name} says {header[2:]!r}, patterns.py {UNICODE_TABLE_VERSION!r}")
    table = np.zeros(CODE_POINTS, np.uint8)
    for line in lines:
        if not line.startswith("#"):
            first, last, name = line.split("\t")
            table[int(first, 16) : int(last, 16) + 1] = UnicodeClass[name]
    table.setflags(write=False)
    return table
