# mypy: disable-error-code=assignment
"""Counts over the characters of one document: case, digits, unbroken runs, mojibake.

First kernel of `junk.measure_junk`; docs/junk.md defines the counts.
"""

from __future__ import annotations

import numpy as np

from curation.text.character_classes import CharacterClass
from curation.text.junk_tables import CYRILLIC_TAIL, LATIN_LEAD, LATIN_TAIL, LONE, WANTED
from curation.text.kernel import kernel_function
from curation.text.utf8 import decode

SPACE = np.uint32(CharacterClass.SPACE)
LETTER = np.uint32(CharacterClass.LETTER)
WORD = np.uint32(CharacterClass.WORD)
UNSPACED = np.uint32(CharacterClass.UNSPACED)
LOWER = np.uint32(CharacterClass.LOWER)
UPPER = np.uint32(CharacterClass.UPPER)
CASED = LOWER | UPPER  # a letter of a caseless script has both bits
DIGIT = np.uint32(CharacterClass.DIGIT)

LONG_RUN = 50  # code points without white space; the longest words of German stay below
PLANE = 1 << 16

# Indices of the counts.
VISIBLE, CASED_LETTERS, UPPER_LETTERS, DIGITS, LONG_RUN_CHARS, MOJIBAKE = range(6)


@kernel_function
def count_characters(buffer, start, end, tables, counts):  # type: ignore[no-untyped-def]
    """Fill counts[:6] for buffer[start:end]."""
    classes, damage = tables.classes, tables.damage
    visible, cased, upper, digits, long_chars, broken = 0, 0, 0, 0, 0, 0
    letters = 0
    run, run_words = 0, 0  # code points since white space or a letter of an unspaced script; `\\w` among them
    wanted, tail, lone = 0, 0, 0  # of an unfinished mojibake sequence; lone: C1 controls inside it
    i = start
    while i < end:
        c, step = np.uint32(buffer[i]), 1
        if c >= 0x80:
            c, step = decode(buffer, i, end)
            d = np.int64(damage[c]) if c < PLANE else 0
            if wanted and d & tail:
                wanted -= 1
                lone += d & LONE != 0
                if wanted == 0:
                    broken += 1
                    lone = 0
            else:
                broken += lone + (d & LONE != 0)
                wanted, lone = d & WANTED, 0
                tail = LATIN_TAIL if d & LATIN_LEAD else CYRILLIC_TAIL
        elif wanted:
            broken += lone
            wanted, lone = 0, 0
        i += step
        f = classes[c]
        letters += f & LETTER != 0
        if f & (SPACE | UNSPACED):
            if run > LONG_RUN:
                long_chars += run_words
            run, run_words = 0, 0
            visible += f & SPACE == 0
            continue
        visible += 1
        run += 1
        run_words += f & WORD != 0
        case = f & CASED
        upper += case == UPPER
        cased += (case == UPPER) | (case == LOWER)
        digits += f & DIGIT != 0
    if run > LONG_RUN:
        long_chars += run_words
    counts[VISIBLE] = visible
    # Latin names and constants in a Chinese text say nothing about its case.
    counts[CASED_LETTERS] = cased if 2 * cased >= letters else 0
    counts[UPPER_LETTERS] = upper
    counts[DIGITS] = digits
    counts[LONG_RUN_CHARS] = long_chars
    counts[MOJIBAKE] = broken + lone
