"""Texts into words: the byte end of every word, by the scanner where the pattern has rules, else by HF's `Split`.

The first half of the count stage and the cut points of encoding; exact to Hugging Face's pre-tokenizer.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

import curation.text.utf8
import tokenizer.splitting.scan
import tokenizer.splitting.scan_rules
from curation.text.arrow import text_buffers
from curation.text.kernel import cached_kernel, source_digest
from tokenizer.splitting.patterns import Pattern
from tokenizer.splitting.scan import scan_rows
from tokenizer.splitting.scan_rules import rules_of

BYTES_PER_WORD = 4  # first guess of the room for ends: o200k has 4–6 in most languages; a wrong guess costs a copy


def word_ends(texts: pa.LargeStringArray, pattern: Pattern) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(ends, first): the byte end of each word inside the values buffer, and the first word of each text.

    texts: n texts; ends: int64[words]; first: int64[n + 1]; the words of text i end at
    ends[first[i]:first[i + 1]], the first begins at the text's own offset.  A null has no words.
    Raises TypeError for another array type.  A pattern without rules takes HF's slow path, with a warning.
    """
    offsets, buffer = text_buffers(texts)
    if texts.null_count:  # bytes under a null are no text
        return word_ends(texts.fill_null(""), pattern)
    rules = rules_of(pattern)
    if rules is None:
        return _word_ends_slow(texts, offsets, pattern)
    first = np.zeros(len(texts) + 1, np.int64)
    ends = np.empty(int(offsets[-1] - offsets[0]) // BYTES_PER_WORD + 16, np.int64)
    state = np.array([0, offsets[0], 0], np.int64)
    while not _scan_kernel()(buffer, offsets, rules, ends, first, state):
        done, all_bytes = int(state[1] - offsets[0]), int(offsets[-1] - offsets[0])
        more = min(int(state[2] * 1.1 * all_bytes / max(done, 1)), all_bytes)
        ends = np.concatenate([ends, np.empty(max(more - len(ends), len(ends) // 2), np.int64)])
    return ends[: state[2]], first


@cache
def _scan_kernel() -> Any:
    digest = source_digest(tokenizer.splitting.scan, tokenizer.splitting.scan_rules, curation.text.utf8)

    def scan(buffer, offsets, rules, ends, first, state):  # type: ignore[no-untyped-def]
        _ = digest
        return scan_rows(buffer, offsets, rules, ends, first, state)

    return cached_kernel(scan)


def _word_ends_slow(
    texts: pa.LargeStringArray, offsets: NDArray[np.int64], pattern: Pattern
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`word_ends` by running the regular expressions themselves."""
    warnings.warn(
        f"pattern {pattern.name!r} runs on the slow path (some 3 MB/s a core, not 100): "
        "o200k, llama3, qwen and gpt2 have a scanner",
        stacklevel=3,
    )
    first = np.zeros(len(texts) + 1, np.int64)
    parts = []
    for row, text in enumerate(texts.to_pylist()):
        lengths = np.array([len(word) for word in word_ends_reference(text, pattern)], np.int64)
        parts.append(offsets[row] + np.cumsum(lengths))
        first[row + 1] = first[row] + len(lengths)
    return np.concatenate([np.zeros(0, np.int64), *parts]), first


def word_ends_reference(text: str, pattern: Pattern) -> list[bytes]:
    """The words of `text` according to Hugging Face's `Split`, the oracle that exported vocabularies run."""
    return [word.encode() for word, _ in _splitter(pattern).pre_tokenize_str(text)] if text else []


@cache
def _splitter(pattern: Pattern) -> Any:
    from tokenizers import Regex, pre_tokenizers

    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(stage), "isolated") for stage in pattern.stages])
