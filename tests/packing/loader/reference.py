"""A batch the slow, obvious way: token by token from the rows that a test planned."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from packing.loader.batch import ALIGN, IGNORE
from tests.packing.directories import PAD, VOCAB_ROWS, Row


def batch_reference(rows: Sequence[Row], length: int, max_segments: int, document: bool = False) -> dict[str, Any]:
    """All fields of `Batch` but next_sequence, as lists."""
    made: dict[str, Any] = {
        name: [] for name in ("tokens", "labels", "position_ids", "loss_mask", "segment_ids", "source", "doc_key")
    }
    made["n_bytes"] = []
    cu_seqlens = [0]

    def add(tokens: Sequence[int], padding: bool, first: int, source: int, key: int, n_bytes: int) -> None:
        segment = len(cu_seqlens) - 1
        for place, token in enumerate(tokens):
            last = place == len(tokens) - 1
            made["tokens"].append(token)
            made["labels"].append(IGNORE if padding or last else tokens[place + 1])
            made["position_ids"].append(first + place)
            made["loss_mask"].append(not (padding or last))
            made["segment_ids"].append(segment)
        made["source"].append(source)
        made["doc_key"].append(key)
        made["n_bytes"].append(n_bytes)
        cu_seqlens.append(cu_seqlens[-1] + len(tokens))

    for row in rows:
        used = 0
        for one in row.fragments:
            add(one.tokens, False, one.offset if document else 0, one.source, one.doc_key, one.n_bytes)
            used += len(one.tokens)
        if used < length:
            add([PAD] * (length - used), True, 0, -1, 0, 0)
    if cu_seqlens[-1] % ALIGN:
        add([PAD] * (ALIGN - cu_seqlens[-1] % ALIGN), True, 0, -1, 0, 0)

    segments = len(cu_seqlens) - 1
    longest = max(b - a for a, b in pairwise(cu_seqlens))
    bucket = 64
    while bucket < longest:
        bucket *= 2
    empty = max_segments - segments
    made["cu_seqlens"] = cu_seqlens + [cu_seqlens[-1]] * empty
    made["source"] += [-1] * empty
    made["doc_key"] += [0] * empty
    made["n_bytes"] += [0] * empty
    return {**made, "max_seqlen": bucket, "segments": segments}


def corpora(max_tokens: int = 90) -> st.SearchStrategy[dict[str, list[list[int]]]]:
    """Documents of one to three sources, from no token at all to longer than a row."""
    tokens = st.integers(3, VOCAB_ROWS - 1)
    lengths = st.one_of(st.integers(0, 6), st.integers(0, max_tokens))
    document = lengths.flatmap(lambda n: st.lists(tokens, min_size=n, max_size=n))
    return st.dictionaries(
        st.sampled_from(["web", "code", "books"]), st.lists(document, min_size=1, max_size=12), min_size=1
    )
