"""The line corrections of RefinedWeb (Penedo et al. 2023, arXiv 2306.01116, appendix G.2), in one pass.

Lines that are mainly capitals, only digits, a counter ("3 likes") or a single word are taken out; from short
lines go phrases at their start (sign-in), at their end (read more...) or anywhere (items in cart).
The paper names the conditions, DCLM's code (mlfoundations/dclm, baselines/mappers/modifiers.py) the numbers.
docs/rules.md has all of it; `refinedweb_reference.edit_reference` is the same in plain Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curation.text import edit_log, line_classes, line_phrases, utf8
from curation.text.arrow import text_buffers
from curation.text.edit_log import (
    add_edit,
    copy,
    count_words,
    find_line,
    finish,
    line_function,
    new_outcome,
    strip,
    valid_rows,
)
from curation.text.edits import EditedText
from curation.text.kernel import cached_kernel, kernel_function, source_digest
from curation.text.line_classes import LineClass, line_tables
from curation.text.line_phrases import Phrases, encode_phrases, fold, match_phrase
from curation.text.utf8 import decode, previous

REFINEDWEB_VERSION = 1  # raised whenever the edit or a count can differ for some text

FIELDS = (
    "words", "removed_words",  # stretches without white space: of the document, and those that the edit takes out
    "lines",  # not blank
    "uppercase_lines", "numeric_lines", "counter_lines", "single_word_lines", "phrase_lines",  # taken out
    "phrases",  # taken out of the lines that stay
)  # fmt: skip
REFINEDWEB = pa.struct([pa.field(name, pa.int64(), nullable=False) for name in FIELDS])
(
    WORDS, REMOVED_WORDS, LINES,
    UPPERCASE_LINES, NUMERIC_LINES, COUNTER_LINES, SINGLE_WORD_LINES, PHRASE_LINES, PHRASES,
) = range(len(FIELDS))  # fmt: skip

RULES = (
    "refinedweb.uppercase", "refinedweb.numeric", "refinedweb.counter", "refinedweb.single_word",
    "refinedweb.phrase",
)  # fmt: skip
FIRST_REMOVAL = UPPERCASE_LINES  # the rule at index r removes lines counted at FIRST_REMOVAL + r
PHRASE = PHRASE_LINES - FIRST_REMOVAL

SPACE, WORD = np.uint8(LineClass.SPACE), np.uint8(LineClass.WORD)
UPPERCASE, DIGIT = np.uint8(LineClass.UPPERCASE), np.uint8(LineClass.DIGIT)
ZERO, NINE, COMMA, PERIOD = ord("0"), ord("9"), ord(","), ord(".")
MAGNITUDES = (ord("k"), ord("m"), ord("b"))  # of a counter: 12K likes
UNLIMITED = np.iinfo(np.int64).max


@dataclass(frozen=True)
class RefinedWebParameters:
    """Raises ValueError for a value without sense.  Phrases are compared without regard to the case of A–Z."""

    max_uppercase: float  # share of a line's code points
    min_words: int  # in a line that stays
    counters: Sequence[str]  # what is counted: likes, shares
    short_line: int  # words of the longest line from which phrases are taken
    at_start: Sequence[str]
    at_end: Sequence[str]
    anywhere: Sequence[str]

    def __post_init__(self) -> None:
        if not 0 <= self.max_uppercase <= 1:
            raise ValueError(f"max_uppercase must be a share between 0 and 1, not {self.max_uppercase!r}")
        for phrase in (*self.counters, *self.at_start, *self.at_end, *self.anywhere):
            if not phrase or phrase != phrase.strip().lower():
                raise ValueError(f"the phrase {phrase!r} must be lower-case text without white space at its ends")


class _Settings(NamedTuple):
    max_uppercase: float
    min_words: int
    short_line: int
    counters: Phrases
    at_start: Phrases
    at_end: Phrases
    anywhere: Phrases


def edit(text: pa.LargeStringArray, parameters: RefinedWebParameters) -> EditedText:
    """The texts with RefinedWeb's corrections, the edits, and the column `refinedweb` (type REFINEDWEB) of counts.

    text: large_string array of n documents (may be a slice, may hold nulls).
    Raises TypeError for any other type of array.
    """
    offsets, buffer = text_buffers(text)
    outcome = new_outcome(offsets, len(FIELDS))
    lists = (parameters.counters, parameters.at_start, parameters.at_end, parameters.anywhere)
    settings = _Settings(
        float(parameters.max_uppercase),
        int(parameters.min_words),
        int(parameters.short_line),
        *map(encode_phrases, lists),
    )
    _edit(buffer, offsets, valid_rows(text), settings, line_tables(), outcome)
    return finish(text, outcome, RULES, {"refinedweb": REFINEDWEB})


@kernel_function
def _next_word_character(buffer, i, last, classes):  # type: ignore[no-untyped-def]
    """The first byte at or after i where a letter, digit or underscore stands, or `last`."""
    while i < last:
        c, step = decode(buffer, i, last)
        if classes[c] & WORD:
            break
        i += step
    return min(i, last)


@kernel_function
def _is_counter(buffer, first, last, nouns, lines):  # type: ignore[no-untyped-def]
    """Whether the line is a number (1,234 or 1.2K), white space and what it counts, among symbols."""
    i = _next_word_character(buffer, first, last, lines.classes)
    if i == last or not ZERO <= buffer[i] <= NINE:
        return False
    while i < last and (ZERO <= buffer[i] <= NINE or buffer[i] == COMMA or buffer[i] == PERIOD):
        i += 1
    if i < last and fold(buffer[i]) in MAGNITUDES:
        i += 1
    noun, _ = strip(buffer, i, last, lines)
    length = match_phrase(buffer, noun, noun, last, nouns, False, lines.classes)
    return noun > i and length > 0 and _next_word_character(buffer, noun + length, last, lines.classes) == last


@line_function
def _whole_line(buffer, first, last, words, settings, lines):  # type: ignore[no-untyped-def]
    """The index of the count of removed lines that the line belongs to as a whole, or 0."""
    characters, upper, digits = 0, 0, 0
    i = first
    while i < last:
        c, step = decode(buffer, i, last)
        f = lines.classes[c]
        characters += 1
        upper += f & UPPERCASE != 0
        digits += f & DIGIT != 0
        i += step
    if upper > settings.max_uppercase * characters:
        return UPPERCASE_LINES
    if digits == characters:
        return NUMERIC_LINES
    if digits > 0 and _is_counter(buffer, first, last, settings.counters, lines):
        return COUNTER_LINES
    return SINGLE_WORD_LINES if words < settings.min_words else 0


@line_function
def _take_phrases(buffer, document, first, last, settings, lines, out, o, log):  # type: ignore[no-untyped-def]
    """Copy a short line to out at o without its phrases, logging each; returns (end in out, phrases)."""
    classes = lines.classes
    found = 0
    a, b = first, last
    length = match_phrase(buffer, a, a, b, settings.at_start, False, classes)
    if length:
        a, _ = strip(buffer, a + length, b, lines)
        add_edit(log, PHRASE, first - document, a - document, False)
        found += 1
    length = match_phrase(buffer, a, b, b, settings.at_end, True, classes)
    if length:
        _, b = strip(buffer, a, b - length, lines)
        b = max(a, b)
    i = a
    while i < b:
        length = match_phrase(buffer, a, i, b, settings.anywhere, False, classes)
        if length == 0:
            out[o] = buffer[i]
            o += 1
            i += 1
            continue
        begin = i  # with the white space before it
        while begin > a:
            before = previous(buffer, a, begin)
            c, _ = decode(buffer, before, b)
            if not classes[c] & SPACE:
                break
            begin = before
        i += length
        o -= i - length - begin
        add_edit(log, PHRASE, begin - document, i - document, False)
        found += 1
    if b < last:
        add_edit(log, PHRASE, b - document, last - document, False)
        found += 1
    return o, found


@kernel_function
def _edit_document(buffer, document, end, settings, lines, out, o, log, count):  # type: ignore[no-untyped-def]
    """Edit buffer[document:end] into out at o; returns the end of what was written."""
    begin = log.used[0]
    kept = False
    done = document  # up to here text and log account for everything
    i = document
    while i < end:
        first, last, i, _ = find_line(buffer, i, end, lines)
        if last == first:
            continue
        words = count_words(buffer, first, last, UNLIMITED, lines)
        count[LINES] += 1
        count[WORDS] += words
        removed = _whole_line(buffer, first, last, words, settings, lines)
        used = log.used[0]
        if removed == 0:
            # The white space before the line stays, unless every line before it has gone.
            start = o
            if kept or used == begin:
                start = copy(buffer, done, first, out, o)
            stop, found = start, 0
            if words <= settings.short_line:
                stop, found = _take_phrases(buffer, document, first, last, settings, lines, out, start, log)
                left = count_words(out, start, stop, UNLIMITED, lines)
                if left == 0:
                    removed = PHRASE_LINES
                else:
                    count[PHRASES] += found
                    count[REMOVED_WORDS] += words - left
            else:
                stop = copy(buffer, first, last, out, start)
            if removed == 0:
                if not kept and used > begin:
                    log.length[used - 1] = first - document - log.start[used - 1]
                kept = True
                o = stop
        if removed:
            count[removed] += 1
            count[REMOVED_WORDS] += words
            log.used[0] = used
            add_edit(log, removed - FIRST_REMOVAL, done - document, last - document, False)
        done = last
    if kept or log.used[0] == begin:
        return copy(buffer, done, end, out, o)
    log.length[log.used[0] - 1] = end - document - log.start[log.used[0] - 1]
    return o


def _build_edit(sources: int) -> Any:
    """The entry kernel; returning `sources` makes the digest part of the machine code's cache key."""

    def edit_batch(buffer, offsets, valid, settings, lines, outcome):  # type: ignore[no-untyped-def]
        o = 0
        for d in range(len(offsets) - 1):
            if valid[d]:
                o = _edit_document(
                    buffer, offsets[d], offsets[d + 1], settings, lines,
                    outcome.text, o, outcome.log, outcome.counts[:, d],
                )  # fmt: skip
            outcome.ends[d + 1] = o
            outcome.log_ends[d + 1] = outcome.log.used[0]
        return sources

    return cached_kernel(edit_batch)


_edit = _build_edit(source_digest(edit_log, line_classes, line_phrases, utf8))
