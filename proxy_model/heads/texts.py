"""Texts as the backbone reads them: at most `max_tokens` ids of the beginning, then the end-of-document token.

So no sequence is empty, and the last token has always seen the whole of what was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import torch
from torch import Tensor

from curation.pipeline.errors import UsageError
from proxy_model.evaluate.tokens import JsonTokenizer
from tokenizer.encoding.source import tokenizer_file

CHARACTERS = 16  # of a token, at most, that are looked at: bounds the work on a huge text


class Reader:
    """A tokenizer with its file, which a tagger carries with it.  Raises UsageError as `open_tokenizer`."""

    def __init__(self, path: Path, max_tokens: int) -> None:
        self._tokenizer = JsonTokenizer(path)
        self.max_tokens = max_tokens
        self.json = tokenizer_file(path).read_bytes()
        self.digest = self._tokenizer.digest
        self.vocab_size = self._tokenizer.vocab_size

    def encode(self, texts: Sequence[str]) -> list[Tensor]:
        """int64 ids of each text; a surrogate without its other half becomes a question mark."""
        most = CHARACTERS * self.max_tokens
        clean = [text[:most].encode("utf-8", "replace").decode("utf-8") for text in texts]
        end = self._tokenizer.end_of_document
        ids = self._tokenizer.encode(clean)
        return [torch.tensor([*one[: self.max_tokens - 1], end]) for one in ids]

    def encode_array(self, texts: pa.LargeStringArray) -> list[Tensor]:
        """The same of an Arrow array; bytes that are no UTF-8 become replacement characters, a null is empty."""
        return self.encode(strings(texts))


def strings(texts: pa.LargeStringArray) -> list[str]:
    """Python strings, whatever the bytes are."""
    return [(one or b"").decode("utf-8", "replace") for one in texts.cast(pa.large_binary()).to_pylist()]


def check_vocabulary(reader: Reader, vocab_size: int, trained_with: str | None, path: str) -> None:
    """UsageError where a backbone reads other ids than the tokenizer writes."""
    if reader.vocab_size > vocab_size:
        raise UsageError(
            f"the tokenizer has {reader.vocab_size:,} tokens, the model {path} reads {vocab_size:,}",
            "name the tokenizer of its shards: --set tokenizer=runs/NAME/tokenizer",
        )
    if trained_with is not None and trained_with != reader.digest:
        raise UsageError(
            f"tokenizer {reader.digest[:12]} is not the one that {path} was trained with ({trained_with[:12]})",
            "name the tokenizer of its shards: --set tokenizer=runs/NAME/tokenizer",
        )
