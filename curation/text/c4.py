"""The line editor of C4 (Raffel et al. 2020, JMLR 21:140, 2.2), in one pass over Arrow buffers.

Lines are taken out that have a word that is too long, no terminal punctuation, too few words, the word
"javascript" or a phrase about terms of use, privacy or cookies; marks of citations go from the others.
What decides about the whole document is counted: sentences, lines with "lorem ipsum", with a
curly bracket, with a word of a block list.  The order of the checks is that of c4_utils.clean_page
(TensorFlow Datasets), which datatrove 0.10's C4QualityFilter follows.  docs/rules.md has all of it;
`c4_reference.edit_reference` is the same in plain Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.text import (
    affixes,
    blocked_words,
    citations,
    edit_log,
    exceptions,
    hashing,
    line_classes,
    needles,
    runs,
    segment,
    sentences,
    utf8,
)
from curation.text.arrow import text_buffers
from curation.text.blocked_words import BlockedWords, compile_blocked_words, has_blocked_word
from curation.text.citations import copy_without_citations, trim_citations
from curation.text.edit_log import (
    add_edit,
    copy,
    count_words,
    find_line,
    finish,
    line_function,
    merged_function,
    new_outcome,
    valid_rows,
)
from curation.text.edits import EditedText
from curation.text.kernel import cached_kernel, kernel_function, source_digest
from curation.text.line_classes import CURLY, OPENING, LineClass, line_tables
from curation.text.needles import Needles, compile_needles, find_needles
from curation.text.segment import LONGEST_RUN, SEGMENTER_VERSION, load_tables, new_workspace
from curation.text.sentences import count_sentences
from curation.text.utf8 import decode

# Raised whenever the edit or a count can differ for some text; the words are the segmenter's.
C4_VERSION = 100 + SEGMENTER_VERSION

FIELDS = (
    "lines",  # not blank
    "long_word_lines", "unpunctuated_lines", "short_lines", "javascript_lines", "policy_lines",  # taken out
    "citations",  # taken out of the lines that stay
    "kept_lines", "lorem_ipsum_lines", "curly_bracket_lines", "blocked_word_lines", "sentences",
)  # fmt: skip
C4 = pa.struct([pa.field(name, pa.int64(), nullable=False) for name in FIELDS])
(
    LINES, LONG_WORD_LINES, UNPUNCTUATED_LINES, SHORT_LINES, JAVASCRIPT_LINES, POLICY_LINES,
    CITATIONS, KEPT_LINES, LOREM_IPSUM_LINES, CURLY_BRACKET_LINES, BLOCKED_WORD_LINES, SENTENCES,
) = range(len(FIELDS))  # fmt: skip

# Names in the log; those of removed lines are at the index of their count.
RULES = (
    "c4.white_space", "c4.word_too_long", "c4.no_terminal_punctuation", "c4.too_few_words", "c4.javascript",
    "c4.policy", "c4.citation",
)  # fmt: skip
WHITE_SPACE, CITATION = 0, 6

POLICY_PHRASES = (
    "terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies",
)  # fmt: skip

JAVASCRIPT, LOREM_IPSUM, POLICY = 1, 2, 4
SPACE = np.uint8(LineClass.SPACE)
NEWLINE, PERIOD = ord("\n"), ord(".")


@dataclass(frozen=True)
class C4Parameters:
    """What differs between the published versions; see rules/data/presets.yaml.

    Raises ValueError for a value without sense.
    """

    terminal_punctuation: str  # a line that stays ends in one of these ASCII characters; empty: any may
    min_words: int  # in a line that stays
    max_word_length: int  # code points
    words_after_citations: bool  # whether words are counted when citation marks have gone, or before
    blocked_words: bool = False  # whether lines with a word of the block list are counted

    def __post_init__(self) -> None:
        if not self.terminal_punctuation.isascii() or any(c.isspace() for c in self.terminal_punctuation):
            raise ValueError(
                f"terminal_punctuation: {self.terminal_punctuation!r} has other characters than ASCII marks"
            )
        if self.min_words < 1 or self.max_word_length < 1:
            raise ValueError("min_words and max_word_length must be at least 1")


class _Settings(NamedTuple):
    terminal: NDArray[np.bool_]  # [256]
    check_terminal: bool
    min_words: int
    max_word_length: int
    words_after_citations: bool


class _Search(NamedTuple):
    needles: Needles
    blocked: BlockedWords


def edit(text: pa.LargeStringArray, parameters: C4Parameters, blocked: Sequence[str] = ()) -> EditedText:
    """The texts with C4's lines, the edits, and the column `c4` (type C4) of counts.

    text: large_string array of n documents (may be a slice, may hold nulls).
    blocked: the block list, lower-case, where the parameters ask for it.
    Raises TypeError for any other type of array.
    """
    offsets, buffer = text_buffers(text)
    outcome = new_outcome(offsets, len(FIELDS))
    terminal = np.zeros(256, np.bool_)
    terminal[list(parameters.terminal_punctuation.encode())] = True
    settings = _Settings(
        terminal, bool(parameters.terminal_punctuation), parameters.min_words, parameters.max_word_length,
        parameters.words_after_citations,
    )  # fmt: skip
    search = _Search(_needles(), _blocked(tuple(blocked) if parameters.blocked_words else ()))
    work = new_workspace(LONGEST_RUN)
    _edit(buffer, offsets, valid_rows(text), settings, search, line_tables(), load_tables(), work, outcome)
    return finish(text, outcome, RULES, {"c4": C4})


@cache
def _needles() -> Needles:
    phrases = {"javascript": JAVASCRIPT, "lorem ipsum": LOREM_IPSUM}
    return compile_needles(phrases | dict.fromkeys(POLICY_PHRASES, POLICY))


@cache
def _blocked(words: tuple[str, ...]) -> BlockedWords:
    return compile_blocked_words(words)


@line_function
def _longest_word(buffer, i, end, classes):  # type: ignore[no-untyped-def]
    """Code points of the longest stretch without white space."""
    longest, length = 0, 0
    while i < end:
        c, step = decode(buffer, i, end)
        length = 0 if classes[c] & SPACE else length + 1
        longest = max(longest, length)
        i += step
    return longest


@kernel_function
def _has_terminal(out, start, end, terminal):  # type: ignore[no-untyped-def]
    """Whether out[start:end] ends in terminal punctuation and not in `...`."""
    if end == start or not terminal[out[end - 1]]:
        return False
    return not (end - start >= 3 and out[end - 1] == PERIOD and out[end - 2] == PERIOD and out[end - 3] == PERIOD)


@line_function
def _judge(out, start, end, enough_words, curly, settings, search, lines, count):  # type: ignore[no-untyped-def]
    """The index of the count of removed lines that the line out[start:end] belongs to, or 0."""
    if settings.check_terminal and not _has_terminal(out, start, end, settings.terminal):
        return UNPUNCTUATED_LINES
    if not enough_words or start == end:
        return SHORT_LINES
    found = find_needles(out, start, end, search.needles)
    count[LOREM_IPSUM_LINES] += found & LOREM_IPSUM != 0
    if found & JAVASCRIPT:
        return JAVASCRIPT_LINES
    count[CURLY_BRACKET_LINES] += curly
    if found & POLICY:
        return POLICY_LINES
    if len(search.blocked.length) > 1:
        count[BLOCKED_WORD_LINES] += has_blocked_word(out, start, end, search.blocked)
    return 0


@merged_function
def _edit_document(buffer, document, end, settings, search, lines, tables, work, out, o, log, count):  # type: ignore[no-untyped-def]
    """Edit buffer[document:end] into out at o; returns the end of what was written."""
    classes = lines.classes
    begin = o
    done = document  # up to here text and log account for everything
    i = document
    while i < end:
        first, last, i, seen = find_line(buffer, i, end, lines)
        if last == first:
            continue
        count[LINES] += 1
        used = log.used[0]
        long = settings.max_word_length
        if last - first > long and _longest_word(buffer, first, last, classes) > long:
            removed = LONG_WORD_LINES
        else:
            # The white space before the line becomes one line break, or nothing before the first line.
            joined = o > begin
            if first - done != joined or (joined and buffer[done] != NEWLINE):
                add_edit(log, WHITE_SPACE, done - document, first - document, joined)
            if joined:
                out[o] = NEWLINE
            start = o + joined
            marks = 0
            if seen & OPENING:
                stop, marks = copy_without_citations(
                    buffer, document, first, last, out, start, not joined, classes, log, CITATION
                )
            else:
                stop = copy(buffer, first, last, out, start)
            if marks and settings.words_after_citations:
                words = count_words(out, start, stop, settings.min_words, lines)
            else:
                words = count_words(buffer, first, last, settings.min_words, lines)
            if marks and not settings.check_terminal:
                stop = trim_citations(buffer, document, first, last, stop, classes, log, used, CITATION)
            enough, curly = words == settings.min_words, seen & CURLY != 0
            removed = _judge(out, start, stop, enough, curly, settings, search, lines, count)
            if removed == 0:
                count[KEPT_LINES] += 1
                count[CITATIONS] += marks
                count[SENTENCES] += count_sentences(out, start, stop, lines, tables, work)
                o = stop
        if removed:
            count[removed] += 1
            log.used[0] = used
            add_edit(log, removed, done - document, last - document, False)
        done = last
    if done < end:
        add_edit(log, WHITE_SPACE, done - document, end - document, False)
    return o


def _build_edit(sources: int) -> Any:
    """The entry kernel; returning `sources` makes the digest part of the machine code's cache key."""

    def edit_batch(buffer, offsets, valid, settings, search, lines, tables, work, outcome):  # type: ignore[no-untyped-def]
        o = 0
        for d in range(len(offsets) - 1):
            if valid[d]:
                o = _edit_document(
                    buffer, offsets[d], offsets[d + 1], settings, search, lines, tables, work,
                    outcome.text, o, outcome.log, outcome.counts[:, d],
                )  # fmt: skip
            outcome.ends[d + 1] = o
            outcome.log_ends[d + 1] = outcome.log.used[0]
        return sources

    return cached_kernel(edit_batch)


_SOURCES = (
    affixes, blocked_words, citations, edit_log, exceptions, hashing, line_classes, needles, runs, segment, sentences,
    utf8,
)  # fmt: skip
_edit = _build_edit(source_digest(*_SOURCES))
