"""The scanner: one document's UTF-8 bytes into counts by row and the counters of style, in one pass.

A token is a run of letters, digits, underscores and marks, case-folded; one letter (with its marks) of a script
written without spaces; or one punctuation mark or symbol.  Features are each token, each pair of neighbouring
tokens, and each 4-gram of case-folded characters, in which any run of white space is one blank and the
text stands between two blanks.  Control and format characters do not exist.  `reference.py` is the same in Python.
"""

from __future__ import annotations

import numpy as np

from curation.text.hashing import STEP, finish
from curation.text.kernel import kernel_function
from curation.text.utf8 import decode
from quality.features import counters as c
from quality.features.characters import (
    ALONE,
    CODE,
    CURRENCY,
    DIGIT,
    IN_WORD,
    MARK,
    SKIPPED,
    SPACE,
    TERMINAL,
    UPPER,
    feature_table,
)
from quality.features.markers import marker_table
from quality.features.occurrences import PENDING, ZERO, count_pending, table_shift
from quality.features.space import FeatureSpace
from quality.features.tally import Tables, count_word, end_line, end_sentence, is_bullet, is_new

WORD, LETTER, SIGN = 0, 1, 2  # kinds of token: a word, a letter of an unspaced script, a mark or symbol
PAIR = np.uint64(3)
SYMBOL, SYMBOL_MASK = np.uint64(16), np.uint64(0xFFFF)  # a 4-gram is four symbols of 16 bits
LINK, WEB = np.uint64(0x3A_002F_002F), np.uint64(0x77_0077_0077_002E)  # `://` and `www.` as symbols
LINK_MASK = np.uint64(0xFFFF_FFFF_FFFF)
END_OF_TEXT = ord("\n")


def new_tables(space: FeatureSpace) -> Tables:
    shifts = np.array([64 - space.word_bits, 64 - space.char_bits], np.uint64)
    shifts.setflags(write=False)
    return Tables(feature_table(), *marker_table(), shifts)


@kernel_function
def scan_document(buffer, start, end, tables, work, row):  # type: ignore[no-untyped-def]
    """Count the features of buffer[start:end] in `work` and its characters, words, lines in `row`.

    row: int64[counters.WIDTH], zero before.  Returns how many features are in `work.touched`.
    """
    characters = tables.characters
    sketch, pending = work.sketch, work.pending
    shift = table_shift(work, end - start)
    for k in range(sketch.shape[0]):
        for j in range(sketch.shape[1]):
            sketch[k, j] = ZERO
    found = waiting = grams = 0

    gram, symbols = np.uint64(0x20), 1  # the last four symbols, and how many there were
    value, length, kind = ZERO, 0, WORD  # of the open token; length 0: none
    uppers = digits = 0
    head, first_upper = 0, False  # its first two digits as a number
    previous, tokens, chars = ZERO, 0, 0
    sentence, mark = 0, np.uint32(0)  # words of the sentence, and the mark that ends it unless a word follows
    visible = indent = marks = line_digits = 0  # of the line
    first, last, ends = np.uint32(0), np.uint32(0), False
    line, lines = ZERO, 0

    i = start
    while i <= end:
        if waiting >= PENDING - 1 or grams == PENDING:
            found = count_pending(work, waiting, grams, tables.shifts, shift, found)
            waiting = grams = 0
        if i < end:
            code, step = np.uint32(buffer[np.uint64(i)]), 1
            if code >= 0x80:
                code, step = decode(buffer, i, end)
        else:  # as if a line ended here
            code, step = np.uint32(END_OF_TEXT), 1
        i += step
        chars += 1
        entry = characters[code]
        if code < 0x80:
            row[code] += 1
        elif entry & IN_WORD:
            row[c.UNSPACED if entry & ALONE else c.FOREIGN] += 1
        elif not entry & (SPACE | SKIPPED):
            row[c.OTHER_SIGNS] += 1
        if entry & SKIPPED:
            row[c.INVISIBLE] += 1
            continue
        folded = entry & CODE

        in_word = entry & (IN_WORD | ALONE) == IN_WORD  # may continue a word
        in_letter = (kind == LETTER) & (entry & MARK != 0)
        if (length > 0) & ((not in_word) | ((kind != WORD) & (not in_letter))):  # the open token ends
            value = finish(value)
            pair = finish(previous * PAIR + value)
            pending[0, waiting] = value
            pending[0, waiting + 1] = pair
            waiting += 2 if tokens > 0 else 1
            if tokens < c.SKETCHED:
                row[c.NEW_TOKENS] += is_new(sketch[0], value)
                if tokens > 0:
                    row[c.NEW_PAIRS] += is_new(sketch[1], pair)
            tokens += 1
            previous = value
            line = finish(line + value)
            row[c.UPPERS] += uppers
            row[c.DIGITS] += digits
            if kind == WORD:
                count_word(row, value, length, uppers, digits, first_upper, head, tables)
            sentence += kind != SIGN
            length = 0

        if mark and (mark >= 0x80 or not entry & IN_WORD):
            end_sentence(row, sentence, mark)
            sentence = 0
        mark = np.uint32(0)

        if entry & SPACE:
            folded = np.uint32(0x20)
            if visible == 0:
                indent += 4 if code == 0x09 else 1
            elif visible == line_digits + 1:  # one character after the digits that the line begins with
                if visible == 1:
                    row[c.BULLETED] += is_bullet(last)
                elif visible <= 4:
                    row[c.NUMBERED] += last == 0x2E or last == 0x29
            if visible > 0:
                line_digits = -1  # only before the first white space
            marks += code == 0x09 and visible > 0
            if code == 0x0A:
                if visible > 0:
                    end_line(row, visible, indent, marks, first, last, ends)
                    if lines < c.SKETCHED:
                        row[c.NEW_LINES] += is_new(sketch[2], line)
                    lines += 1
                elif i <= end:
                    row[c.BLANK_LINES] += 1
                if visible == 0 or i > end:
                    end_sentence(row, sentence, mark)
                    sentence = 0
                visible = indent = marks = line_digits = 0
                line = ZERO
        else:
            if visible == 0:
                first = code
            visible += 1
            last = code
            ends = entry & TERMINAL != 0
            marks += code == 0x7C and visible > 1
            if length == 0:
                kind = SIGN if not entry & IN_WORD else LETTER if entry & ALONE else WORD
                value, uppers, digits, head = ZERO, 0, 0, 0
                first_upper = entry & UPPER != 0
            value = value * STEP + np.uint64(folded + np.uint32(1))
            length += 1
            uppers += entry & UPPER != 0
            if entry & (DIGIT | TERMINAL | CURRENCY):
                if entry & DIGIT:
                    digits += 1
                    if length <= 2:
                        head = head * 10 + np.int64(code) - 0x30  # type: ignore[assignment]
                    line_digits += line_digits == visible - 1
                elif entry & TERMINAL:
                    mark = code
                else:
                    row[c.MONEY] += 1

        symbol = np.uint64(folded) & SYMBOL_MASK
        if entry & SPACE and gram & SYMBOL_MASK == symbol:
            continue
        gram = gram << SYMBOL | symbol
        symbols += 1
        if symbols >= 4:
            pending[1, grams] = gram
            grams += 1
        if folded == 0x2F or folded == 0x2E:
            row[c.LINKS] += gram & LINK_MASK == LINK or gram == WEB

    found = count_pending(work, waiting, grams, tables.shifts, shift, found)
    row[c.CHARS] += chars - 1  # without the line end that was added
    row[END_OF_TEXT] -= 1
    row[c.TOKENS] = tokens
    return found
