"""PackedDataset: the sequences of a stage in training order, by number.

Opening reads the manifest only; nothing is scanned or built, whatever the size.  Every array handed out is a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packing.layout.files import LENGTH, SEGMENT
from packing.layout.manifest import LayoutError, Manifest
from packing.loader.fragments import Fragments
from packing.loader.places import Places, Run, ranges
from packing.loader.schedule import Schedule
from packing.loader.shards import Shards


@dataclass(frozen=True)
class PackedSequence:
    """One sequence: tokens uint32[L] with its padding, fragment lengths uint32[f] and SEGMENT records [f]."""

    tokens: NDArray[np.uint32]
    lengths: NDArray[np.uint32]
    segments: NDArray[np.void]


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
        self.read_tokens(places.runs(1)[0], tokens[None])
        fragments = self.fragments(places)
        return PackedSequence(tokens, fragments.lengths, fragments.records)

    def tokens(self, numbers: Sequence[int]) -> NDArray[np.int64]:
        """Tokens of these sequences, int64[n, L] with padding."""
        made = np.empty((len(numbers), self.manifest.sequence_length), np.int64)
        if len(numbers):
            self.read_tokens(self.places(numbers).runs(len(numbers))[0], made)
        return made

    def places(self, numbers: Sequence[int]) -> Places:
        """Where sequences lie; a range of step 1 is found in one go."""
        if isinstance(numbers, range) and numbers.step == 1 and numbers:
            found = self.schedule.locate(numbers.start, numbers.stop)
        else:
            found = self.schedule.locate_each(numbers)
        return self.shards.find(*found)

    def read_tokens(self, runs: Sequence[Run], out: NDArray[np.integer]) -> None:
        """Copy the rows of `Places.runs` into `out`, [at least n, L] of any integer type that holds the ids."""
        opened = -1
        for at, number, row, size in runs:
            if number != opened:
                rows, opened = self.shards.open(number).rows, number
            out[at : at + size] = rows[row : row + size]

    def fragments(self, places: Places, offsets: bool = False) -> Fragments:
        """Which fragments the sequences have.  Raises LayoutError when the index is damaged.

        `offsets`: with their places in their documents, for which the fragment table is read.
        """
        numbers = np.unique(places.shard).tolist()
        mine = [np.flatnonzero(places.shard == number) for number in numbers]
        counts = np.empty(len(places), np.int64)
        lengths, records, begins = [np.empty(0, LENGTH)], [np.empty(0, SEGMENT)], [np.empty(0, np.int64)]
        for number, at in zip(numbers, mine, strict=True):
            shard, row = self.shards.open(number), places.row[at]
            first, end = shard.starts[row].astype(np.int64), shard.starts[row + 1].astype(np.int64)
            if first.min() < 0 or (end < first).any() or end.max() > shard.lengths.size:
                raise LayoutError(
                    f"{self.directory}: the fragment index of {self.shards.info(number).name} is damaged; "
                    "`curate shards verify` says where"
                )
            counts[at] = end - first
            wanted = ranges(first, end - first)
            lengths.append(shard.lengths[wanted])
            records.append(shard.segments[wanted])
            if offsets:
                begins.append(self._positions(self.shards.offsets(number)[wanted]))
        found = Fragments(
            counts, np.concatenate(lengths), np.concatenate(records), np.concatenate(begins) if offsets else None
        )
        if len(numbers) < 2:
            return found
        starts = np.cumsum(counts) - counts  # else they lie shard by shard
        here = np.concatenate([ranges(starts[at], counts[at]) for at in mine])
        order = np.empty_like(here)
        order[here] = np.arange(here.size)
        return found.take(order)

    def _positions(self, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
        """Position of a fragment's first id in its document: a BOS before the document counts."""
        return offsets + (offsets > 0) if self.manifest.policy.get("bos") == "doc" else offsets
