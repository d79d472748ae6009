"""Statistics of the kinds of junk that the published presets do not aim at, for a batch of documents.

`measure_junk` runs two kernels over the Arrow buffers; the preset `curate-junk` decides from its columns.
Exact integers; a denominator is 0 where a document holds too little evidence, and a ratio with
denominator 0 removes nothing.  Definitions and sources: docs/junk.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from curation.text import junk_characters, junk_tables, junk_words, utf8
from curation.text.arrow import text_buffers
from curation.text.junk_characters import (
    CASED_LETTERS,
    DIGITS,
    LONG_RUN_CHARS,
    MOJIBAKE,
    UPPER_LETTERS,
    VISIBLE,
    count_characters,
)
from curation.text.junk_tables import load_tables
from curation.text.junk_words import (
    DAMAGED_TOKENS,
    DISORDER,
    LOWER_STARTS,
    MID_CAPITALS,
    MIXED_TOKENS,
    NOISY_TOKENS,
    NOTICES,
    PAIRS,
    PLACEHOLDERS,
    PLAIN_TOKENS,
    STARTS,
    STRONG_HITS,
    TOKENS,
    WORD_COUNTS,
    WORDS,
    count_words,
)
from curation.text.kernel import cached_kernel, source_digest

# Raised whenever `measure_junk` can give another number for some text; part of the rules step's fingerprint.
JUNK_VERSION = 1

FIELDS = (
    "visible_chars", "digits", "long_run_chars", "mojibake",
    "cased_letters", "upper_letters",
    "sentence_starts", "lower_starts",
    "function_pairs", "pair_disorder",
    "plain_tokens", "mixed_tokens",
    "english_tokens", "damaged_tokens",
    "tokens", "noisy_tokens",
    "words", "placeholder_words",
    "script_notices",
)  # fmt: skip
JUNK = pa.struct([pa.field(name, pa.int64(), nullable=False) for name in FIELDS])

# The least evidence: below it a denominator is 0.
MIN_VISIBLE = 100
MIN_CASED = 100
MIN_WORDS = 20
MIN_MOJIBAKE = 5  # sequences; fewer count as none
# Added to a denominator instead, so that three bad ones of three are evidence and two of two are not.
PAIR_PRIOR = 4
START_PRIOR = 3
TOKEN_PRIOR = 30
# English: this many of the words that are frequent in English only, and one word of so many.
MIN_STRONG, STRONG_EVERY = 4, 25


def measure_junk(text: pa.LargeStringArray) -> pa.StructArray:
    """The junk statistics of every document.

    text: large_string array of n documents (may be a slice, may hold nulls).
    Returns a struct array of n rows of type JUNK (int64 counts); null where the text is null.
    Memory: 19 int64 a document.  Raises TypeError for any other type of array.
    """
    offsets, buffer = text_buffers(text)
    out = np.zeros((len(FIELDS), len(text)), np.int64)
    scratch = np.zeros(WORD_COUNTS, np.int64)
    _measure(buffer, offsets, load_tables(), scratch, out)
    nulls = text.is_null() if text.null_count else None
    return pa.StructArray.from_arrays([pa.array(row) for row in out], fields=list(JUNK), mask=nulls)


def _build_measure(sources: int) -> Any:
    """The entry kernel; returning `sources` makes the digest part of the machine code's cache key."""

    def measure_batch(buffer, offsets, tables, counts, out):  # type: ignore[no-untyped-def]
        for d in range(len(offsets) - 1):
            start, end = offsets[d], offsets[d + 1]
            row = out[:, d]

            count_characters(buffer, start, end, tables, counts)
            if counts[VISIBLE] >= MIN_VISIBLE:
                row[0] = counts[VISIBLE]
            row[1] = counts[DIGITS]
            row[2] = counts[LONG_RUN_CHARS]
            if counts[MOJIBAKE] >= MIN_MOJIBAKE:
                row[3] = counts[MOJIBAKE]
            cased = counts[CASED_LETTERS]
            if cased >= MIN_CASED:
                row[4] = cased
            row[5] = counts[UPPER_LETTERS]

            count_words(buffer, start, end, tables, counts)
            if cased:
                row[6] = counts[STARTS] + START_PRIOR
            row[7] = min(counts[LOWER_STARTS], counts[MID_CAPITALS])
            english = counts[STRONG_HITS] >= MIN_STRONG and counts[STRONG_HITS] * STRONG_EVERY >= counts[WORDS]
            if english:
                row[8] = counts[PAIRS] + PAIR_PRIOR
                row[12] = counts[PLAIN_TOKENS] + TOKEN_PRIOR
            row[9] = counts[DISORDER]
            row[10] = counts[PLAIN_TOKENS] + TOKEN_PRIOR
            row[11] = counts[MIXED_TOKENS]
            row[13] = counts[DAMAGED_TOKENS]
            row[14] = counts[TOKENS] + TOKEN_PRIOR
            row[15] = counts[NOISY_TOKENS]
            if counts[WORDS] >= MIN_WORDS:
                row[16] = counts[WORDS]
            row[17] = counts[PLACEHOLDERS]
            row[18] = counts[NOTICES]
        return sources

    return cached_kernel(measure_batch)


_measure = _build_measure(source_digest(junk_characters, junk_tables, junk_words, utf8))
