"""A vocabulary: 256 bytes, then one id per merge, then the special tokens, padded to whole blocks of rows.

`vocab_size` = 256 + merges (200,000 by default); specials follow; the rows of the embedding are the
next multiple of 64 (200,064), filled with `<|reserved_i|>` (CONTRACTS, Mix table → packing; reference §7).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import canonical_json
from tokenizer.splitting.patterns import UNICODE_TABLE_VERSION, Pattern

BASE = 256  # byte tokens: every byte, seen or not, so that any text round-trips (reference §10.4)
ROW_MULTIPLE = 64  # embedding rows in whole blocks, for tensor cores and sharding

DEFAULT_SPECIALS: tuple[str, ...] = (
    "<|endoftext|>",
    "<|pad|>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|tool_call|>",
    "<|/tool_call|>",
    "<|tool_response|>",
    "<|/tool_response|>",
    "<|think|>",
    "<|/think|>",
)
RESERVED = re.compile(r"<\|reserved_\d+\|>")


def byte_characters() -> tuple[str, ...]:
    """GPT-2's printable character for each byte value (Hugging Face's byte-level alphabet).

    Printable Latin-1 stands for itself; the other 68 bytes, in order, are U+0100, U+0101, …
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return tuple(chr(byte) if byte in printable else chr(0x100 + others.index(byte)) for byte in range(256))


def _byte_ids() -> np.ndarray:
    characters = byte_characters()
    ids = np.empty(256, np.int64)
    ids[sorted(range(256), key=lambda byte: characters[byte])] = np.arange(256)
    ids.setflags(write=False)
    return ids


BYTE_CHARACTERS = byte_characters()
# byte value → id: the rank of its character, because Hugging Face sorts its alphabet and breaks ties by id
BYTE_IDS: np.ndarray = _byte_ids()


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """`merges`: int32[m, 2] ids in rank order; merge i makes token 256 + i.  Compare by `hash`.

    `specials`: distinct strings without the reserved ones.  `provenance`: free JSON for the manifest
    (count table, weights, sizes); not part of the identity.
    Raises UsageError for merges that use a token before it exists, a merge twice or a bad special.
    """

    pattern: Pattern
    merges: np.ndarray
    specials: tuple[str, ...] = DEFAULT_SPECIALS
    provenance: dict[str, Any] = field(default_factory=dict)
    unicode_version: str = UNICODE_TABLE_VERSION

    def __post_init__(self) -> None:
        check_merges(self.merges)
        check_specials(self.specials)

    @property
    def vocab_size(self) -> int:
        """Ids that text can give: bytes and merges."""
        return BASE + len(self.merges)

    @property
    def rows(self) -> int:
        """Rows of the embedding: `vocab_size` + specials, in whole blocks of 64."""
        return -(-(self.vocab_size + len(self.specials)) // ROW_MULTIPLE) * ROW_MULTIPLE

    @cached_property
    def special_ids(self) -> dict[str, int]:
        """Special tokens, then `<|reserved_0|>` …, in order of id, from `vocab_size` to `rows` − 1."""
        reserved = self.rows - self.vocab_size - len(self.specials)
        names = [*self.specials, *(f"<|reserved_{i}|>" for i in range(reserved))]
        return {name: self.vocab_size + i for i, name in enumerate(names)}

    def tokens(self) -> list[bytes]:
        """The bytes of ids 0 … vocab_size − 1."""
        table = [bytes([byte]) for byte in np.argsort(BYTE_IDS).tolist()]
        for left, right in self.merges.tolist():
            table.append(table[left] + table[right])
        return table

    def truncated(self, vocab_size: int) -> Vocabulary:
        """The vocabulary of `vocab_size` that the same training would have given: its first merges."""
        if not BASE <= vocab_size <= self.vocab_size:
            raise UsageError(
                f"a vocabulary of {vocab_size} cannot be cut from one of {self.vocab_size}",
                f"choose a size from {BASE} to {self.vocab_size}",
            )
        merges = self.merges[: vocab_size - BASE]
        return Vocabulary(self.pattern, merges, self.specials, self.provenance, self.unicode_version)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of what decides ids: merges, specials, split pattern and Unicode table."""
        head = {"specials": self.specials, "stages": self.pattern.stages, "unicode": self.unicode_version}
        text = hashlib.sha256(b"curate tokenizer 1\n" + canonical_json(head) + b"\n")
        text.update(self.merges.astype("<i4").tobytes())
        return text.hexdigest()


def check_specials(specials: Sequence[str]) -> None:
    """UsageError unless they are distinct, not empty and none of the padding names."""
    if len(set(specials)) != len(specials) or "" in specials:
        raise UsageError(f"special tokens must be distinct and not empty: {list(specials)}")
    for special in specials:
        if RESERVED.fullmatch(special):
            raise UsageError(f"special token {special!r} is one of the padding names", "leave it out; padding adds it")


def check_merges(merges: np.ndarray) -> None:
    """UsageError unless `merges` is int32[m, 2], each pair once and made of bytes and earlier merges."""
    if merges.dtype != np.int32 or merges.ndim != 2 or merges.shape[1] != 2:
        raise UsageError(f"merges must be int32[m, 2], got {merges.dtype}{list(merges.shape)}")
    first_unknown = np.arange(BASE, BASE + len(merges))[:, None]
    bad = np.flatnonzero(((merges < 0) | (merges >= first_unknown)).any(axis=1))
    if bad.size:
        raise UsageError(f"merge {bad[0]} joins {merges[bad[0]].tolist()}: a token that does not exist yet")
    keys = merges[:, 0].astype(np.int64) << 32 | merges[:, 1]
    if len(np.unique(keys)) != len(keys):
        raise UsageError("the same merge occurs twice")
