"""Statistics of style and structure: one table of names, formulas and what they are meant to see.

Every formula is a ratio, mean or logarithm of the exact counters of one text; a text without
words, lines or sentences gives 0 where the quotient has no meaning.  All are finite for any text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quality.features import counters as c

Counters = NDArray[np.int64]  # [n, counters.WIDTH]
Column = NDArray[np.float64]  # [n]
BLOCK_ROWS = 4096


@dataclass(frozen=True)
class Style:
    name: str
    formula: str  # in words, for the documentation
    compute: Callable[[Counters], Column]


def _of(t: Counters, *fields: int | str) -> Column:
    """Sum of counters; a string stands for its ASCII characters."""
    columns = [i for f in fields for i in ([f] if isinstance(f, int) else map(ord, f))]
    total: Column = t[:, columns].sum(axis=1).astype(np.float64)
    return total


def _share(part: tuple[int | str, ...], whole: tuple[int | str, ...]) -> Callable[[Counters], Column]:
    return lambda t: _of(t, *part) / np.maximum(_of(t, *whole), 1.0)


def _log(*fields: int | str) -> Callable[[Counters], Column]:
    return lambda t: np.log1p(_of(t, *fields))


def _spread(squares: int, total: int, number: int) -> Callable[[Counters], Column]:
    """Standard deviation from the sum of squares; exact integers, so never of a negative number but by rounding."""

    def compute(t: Counters) -> Column:
        n = np.maximum(_of(t, number), 1.0)
        mean = _of(t, total) / n
        return np.sqrt(np.maximum(_of(t, squares) / n - mean * mean, 0.0))

    return compute


def _sketched(field: int, number: int) -> Callable[[Counters], Column]:
    """Share of distinct ones among the first SKETCHED; 1 for a text without any."""

    def compute(t: Counters) -> Column:
        n = np.minimum(_of(t, number), c.SKETCHED)
        return np.where(n > 0, _of(t, field) / np.maximum(n, 1.0), 1.0)

    return compute


VISIBLE, CHARS, WORDS, LINES = (c.LINE_CHARS,), (c.CHARS,), (c.WORDS,), (c.LINES,)
SENTENCES = (c.SENTENCES,)

STYLES: tuple[Style, ...] = (
    Style("log_chars", "ln(1 + code points)", _log(c.CHARS)),
    Style("log_words", "ln(1 + words)", _log(c.WORDS)),
    Style("log_lines", "ln(1 + lines)", _log(c.LINES)),
    Style("log_longest_word", "ln(1 + code points of the longest word)", _log(c.LONGEST)),
    Style("word_length", "code points / word", _share((c.WORD_CHARS,), WORDS)),
    Style("word_length_sd", "standard deviation of words' code points", _spread(c.WORD_SQUARES, c.WORD_CHARS, c.WORDS)),
    Style("long_words", "words of more than 6 code points / words", _share((c.LONG,), WORDS)),
    Style("very_long_words", "words of more than 9 code points / words", _share((c.VERY_LONG,), WORDS)),
    Style("capitalised_words", "words with upper case first / words", _share((c.CAPITALISED,), WORDS)),
    Style("upper_words", "words of two or more upper-case letters only / words", _share((c.SHOUTED,), WORDS)),
    Style("words_with_digit", "words with a digit that are not numbers / words",
          lambda t: (_of(t, c.WITH_DIGIT) - _of(t, c.NUMBERS)) / np.maximum(_of(t, c.WORDS), 1.0)),
    Style("numbers", "words of digits only / words", _share((c.NUMBERS,), WORDS)),
    Style("dates", "years from 1900 to 2099 and names of months / words", _share((c.YEARS, c.MONTHS), WORDS)),
    Style("stop_words", "English stop words / words", _share((c.STOP_WORDS,), WORDS)),
    Style("foreign_stop_words", "common words of other languages / words", _share((c.FOREIGN_STOP_WORDS,), WORDS)),
    Style("second_person", "you, your … / words", _share((c.SECOND_PERSON,), WORDS)),
    Style("first_person", "I, we, my, our … / words", _share((c.FIRST_PERSON,), WORDS)),
    Style("connectives", "because, therefore, although … / words", _share((c.CONNECTIVES,), WORDS)),
    Style("instructions", "must, make, click, step … / words", _share((c.INSTRUCTIONS,), WORDS)),
    Style("question_words", "what, why, how … / words", _share((c.QUESTION_WORDS,), WORDS)),
    Style("hedges", "may, perhaps, seems … / words", _share((c.HEDGES,), WORDS)),
    Style("terms_of_sale", "price, cart, subscribe … / words", _share((c.SALES,), WORDS)),
    Style("distinct_words", "distinct / all of the first 4,096 tokens", _sketched(c.NEW_TOKENS, c.TOKENS)),
    Style("distinct_pairs", "distinct pairs of neighbours / first 4,096 tokens", _sketched(c.NEW_PAIRS, c.TOKENS)),
    Style("distinct_lines", "distinct / all of the first 4,096 lines", _sketched(c.NEW_LINES, c.LINES)),
    Style("log_sentence_length", "ln(1 + words / sentence)",
          lambda t: np.log1p(_share((c.SENTENCE_WORDS,), SENTENCES)(t))),
    Style("log_sentence_length_sd", "ln(1 + standard deviation of words a sentence)",
          lambda t: np.log1p(_spread(c.SENTENCE_SQUARES, c.SENTENCE_WORDS, c.SENTENCES)(t))),
    Style("questions", "sentences that end with ? / sentences", _share((c.QUESTIONS,), SENTENCES)),
    Style("exclamations", "sentences that end with ! / sentences", _share((c.EXCLAMATIONS,), SENTENCES)),
    Style("log_line_length", "ln(1 + visible characters / line)",
          lambda t: np.log1p(_share((c.LINE_CHARS,), LINES)(t))),
    Style("log_line_length_sd", "ln(1 + standard deviation of visible characters a line)",
          lambda t: np.log1p(_spread(c.LINE_SQUARES, c.LINE_CHARS, c.LINES)(t))),
    Style("short_lines", "lines of at most 30 visible characters / lines", _share((c.SHORT,), LINES)),
    Style("blank_lines", "blank lines / (lines + blank lines)", _share((c.BLANK_LINES,), (c.LINES, c.BLANK_LINES))),
    Style("list_lines", "lines that begin with a bullet / lines", _share((c.BULLETED,), LINES)),
    Style("step_lines", "lines that begin with a number and `.` or `)` / lines", _share((c.NUMBERED,), LINES)),
    Style("heading_lines", "lines that begin with # / lines", _share((c.HEADED,), LINES)),
    Style("indented_lines", "lines behind four blanks or a tab / lines", _share((c.INDENTED,), LINES)),
    Style("table_lines", "lines with two or more tabs or bars inside / lines", _share((c.TABLES,), LINES)),
    Style("ended_lines", "lines that end with terminal punctuation / lines", _share((c.ENDED,), LINES)),
    Style("colon_lines", "lines that end with a colon / lines", _share((c.COLONS,), LINES)),
    Style("code_lines", "lines that end with ; { or } / lines", _share((c.CODED,), LINES)),
    Style("upper_case", "upper-case letters / visible characters", _share((c.UPPERS,), VISIBLE)),
    Style("digits", "ASCII digits / visible characters", _share((c.DIGITS,), VISIBLE)),
    Style("commas", "commas / words", _share((",",), WORDS)),
    Style("semicolons", "semicolons and colons / words", _share((";:",), WORDS)),
    Style("quotes", "ASCII quotation marks / words", _share(("\"'",), WORDS)),
    Style("brackets", "round brackets / words", _share(("()",), WORDS)),
    Style("code_characters", "signs of {}[]<>=_/\\|&^~`$#@* / visible", _share(("{}[]<>=_/\\|&^~`$#@*",), VISIBLE)),
    Style("formula_characters", "characters of \\^_{}=+ / visible", _share(("\\^_{}=+",), VISIBLE)),
    Style("other_signs", "punctuation and symbols beyond ASCII / visible", _share((c.OTHER_SIGNS,), VISIBLE)),
    Style("foreign_letters", "letters beyond ASCII of spaced scripts / visible", _share((c.FOREIGN,), VISIBLE)),
    Style("unspaced_letters", "letters of scripts without spaces / visible", _share((c.UNSPACED,), VISIBLE)),
    Style("invisible", "control and format characters / code points", _share((c.INVISIBLE,), CHARS)),
    Style("links", "`://` and `www.` / words", _share((c.LINKS,), WORDS)),
    Style("prices", "currency signs / words", _share((c.MONEY,), WORDS)),
)  # fmt: skip
STYLE_NAMES: tuple[str, ...] = tuple(style.name for style in STYLES)


def style_of(table: Counters) -> NDArray[np.float64]:
    """The statistics of n rows of counters: float64[n, len(STYLE_NAMES)]."""
    out = np.empty((len(table), len(STYLES)), np.float64)
    for j, style in enumerate(STYLES):
        out[:, j] = style.compute(table)
    return out
