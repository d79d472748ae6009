"""Every statistic that a Gopher or FineWeb threshold looks at, for a batch of documents in one pass.

`measure` runs the kernels over the Arrow buffers; `rules.thresholds` decides from its columns.
All are exact integers: ratios are formed in float64 when a decision is made.  Definitions and
sources: docs/statistics.md.  `statistics_reference.measure_reference` gives the same numbers slowly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from curation.text import affixes, exceptions, hashing, lines, repetition, runs, seen, segment, utf8
from curation.text.arrow import text_buffers
from curation.text.kernel import cached_kernel, source_digest
from curation.text.lines import CHARS, LINE_COUNTS, NEWLINES, count_lines
from curation.text.repetition import duplicate_ngrams, duplicate_segments, repeated_places, top_ngram
from curation.text.seen import MAX_MEMBERS, new_seen
from curation.text.segment import MEASURED_END, STOP_MASK, WORDS, load_tables, new_workspace, segment_document
from curation.text.utf8 import strip

# Raised whenever `measure` can give another number for some text; part of the rules step's fingerprint.
STATISTICS_VERSION = 1

FIELDS = (
    # lines.py, in the order of its counts
    "chars", "newlines", "hashes", "ellipses", "split_lines", "bullet_lines", "ellipsis_lines",
    "nonblank_lines", "punctuated_lines", "short_lines",
    "visible_chars",
    # segment.py
    "words", "non_symbol_words", "non_symbol_word_chars", "alphabetic_words", "stop_words", "ngram_chars",
    # repetition.py
    "lines", "duplicate_lines", "duplicate_line_chars", "duplicate_nonblank_line_chars",
    "paragraphs", "duplicate_paragraphs", "duplicate_paragraph_chars",
    "top_2_gram_chars", "top_3_gram_chars", "top_4_gram_chars",
    "duplicate_5_gram_chars", "duplicate_6_gram_chars", "duplicate_7_gram_chars",
    "duplicate_8_gram_chars", "duplicate_9_gram_chars", "duplicate_10_gram_chars",
)  # fmt: skip
STATISTICS = pa.struct([pa.field(name, pa.int64(), nullable=False) for name in FIELDS])


def measure(text: pa.LargeStringArray, max_words: int = MAX_MEMBERS) -> pa.StructArray:
    """The statistics of every document.

    text: large_string array of n documents (may be a slice, may hold nulls).
    max_words: n-gram statistics cover the first `max_words` words of a document, and `ngram_chars`
        the code points up to there; bounds the scratch memory to about 120 MB a call.
    Returns a struct array of n rows of type STATISTICS (int64 counts); null where the text is null.
    Raises TypeError for any other type of array.
    """
    offsets, buffer = text_buffers(text)
    out = np.zeros((len(FIELDS), len(text)), np.int64)
    longest = int(np.diff(offsets).max(initial=0))
    work = new_workspace(min(longest + 1, max_words))
    repeated = np.zeros(len(work.word_hash) + 1, np.bool_)
    places = np.empty(len(repeated), np.uint32)
    line_counts = np.zeros(LINE_COUNTS, np.int64)
    table = new_seen(longest + 2)
    _measure(buffer, offsets, load_tables(), work, repeated, places, table, line_counts, out)
    columns = [pa.array(row) for row in out]
    nulls = text.is_null() if text.null_count else None
    return pa.StructArray.from_arrays(columns, fields=list(STATISTICS), mask=nulls)


def _build_measure(sources: int) -> Any:
    """The entry kernel; returning `sources` makes the digest part of the machine code's cache key."""

    def measure_batch(buffer, offsets, tables, work, repeated, places, table, line_counts, out):  # type: ignore[no-untyped-def]
        for d in range(len(offsets) - 1):
            start, end = offsets[d], offsets[d + 1]
            row = out[:, d]

            count_lines(buffer, start, end, tables.classes, line_counts)
            for k in range(LINE_COUNTS):
                row[k] = line_counts[k]
            row[10] = line_counts[CHARS] - line_counts[NEWLINES]

            segment_document(buffer, start, end, tables, work)
            for k in range(4):
                row[11 + k] = work.counts[k]
            mask = work.counts[STOP_MASK]
            while mask:
                row[15] += mask & 1
                mask >>= 1
            words = min(work.counts[WORDS], len(work.word_hash))
            row[16] = line_counts[CHARS] if words == work.counts[WORDS] else work.counts[MEASURED_END]

            segments = line_counts[NEWLINES] + 1
            row[17], row[18], row[19], row[20] = duplicate_segments(
                buffer, start, end, 1, segments, tables.classes, table
            )
            first, last = strip(buffer, start, end, tables.classes)
            row[21], row[22], row[23], _ = duplicate_segments(buffer, first, last, 2, segments, tables.classes, table)

            for n in range(2, 5):
                row[22 + n] = top_ngram(work.word_hash, work.word_length, words, n, repeated, table)
            found = places[: repeated_places(repeated, words, places)]
            for n in range(5, 11):
                row[22 + n] = duplicate_ngrams(work.word_hash, work.word_length, words, n, repeated, found, table)
        return sources

    return cached_kernel(measure_batch)


_measure = _build_measure(source_digest(affixes, exceptions, hashing, lines, repetition, runs, seen, segment, utf8))
