"""What each code point does to words, 4-grams, lines and sentences: one table from the project's Unicode data."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from curation.text.character_classes import CharacterClass, class_table
from curation.text.shingles import word_table

CODE = np.uint32((1 << 21) - 1)  # the case-folded code point in an entry
IN_WORD, ALONE, MARK, SKIPPED, SPACE, UPPER, DIGIT, TERMINAL, CURRENCY = (np.uint32(1 << b) for b in range(21, 30))
FULL_STOPS = (0x3002, 0xFF01, 0xFF0E, 0xFF1F)  # 。！．？, of scripts without spaces


@cache
def feature_table() -> NDArray[np.uint32]:
    """For each code point its case folding and its flags: uint32[0x110000], read-only.

    IN_WORD (letter, number, underscore, mark), ALONE (a letter of a script without spaces), MARK and SKIPPED
    (controls, format characters) are those of `curation.text.shingles`; UPPER: case folding changes it.
    """
    classes = class_table()
    table = word_table() & (CODE | IN_WORD | ALONE | MARK | SKIPPED)
    for flag, members in (
        (SPACE, CharacterClass.SPACE),
        (DIGIT, CharacterClass.DIGIT),
        (TERMINAL, CharacterClass.TERMINAL),
        (CURRENCY, CharacterClass.CURRENCY),
    ):
        table[classes & np.uint32(members) != 0] |= flag
    table[list(FULL_STOPS)] |= TERMINAL
    codes = np.arange(len(table), dtype=np.uint32)
    table[((table & CODE) != codes) & (table & IN_WORD != 0)] |= UPPER
    table[table & SPACE != 0] &= ~(SKIPPED | IN_WORD)
    table.setflags(write=False)
    return table
