"""Tokenizers as evaluation sees them: texts in, ids out, and which id ends a document.

No text of an item ever gives a special token, whatever it contains: added tokens are taken out of our own
tokenizer.json, and Hugging Face's splitting of them is switched off where it can be.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from curation.pipeline.errors import UsageError
from packing.write.token_ids import EOS_NAMES

MANY_TEXTS = 50_000
WORD_ENGINE = "words"


class EvaluationTokenizer(Protocol):
    """What tokenisation needs; `end_of_document` stands in for an empty context."""

    digest: str
    end_of_document: int
    vocab_size: int

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text alone, without special tokens."""


class JsonTokenizer:
    """A byte-level BPE of a tokenizer directory or tokenizer.json; raises UsageError for others.

    Many texts go through the project's word engine, which caches words: 91,202 texts of 18.9 MB in 1.4 s against
    17.5 s with 200,000 tokens, but ten seconds to open.  It is taken only where it is exact.
    """

    def __init__(self, path: Path, end_of_document: str | None = None) -> None:
        from tokenizers import Tokenizer

        from tokenizer.encoding.source import open_tokenizer

        opened = open_tokenizer(path)
        self._path = path
        self._words: Any = None
        self._tokenizer = Tokenizer.from_str(opened.source.json.decode())
        names = (end_of_document,) if end_of_document else EOS_NAMES
        found = [name for name in names if name in opened.special_ids]
        if not found:
            raise UsageError(
                f"{path}: none of {', '.join(names)} is a special token",
                f"name the one that ends documents; there are: {', '.join(opened.special_ids) or 'none'}",
            )
        self.end_of_document = opened.special_ids[found[0]]
        self.vocab_size = max(self._tokenizer.get_vocab_size(), *(i + 1 for i in opened.special_ids.values()))
        self.digest = opened.hash

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Many texts at once."""
        if len(texts) >= MANY_TEXTS:
            with suppress(UsageError):  # a tokenizer that the word engine cannot serve
                return self._encode_words(texts)
        return [one.ids for one in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def _encode_words(self, texts: Sequence[str]) -> list[list[int]]:
        from tokenizer.encoding.encode import open_encoder

        if self._words is None:
            self._words = open_encoder(self._path, WORD_ENGINE)
        ids, offsets = self._words.encode(pa.array(texts, pa.large_string()))
        flat, ends = ids.tolist(), offsets.tolist()
        return [flat[start:end] for start, end in pairwise(ends)]


class HFTokenizer:
    """A tokenizer of transformers.  Special tokens written out in a text are split like other text where it can.

    `end_of_document`: its BOS, else its EOS, as lm-evaluation-harness takes them.
    """

    def __init__(self, tokenizer: Any) -> None:
        ends = [tokenizer.bos_token_id, tokenizer.eos_token_id]
        found = [one for one in ends if one is not None]
        if not found:
            raise UsageError("the tokenizer has neither a BOS nor an EOS token to stand in for an empty context")
        self._tokenizer = tokenizer
        self.end_of_document = int(found[0])
        self.vocab_size = len(tokenizer)
        backend = getattr(tokenizer, "backend_tokenizer", None)
        identity = backend.to_str() if backend is not None else repr(sorted(tokenizer.get_vocab().items()))
        self.digest = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Many texts at once; no warning about lengths, which are checked elsewhere."""
        if not texts:
            return []
        ids: list[list[int]] = self._tokenizer(
            list(texts), add_special_tokens=False, split_special_tokens=True, verbose=False
        )["input_ids"]
        return ids
