"""Rows by methods that best fit is compared with: documents end to end, cropped to fit, or in length buckets.

concat   all documents of a queue end to end, cut where a row ends: what most trainers do
crop     nanochat's: no padding, every row begins with a document, what does not fit is thrown away
buckets  dataset decomposition: pieces of 2^i tokens, a queue for each length (plan/buckets.py)

Each keeps the order of documents; nothing is shuffled beyond the order of the documents themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from packing.layout.files import LAST, TRUNCATED
from packing.plan.buckets import decompose
from packing.plan.concat import concatenate
from packing.plan.crop import crop
from packing.plan.cut import cut_documents
from packing.write.ledger import Expected
from packing.write.rows import planned_of
from packing.write.rules import Rules


@dataclass
class ConcatPlanner:
    """Rows of one queue; the fields that are no input are for the ledger and the schedule."""

    rules: Rules
    expected: Expected
    tokens: int = 0
    displacement: int = 0

    @property
    def row_tokens(self) -> list[NDArray[np.int64]]:
        """Of each row, in parts."""
        full, rest = divmod(self.tokens, self.rules.sequence_length)
        return [np.full(full, self.rules.sequence_length, np.int64), np.array([rest] if rest else [], np.int64)]

    def plan(self, occurrences: Iterable[NDArray[np.void]]) -> Iterator[NDArray[np.void]]:
        """PLANNED records in row order; `row` counts from the queue's first."""
        for some in occurrences:
            lengths = some["tokens"].astype(np.int64)
            self.expected.add(some, lengths, self.rules)
            row, used = divmod(self.tokens, self.rules.sequence_length)
            cut, rows = concatenate(lengths, self.rules.sequence_length, used)
            made = planned_of(some, cut, self.rules)
            made["row"] = row + rows
            self.tokens += int(lengths.sum())
            yield made


@dataclass
class CropPlanner:
    """Rows of one queue, whose documents are held at once."""

    rules: Rules
    expected: Expected
    row_tokens: list[NDArray[np.int64]] = field(default_factory=list)
    displacement: int = 0

    def plan(self, occurrences: Iterable[NDArray[np.void]]) -> Iterator[NDArray[np.void]]:
        """PLANNED records in row order; `row` counts from the queue's first."""
        parts = list(occurrences)
        if not parts:
            return
        some, room = np.concatenate(parts), self.rules.sequence_length
        fragments, _ = cut_documents(some["tokens"].astype(np.int64), room, self.rules.long, self.rules.min_fragment)
        bins, kept = crop(fragments.length, room)
        end = np.zeros(len(some), np.int64)
        end[fragments.doc] = kept
        self.expected.add(some, end, self.rules)
        cropped = kept < fragments.length
        flags = np.where(cropped, (fragments.flags & ~np.uint8(LAST)) | TRUNCATED, fragments.flags).astype(np.uint8)
        made = planned_of(some, replace(fragments, length=kept, flags=flags), self.rules)
        made["row"] = bins
        # In the order of documents, the piece without its end last: a reader that infers boundaries from EOS is right.
        order = np.lexsort((np.arange(len(made)), (made["flags"] & LAST) == 0, bins))
        if len(order):
            self.displacement = int(np.abs(order - np.arange(len(order))).max())
            self.row_tokens.append(np.bincount(bins, weights=kept).astype(np.int64))
        yield made[order]


@dataclass
class BucketPlanner:
    """Rows of the pieces of `length` tokens of one queue; `first`: the bucket that counts the documents."""

    rules: Rules
    expected: Expected
    length: int
    first: bool
    pieces: int = 0
    displacement: int = 0

    @property
    def row_tokens(self) -> list[NDArray[np.int64]]:
        """Of each row, in parts."""
        full, rest = divmod(self.pieces, self.rules.sequence_length // self.length)
        sizes = [self.rules.sequence_length] * full + [rest * self.length] * bool(rest)
        return [np.array(sizes, np.int64)]

    def plan(self, occurrences: Iterable[NDArray[np.void]]) -> Iterator[NDArray[np.void]]:
        """PLANNED records in row order; `row` counts from the queue's first."""
        before, smallest = int(self.rules.bos == "doc"), self.rules.smallest_bucket
        for some in occurrences:
            lengths = some["tokens"].astype(np.int64) + before
            if self.first:
                kept = lengths // smallest * smallest
                self.expected.add(some, np.where(kept > 0, kept - before, 0), self.rules)
            cut, _ = decompose(lengths, self.rules.sequence_length, smallest)
            made = planned_of(some, cut, self.rules)[cut.length == self.length]
            made["row"] = (self.pieces + np.arange(len(made))) // (self.rules.sequence_length // self.length)
            self.pieces += len(made)
            yield made
