"""Toy vocabularies and documents with answers that can be worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from tokenizer.encoding.engines import Ids, joined
from tokenizer.evaluation.subjects import Subject
from tokenizer.splitting.patterns import PATTERNS
from tokenizer.vocabulary import BASE, BYTE_IDS, Vocabulary


def vocabulary(*tokens: str | bytes, pattern: str = "o200k", specials: tuple[str, ...] = ("<|end|>",)) -> Vocabulary:
    """Merges that make the given tokens, each from the longest token so far and one byte."""
    known = {bytes([byte]): int(BYTE_IDS[byte]) for byte in range(256)}
    merges: list[tuple[int, int]] = []
    for token in tokens:
        data = token.encode() if isinstance(token, str) else token
        for end in range(2, len(data) + 1):
            if data[:end] not in known:
                merges.append((known[data[: end - 1]], known[data[end - 1 : end]]))
                known[data[:end]] = BASE + len(merges) - 1
    return Vocabulary(PATTERNS[pattern], np.array(merges, np.int32).reshape(-1, 2), specials)


class Cutter:
    """An encoder that cuts where it is told: every character or every `size` bytes; ids are indices into `tokens`."""

    def __init__(self, tokens: Sequence[bytes], size: int) -> None:
        self.tokens, self.size = {token: i for i, token in enumerate(tokens)}, size

    def encode(self, texts: pa.LargeStringArray) -> Ids:
        rows = []
        for text in texts.to_pylist():
            data = (text or "").encode()
            rows.append([self.tokens[data[i : i + self.size]] for i in range(0, len(data), self.size)])
        return joined(rows)


def cutter(name: str, size: int, texts: Sequence[str]) -> Subject:
    """A tokenizer of pieces of `size` bytes that knows the pieces of `texts` and every single byte."""
    found = {bytes([byte]) for byte in range(256)}
    for text in texts:
        data = text.encode()
        found |= {data[i : i + size] for i in range(0, len(data), size)}
    tokens = sorted(found)
    return Subject(name, _Fallback(tokens, size), tokens, len(tokens))


class _Fallback(Cutter):
    """Unknown pieces become bytes, so that any probe can be encoded."""

    def encode(self, texts: pa.LargeStringArray) -> Ids:
        rows = []
        for text in texts.to_pylist():
            data = (text or "").encode()
            row: list[int] = []
            for i in range(0, len(data), self.size):
                piece = data[i : i + self.size]
                row += [self.tokens[piece]] if piece in self.tokens else [self.tokens[bytes([b])] for b in piece]
            rows.append(row)
        return joined(rows)


def documents(rows: Sequence[dict[str, object]]) -> pa.RecordBatch:
    """Rows with text and any of language, domain, id, page, reference_tokens."""
    names = [
        "text",
        "language",
        "domain",
        "id",
        *(n for n in ("page", "reference_tokens") if any(n in r for r in rows)),
    ]
    kinds = {"text": pa.large_string(), "reference_tokens": pa.int64()}
    defaults = {"language": "en", "domain": "web"}
    columns = [
        pa.array(
            [row.get(n, f"d{i}" if n == "id" else defaults.get(n)) for i, row in enumerate(rows)],
            kinds.get(n, pa.string()),
        )
        for n in names
    ]
    return pa.RecordBatch.from_arrays(columns, names)
