"""Opened shards: memory maps kept for those in use, with sizes checked against the manifest when first opened."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from packing.layout import files
from packing.layout.manifest import LayoutError, Manifest, ShardInfo
from packing.loader.places import Places
from packing.loader.schedule import check_size

SPARE = 32  # shards kept open beside one per queue; each holds four file descriptors, and 1,024 is a usual limit


@dataclass(frozen=True)
class OpenShard:
    """Maps of one shard: tokens uint32[n, L], first fragment of each row uint64[n + 1], lengths and SEGMENTs [f]."""

    rows: NDArray[np.uint32]
    starts: NDArray[np.uint64]
    lengths: NDArray[np.uint32]
    segments: NDArray[np.void]


class Shards:
    """The shards of a directory by (queue, row), the least recently used closed first.

    Maps never leave this package: what a caller gets is copied, so nothing dangles when a shard is closed.
    """

    def __init__(self, directory: Path, manifest: Manifest) -> None:
        self.directory = directory
        self._length = manifest.sequence_length
        self._infos = manifest.shards
        # Shards queue by queue: queue q's first row is number _first_row[q] of all, and a shard's first one of _begins.
        by_queue = sorted(range(len(manifest.shards)), key=lambda number: (manifest.shards[number].queue, number))
        rows = np.array([manifest.shards[number].rows for number in by_queue], np.int64)
        of_queue = np.bincount([manifest.shards[number].queue for number in by_queue], rows, len(manifest.queues))
        if of_queue.astype(np.int64).tolist() != [queue.rows for queue in manifest.queues]:
            raise LayoutError(f"{directory}: the rows of a queue are not those of its shards; pack again")
        self._by_queue = np.array(by_queue, np.int64)
        self._ends = np.cumsum(rows)
        self._begins = self._ends - rows
        self._first_row = np.cumsum([0, *(queue.rows for queue in manifest.queues)])
        self._open: OrderedDict[int, OpenShard] = OrderedDict()
        self._offsets: OrderedDict[int, NDArray[np.int64]] = OrderedDict()
        self._limit = len(manifest.queues) + SPARE

    def find(self, queue: NDArray[np.int64], row: NDArray[np.int64]) -> Places:
        """Where rows of queues lie."""
        row = row + self._first_row[queue]
        place = np.searchsorted(self._ends, row, "right")
        return Places(self._by_queue[place], row - self._begins[place])

    def info(self, number: int) -> ShardInfo:
        """The manifest's entry of a shard."""
        return self._infos[number]

    def open(self, number: int) -> OpenShard:
        """The maps of a shard.  Raises LayoutError when a file is missing or has another size than it should."""
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        info = self._infos[number]
        check_size(files.data_path(self.directory, info.name), info.rows * self._length * files.TOKEN.itemsize)
        head = (info.rows + 1) * files.ROW_START.itemsize
        check_size(files.csr_path(self.directory, info.name), head + info.fragments * files.LENGTH.itemsize)
        check_size(files.segment_path(self.directory, info.name), info.fragments * files.SEGMENT.itemsize)
        starts, lengths = files.map_csr(self.directory, info.name, info.rows)
        made = OpenShard(  # plain arrays: slicing np.memmap costs a Python call each time
            np.asarray(files.map_rows(self.directory, info.name, self._length)),
            np.asarray(starts),
            np.asarray(lengths),
            np.asarray(files.map_segments(self.directory, info.name)),
        )
        self._open[number] = made
        if len(self._open) > self._limit:
            self._open.popitem(last=False)
        return made

    def offsets(self, number: int) -> NDArray[np.int64]:
        """Where each fragment begins in its document, int64[f] tokens: read from the fragment table, then kept."""
        if number in self._offsets:
            self._offsets.move_to_end(number)
            return self._offsets[number]
        import pyarrow.parquet as pq  # 0.2 s and 40 MB that a loader without document positions does not need

        info = self._infos[number]
        path = files.fragment_path(self.directory, info.name)
        column: NDArray[np.int64] = (
            pq.read_table(path, columns=["doc_offset"]).column("doc_offset").to_numpy().astype(np.int64)
        )
        if column.size != info.fragments:
            raise LayoutError(f"{path} has {column.size:,} fragments, the manifest says {info.fragments:,}")
        self._offsets[number] = column
        if len(self._offsets) > self._limit:
            self._offsets.popitem(last=False)
        return column
