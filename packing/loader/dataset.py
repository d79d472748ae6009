"""PackedDataset: the sequences of a stage in training order, by number.

Opening reads the manifest only; nothing is scanned or built, whatever the size.  Every array handed out is a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from packing.layout.files import LENGTH, SEGMENT
from packing.layout.manifest import LayoutError, Manifest
from packing.loader.schedule import Schedule
from packing.loader.shards import OpenShard, Shards


@dataclass(frozen=True)
class PackedSequence:
    """One sequence: tokens uint32[L] with its padding, fragment lengths uint32[f] and SEGMENT records [f]."""

    tokens: NDArray[np.uint32]
    lengths: NDArray[np.uint32]
    segments: NDArray[np.void]


class Run(NamedTuple):
    """Sequences at … at + size - 1 of a batch, which follow each other in `shard` from `row` on."""

    at: int
    shard: int
    row: int
    size: int


@dataclass(frozen=True)
class Places:
    """Where the sequences of a batch lie: (shard number, row in it) of each."""

    where: list[tuple[int, int]]

    def take(self, chosen: Sequence[int]) -> Places:
        """These of the sequences."""
        return Places([self.where[i] for i in chosen])

    @cached_property
    def runs(self) -> list[Run]:
        """The sequences in as few runs as their order allows."""
        runs = []
        at = 0
        for end in range(1, len(self.where) + 1):
            shard, row = self.where[at]
            if end == len(self.where) or self.where[end] != (shard, row + end - at):
                runs.append(Run(at, shard, row, end - at))
                at = end
        return runs


@dataclass(frozen=True)
class Fragments:
    """Of the sequences of a batch: fragments of each int64[n], their lengths uint32[f], and where their records lie."""

    counts: NDArray[np.int64]
    lengths: NDArray[np.uint32]
    spans: list[tuple[OpenShard, int, int]]

    def segments(self) -> NDArray[np.void]:
        """SEGMENT records [f], in order."""
        parts = [shard.segments[first:last] for shard, first, last in self.spans]
        return np.concatenate(parts) if parts else np.empty(0, SEGMENT)


class PackedDataset:
    """`dataset[i]` is the i-th sequence of the stage.  Picklable: a copy opens the directory again."""

    def __init__(self, directory: str | PathLike[str], stage: int = 0) -> None:
        self.directory = Path(directory)
        self.stage = stage
        self.manifest = Manifest.read(self.directory)
        self.schedule = Schedule(self.directory, self.manifest, stage)
        self.shards = Shards(self.directory, self.manifest)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.directory, self.stage)

    def __len__(self) -> int:
        return self.schedule.sequences

    def __getitem__(self, number: int) -> PackedSequence:
        if not -len(self) <= number < len(self):
            raise IndexError(f"sequence {number} of a stage of {len(self)}")
        places = self.places([number % len(self)])
        tokens = np.empty(self.manifest.sequence_length, np.uint32)
        self.read_tokens(places, tokens)
        fragments = self.fragments(places)
        return PackedSequence(tokens, fragments.lengths, fragments.segments())

    def tokens(self, numbers: Sequence[int]) -> NDArray[np.int64]:
        """Tokens of these sequences, int64[n, L] with padding."""
        made = np.empty((len(numbers), self.manifest.sequence_length), np.int64)
        self.read_tokens(self.places(numbers), made.reshape(-1))
        return made

    def places(self, numbers: Sequence[int]) -> Places:
        """Where sequences lie; a range of step 1 is found in one go."""
        if isinstance(numbers, range) and numbers.step == 1 and numbers:
            found = self.schedule.locate(numbers.start, numbers.stop)
        else:
            found = [self.schedule.locate_one(number) for number in numbers]
        return Places([self.shards.find(queue, row) for queue, row in found])

    def read_tokens(self, places: Places, out: NDArray[np.integer]) -> None:
        """Copy the rows to the front of `out`, [at least n · L] of any integer type that holds the ids."""
        length = self.manifest.sequence_length
        for at, number, row, size in places.runs:
            rows = self.shards.open(number).rows[row : row + size]
            out[at * length : (at + size) * length] = rows.reshape(-1)

    def fragments(self, places: Places) -> Fragments:
        """Which fragments the sequences have.  Raises LayoutError when the index is damaged."""
        counts: list[int] = []
        spans = []
        for _, number, row, size in places.runs:
            shard = self.shards.open(number)
            starts = shard.starts[row : row + size + 1].tolist()
            counts += [b - a for a, b in pairwise(starts)]
            spans.append((shard, starts[0], starts[-1]))
        lengths = [shard.lengths[first:last] for shard, first, last in spans]
        if min(counts, default=0) < 0 or sum(map(len, lengths)) != sum(counts):
            raise LayoutError(f"{self.directory}: the fragment index is damaged; `curate shards verify` names the file")
        return Fragments(
            np.array(counts, np.int64),
            np.concatenate(lengths) if lengths else np.empty(0, LENGTH),
            spans,
        )

    def read_offsets(self, places: Places, fragments: Fragments) -> NDArray[np.int64]:
        """Position that each fragment's first id has in its document, int64[f]; a BOS before the document counts."""
        parts = [
            self.shards.offsets(run.shard)[first:last]
            for run, (_, first, last) in zip(places.runs, fragments.spans, strict=True)
        ]
        made = np.concatenate(parts) if parts else np.empty(0, np.int64)
        return made + (made > 0) if self.manifest.policy.get("bos") == "doc" else made
