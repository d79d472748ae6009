# mypy: disable-error-code=assignment
"""Counts over the words of one document: their order, their letters, what stands inside them.

Second kernel of `junk.measure_junk`; docs/junk.md defines the counts.  A word is a run of letters and
marks, a token a run without white space; letters of scripts without spaces are neither.
"""

from __future__ import annotations

import numpy as np

from curation.text.character_classes import CharacterClass
from curation.text.junk_tables import (
    CODE,
    FUNCTION,
    LAST_THREE,
    LETTER_BITS,
    LONGEST_WORD,
    MARKUP,
    NOISE,
    OCR,
    PLACEHOLDER,
    SCRIPT,
    SLOT_SHIFT,
    SPREAD,
    STRONG,
    SWITCH,
)
from curation.text.kernel import kernel_function
from curation.text.utf8 import decode

SPACE = np.uint32(CharacterClass.SPACE)
BREAK = np.uint32(CharacterClass.LINE_BREAK)
UNSPACED = np.uint32(CharacterClass.UNSPACED)
LETTER = np.uint32(CharacterClass.LETTER)
MARK = np.uint32(CharacterClass.MARK)
DIGIT = np.uint32(CharacterClass.DIGIT)
LOWER = np.uint32(CharacterClass.LOWER)
UPPER = np.uint32(CharacterClass.UPPER)
CASED = LOWER | UPPER

FIRST_LETTER, LAST_LETTER = ord("a"), ord("z")
PERIOD = ord(".")  # not `?` and `!`, after which direct speech goes on: “What?” said he
CLOSERS = (ord('"'), ord("'"), ord(")"), ord("]"), 0x2019, 0x201D)
OCR_GAP = 2  # characters of OCR_CHARACTERS between two letters; more is a number
NOTICE_WORDS = 3  # between `javascript` and `enable`

# Indices of the counts.
WORDS, STRONG_HITS, PAIRS, DISORDER, STARTS, LOWER_STARTS, MID_CAPITALS = range(7)
TOKENS, NOISY_TOKENS, PLAIN_TOKENS, MIXED_TOKENS, DAMAGED_TOKENS, PLACEHOLDERS, NOTICES = range(7, 14)
WORD_COUNTS = 14

# What came before the current place in its sentence.
NOWHERE, AFTER_WORD, AFTER_END, IN_SENTENCE, AT_START = range(5)


@kernel_function
def find_entry(key, keys, entries):  # type: ignore[no-untyped-def]
    """The entry of a word in the vocabulary, 0 if it has none."""
    slot = (key * SPREAD) >> SLOT_SHIFT
    while keys[slot]:
        if keys[slot] == key:
            return np.int64(entries[slot])
        slot = (slot + np.uint64(1)) & np.uint64(len(keys) - 1)
    return np.int64(0)


@kernel_function
def _plain_case(f):  # type: ignore[no-untyped-def]
    """Bits LOWER or UPPER of a cased letter, 0 of any other character."""
    case = f & CASED
    return np.uint32(0) if case == CASED else case


@kernel_function
def count_words(buffer, start, end, tables, counts):  # type: ignore[no-untyped-def]
    """Fill counts[:14] for buffer[start:end]."""
    classes, kinds, keys, entries, pairs, implausible = (
        tables.classes, tables.kinds, tables.keys, tables.entries, tables.pairs, tables.trigrams,
    )  # fmt: skip
    counts[:WORD_COUNTS] = 0
    # The current word: letters, key, implausible trigrams of the token before it.
    length, key, bad_before, ascii_only, inner_upper = 0, np.uint64(0), 0, True, False
    first_case, last_case = np.uint32(0), np.uint32(0)
    after_digit = False
    place, began = NOWHERE, NOWHERE
    function = 0  # the function word just before, with nothing but blanks between
    script_at, switch_at = -NOTICE_WORDS - 1, -NOTICE_WORDS - 1
    # The current token: letters so far, kinds of the characters since its last letter.
    letters, gap, gap_kinds, gap_only = 0, 0, 0, 7
    code, noisy, mixed, bad = False, False, False, 0
    i = start
    while i <= end:
        c, step, f = np.uint32(32), 1, SPACE | BREAK  # the end of the text ends word and token
        if i < end:
            c = np.uint32(buffer[i])
            if c >= 0x80:
                c, step = decode(buffer, i, end)
            f = classes[c]
        i += step

        if f & (LETTER | MARK) and not f & UNSPACED:
            case = _plain_case(f)
            number = np.uint64(c & np.uint32(31)) if c < 0x80 else np.uint64(0)
            if length == 0:
                if letters and gap:
                    code |= gap_kinds & CODE != 0
                    noisy |= gap_kinds & NOISE != 0
                    mixed |= gap_only & OCR != 0 and gap <= OCR_GAP
                gap, gap_kinds, gap_only = 0, 0, 7
                began, first_case = place, case
                key, bad_before, ascii_only, inner_upper = number, bad, number > 0, False
            else:
                inner_upper |= case == UPPER
                ascii_only = ascii_only and number > 0
                key = (key << LETTER_BITS) | number
                bad += np.int64(implausible[key & LAST_THREE])
            last_case = case
            length += 1
            letters += 1
            # Most of a text is lower-case words, so they have a loop of their own: nearly twice as fast.
            while i < end and FIRST_LETTER <= buffer[i] <= LAST_LETTER:
                key = (key << LETTER_BITS) | np.uint64(buffer[i] & 31)
                bad += np.int64(implausible[key & LAST_THREE])
                last_case = LOWER
                length += 1
                i += 1
            continue

        if length:
            counts[WORDS] += 1
            entry = 0
            if ascii_only and length <= LONGEST_WORD:
                entry = find_entry(key, keys, entries)
            following = 0 if length == 1 and first_case == UPPER else entry & FUNCTION  # a twin A is no article
            if following and function:
                counts[PAIRS] += 1
                counts[DISORDER] -= pairs[function, following]
            function = following
            if entry > FUNCTION:
                counts[STRONG_HITS] += entry & STRONG != 0
                counts[PLACEHOLDERS] += entry & PLACEHOLDER != 0
                if entry & SCRIPT:
                    script_at = counts[WORDS]
                if entry & SWITCH:
                    switch_at = counts[WORDS]
                if entry & (SCRIPT | SWITCH) and abs(script_at - switch_at) <= NOTICE_WORDS:
                    counts[NOTICES] += 1
                    script_at, switch_at = -NOTICE_WORDS - 1, -NOTICE_WORDS - 1
            if length > 1 and first_case:
                if began == AT_START:
                    counts[STARTS] += 1
                    counts[LOWER_STARTS] += first_case == LOWER
                elif began == IN_SENTENCE:
                    counts[MID_CAPITALS] += first_case == UPPER and not inner_upper
            if length > 1 and ascii_only and not inner_upper and not after_digit and not f & DIGIT:
                bad += np.int64(implausible[(key << LETTER_BITS) & LAST_THREE])
            else:
                bad = bad_before
            place = AFTER_WORD if length > 2 and last_case == LOWER else NOWHERE
            length = 0
        after_digit = f & DIGIT != 0

        if f & (SPACE | UNSPACED):
            if letters:
                counts[TOKENS] += 1
                counts[NOISY_TOKENS] += noisy
                if not code:
                    counts[PLAIN_TOKENS] += 1
                    counts[MIXED_TOKENS] += mixed
                    counts[DAMAGED_TOKENS] += mixed or bad > 0
            letters, gap, gap_kinds, gap_only = 0, 0, 0, 7
            code, noisy, mixed, bad = False, False, False, 0
            if f & (BREAK | UNSPACED):
                place, function = NOWHERE, 0
            elif place == AFTER_WORD:
                place = IN_SENTENCE
            elif place == AFTER_END:
                place = AT_START
            continue
        function = 0
        kind = np.int64(kinds[c]) if c < 0x80 else 0
        gap += 1
        gap_kinds |= kind
        gap_only &= kind
        code |= kind & MARKUP != 0
        if place == AFTER_WORD and c == PERIOD:
            place = AFTER_END
        elif place != AFTER_END or c not in CLOSERS:
            place = NOWHERE
