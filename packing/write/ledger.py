"""Nothing is lost, nothing doubled: what should be in the rows, against what is read back from the finished files.

Each fragment [a, b) of an occurrence adds h(a) − h(b) to a 64-bit sum, where h hashes (doc_key, copy, token).
Fragments that cover [0, n) exactly once leave h(0) − h(n), whatever the cuts and the order; a fragment that is
missing, doubled, shifted or given to another document leaves something else but for one case in 2^64.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curation.pipeline.errors import ConservationError
from packing.layout import files
from packing.write.keys import fragment_keys
from packing.write.rules import Rules

LEDGER_SEED = 0x1ED6E5
DEFECT = "this is a defect of curate: please report it with the command and the message"


@dataclass
class Expected:
    """What the occurrences ask for; tokens are ids and ends, without begin ids."""

    occurrences: int = 0
    tokens: int = 0
    dropped_occurrences: int = 0
    dropped_tokens: int = 0
    truncated_tokens: int = 0
    longer: int = 0  # occurrences that no row can hold whole, dropped ones too
    sum: int = 0

    def add(self, occurrences: NDArray[np.void], end: NDArray[np.int64], rules: Rules) -> None:
        """PLACED records, and how many tokens of each go into rows: int64[n], 0 for those that are dropped."""
        tokens = occurrences["tokens"].astype(np.int64)
        kept = end > 0
        room = rules.sequence_length - int(rules.bos != "none")
        self.occurrences += len(tokens)
        self.tokens += int(tokens.sum())
        self.longer += int((tokens > room).sum())
        self.dropped_occurrences += int((~kept).sum())
        self.dropped_tokens += int(tokens[~kept].sum())
        self.truncated_tokens += int((tokens - end)[kept].sum())
        some = occurrences[kept]
        self.sum += telescoped(some["doc_key"], some["copy"], np.zeros(len(some), np.int64), end[kept])
        self.sum %= 1 << 64


def telescoped(
    doc_key: NDArray[np.uint64], copy: NDArray[np.uint16], begin: NDArray[np.int64], end: NDArray[np.int64]
) -> int:
    """Σ h(begin) − h(end) modulo 2^64."""
    first = fragment_keys(doc_key, copy, begin, LEDGER_SEED)
    last = fragment_keys(doc_key, copy, end, LEDGER_SEED)
    return int((first - last).sum(dtype=np.uint64))


@dataclass
class Found:
    """What the finished files hold."""

    rows: int = 0
    fragments: int = 0
    tokens: int = 0  # without begin ids
    bos: int = 0
    unfinished: int = 0  # fragments that do not end their document
    cut: int = 0  # occurrences that stand in several rows, or are truncated
    sum_of_squares: int = 0  # of fragment lengths: what attention costs
    occurrences: int = 0  # fragments that begin one
    sum: int = 0
    per_row: list[int] = field(default_factory=lambda: [0] * 9)  # rows with 0, 1, … 7, 8 or more fragments

    def add(self, directory: Path, shard: str, rows: int, rules: Rules) -> None:
        """Read a shard's fragment table and index back.  Raises ConservationError where they disagree."""
        starts, lengths = files.map_csr(directory, shard, rows)
        sizes = np.diff(starts.astype(np.int64))
        at = 0
        for batch in pq.ParquetFile(files.fragment_path(directory, shard)).iter_batches(use_threads=False):
            column = {name: batch.column(name).to_numpy() for name in ("doc_key", "copy", "doc_offset", "len", "flags")}
            if not np.array_equal(column["len"], lengths[at : at + len(batch)]):
                raise ConservationError(f"{shard}: the fragment table and the index disagree", DEFECT)
            first = (column["flags"] & files.FIRST) > 0
            bos = np.full(len(batch), rules.bos == "fragment") | (first & (rules.bos == "doc"))
            begin = column["doc_offset"].astype(np.int64)
            count = column["len"].astype(np.int64) - bos
            self.sum = (self.sum + telescoped(column["doc_key"], column["copy"], begin, begin + count)) % (1 << 64)
            self.tokens += int(count.sum())
            self.bos += int(bos.sum())
            self.occurrences += int(first.sum())
            unfinished = (column["flags"] & files.LAST) == 0
            self.unfinished += int(unfinished.sum())
            self.cut += int((first & unfinished).sum())
            self.sum_of_squares += int((column["len"].astype(np.int64) ** 2).sum())
            at += len(batch)
        self.rows += rows
        self.fragments += at
        for size, count in zip(*np.unique(np.minimum(sizes, 8), return_counts=True), strict=True):
            self.per_row[int(size)] += int(count)


def settle(expected: Expected, found: Found) -> None:
    """Raises ConservationError unless every token range of every occurrence stands in the rows exactly once."""
    due = expected.tokens - expected.dropped_tokens - expected.truncated_tokens
    if found.tokens != due:
        raise ConservationError(
            f"{expected.tokens:,} tokens in, {expected.dropped_tokens:,} dropped, {expected.truncated_tokens:,} "
            f"truncated, but {found.tokens:,} in the rows",
            DEFECT,
        )
    if found.sum != expected.sum or found.occurrences != expected.occurrences - expected.dropped_occurrences:
        raise ConservationError("a part of a document is missing, doubled or not where it should be", DEFECT)


def ledger_of(expected: Expected, found: Found, documents: dict[str, Any], sequence_length: int) -> dict[str, Any]:
    """The manifest's ledger.  `documents`: in, packed, dropped by reason.  Raises ConservationError."""
    if documents["in"] != documents["packed"] + sum(documents["dropped"].values()):
        raise ConservationError(f"documents do not add up: {documents}", DEFECT)
    return {
        "documents": documents,
        "occurrences": {
            "in": expected.occurrences,
            "packed": found.occurrences,
            "dropped": expected.dropped_occurrences,
            "longer_than_row": expected.longer,
            "cut": found.cut,
        },
        "tokens": {
            "in": expected.tokens,
            "packed": found.tokens,
            "truncated": expected.truncated_tokens,
            "dropped": expected.dropped_tokens,
            "bos": found.bos,
            "padding": found.rows * sequence_length - found.tokens - found.bos,
        },
        "fragments": {
            "count": found.fragments,
            "unfinished": found.unfinished,
            "per_row": found.per_row,
            "sum_of_squares": found.sum_of_squares,
        },
    }
