"""PackedDataset: the sequences of a stage in training order, by number.

Opening reads the manifest only; nothing is scanned or built, whatever the size.  Every array handed out is a copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from packing.layout.files import LENGTH, SEGMENT
from packing.layout.manifest import LayoutError, Manifest
from packing.loader.schedule import Schedule
from packing.loader.shards import Shards


@dataclass(frozen=True)
class PackedSequence:
    """One sequence: tokens uint32[L] with its padding, fragment lengths uint32[f] and SEGMENT records [f]."""

    tokens: NDArray[np.uint32]
    lengths: NDArray[np.uint32]
    segments: NDArray[np.void]


class Run(NamedTuple):
    """Sequences that follow each other in a shard: `size` of them from number `at` of the batch on, from `row` of `shard`."""

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
        places = self.places(number % len(self), number % len(self) + 1)
        tokens = np.empty(self.manifest.sequence_length, np.uint32)
        self.read_tokens(places, tokens)
        _, lengths = self.read_lengths(places)
        return PackedSequence(tokens, lengths, self.read_segments(places))

    def places(self, start: int, stop: int) -> Places:
        """Where the sequences start … stop - 1 lie."""
        return Places([self.shards.find(queue, row) for queue, row in self.schedule.locate(start, stop)])

    def read_tokens(self, places: Places, out: NDArray[np.integer]) -> None:
        """Copy the rows to the front of `out`, [at least n · L] of any integer type that holds the ids."""
        length = self.manifest.sequence_length
        for at, shard, row, count in places.runs:
            rows = self.shards.open(shard).rows[row : row + count]
            out[at * length : (at + count) * length].reshape(count, length)[:] = rows

    def read_lengths(self, places: Places) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        """(fragments of each sequence int64[n], their lengths uint32[f] in tokens)."""
        counts = np.empty(len(places.where), np.int64)
        lengths = []
        for at, number, row, count in places.runs:
            shard = self.shards.open(number)
            starts = shard.starts[row : row + count + 1].astype(np.int64)
            np.subtract(starts[1:], starts[:-1], out=counts[at : at + count])
            lengths.append(shard.lengths[starts[0] : starts[-1]])
        if counts.min(initial=0) < 0 or sum(map(len, lengths)) != counts.sum():
            raise LayoutError(f"{self.directory}: the fragment index is damaged; `curate shards verify` names the file")
        return counts, np.concatenate(lengths, dtype=LENGTH) if lengths else np.empty(0, LENGTH)

    def read_segments(self, places: Places) -> NDArray[np.void]:
        """SEGMENT records [f] of the sequences' fragments, in order."""
        parts = [self.shards.open(shard).segments[first:last] for shard, first, last in self._stretches(places)]
        return np.concatenate(parts) if parts else np.empty(0, SEGMENT)

    def read_offsets(self, places: Places) -> NDArray[np.int64]:
        """Where each fragment begins in its document, int64[f] tokens."""
        parts = [self.shards.offsets(shard)[first:last] for shard, first, last in self._stretches(places)]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def _stretches(self, places: Places) -> Iterator[tuple[int, int, int]]:
        for _, number, row, count in places.runs:
            starts = self.shards.open(number).starts
            yield number, int(starts[row]), int(starts[row + count])
