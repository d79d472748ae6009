"""Which row of which queue a global sequence is, for any sequence of a stage, without an index to build.

`order/stageN.u16` names the queue of each sequence; its row is the number of earlier sequences of that queue, in
this stage and the stages before (a later stage goes on where the earlier one ended, so that no row is served
twice).  Counts are kept at every block of sequences, and only as far as somebody has asked: the first batch of
stage 0 costs nothing, resuming at g counts the g sequences before it once.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from packing.layout.files import QUEUE, order_path
from packing.layout.manifest import LayoutError, Manifest

SMALLEST = 1 << 8  # sequences of a block, at least
KEPT = 1 << 22  # counts kept, about: 32 MiB, whatever the number of queues and sequences
READ = 1 << 20  # sequences counted at once


class Schedule:
    """The order of one stage.  Raises LayoutError for a stage that does not exist or an order file of a wrong size."""

    def __init__(self, directory: Path, manifest: Manifest, stage: int) -> None:
        if not 0 <= stage < len(manifest.stages):
            raise LayoutError(f"{directory} has stages 0 to {len(manifest.stages) - 1}, not stage {stage}")
        self.sequences = manifest.stages[stage].sequences
        self._path = order_path(directory, stage)
        self._queues = [queue.name for queue in manifest.queues]
        self._rows = [queue.rows for queue in manifest.queues]
        before = np.zeros(len(self._queues), np.int64)
        for earlier in range(stage):
            path, total = order_path(directory, earlier), manifest.stages[earlier].sequences
            check_size(path, total * QUEUE.itemsize)
            for at in range(0, total, READ):
                before += self._count(read_order(path, at, min(READ, total - at)))
        check_size(self._path, self.sequences * QUEUE.itemsize)
        self._order = np.asarray(np.memmap(self._path, QUEUE, mode="r")) if self.sequences else np.empty(0, QUEUE)
        wanted = len(self._queues) * self.sequences // KEPT
        self._block = max(SMALLEST, 1 << wanted.bit_length())
        self._kept = before[None]  # [blocks, queues]: sequences of each queue before a block
        self._at, self._counts = 0, before.tolist()  # where the last question ended: the next one usually begins there

    def locate(self, start: int, stop: int) -> list[tuple[int, int]]:
        """(queue, row within its queue) of the sequences start … stop - 1."""
        if not 0 <= start <= stop <= self.sequences:
            raise IndexError(f"sequences {start} to {stop} of a stage of {self.sequences}")
        counts = self._before(start)
        found = []
        for queue in self._order[start:stop].tolist():  # a loop: batches have tens of rows, numpy calls cost more
            if queue >= len(counts) or counts[queue] >= self._rows[queue]:
                raise self._damaged(queue)
            found.append((queue, counts[queue]))
            counts[queue] += 1
        self._at, self._counts = stop, counts
        return found

    def locate_one(self, number: int) -> tuple[int, int]:
        """(queue, row) of one sequence: for random access, which needs the count of one queue only."""
        if not 0 <= number < self.sequences:
            raise IndexError(f"sequence {number} of a stage of {self.sequences}")
        block = number // self._block
        while len(self._kept) <= block:
            self._keep_more()
        queue = int(self._order[number])
        if queue >= len(self._rows):
            raise self._damaged(queue)
        row = int(self._kept[block, queue]) + int(
            np.count_nonzero(self._order[block * self._block : number] == self._order[number])
        )
        if row >= self._rows[queue]:
            raise self._damaged(queue)
        return queue, row

    def _before(self, start: int) -> list[int]:
        """Sequences of each queue before `start`."""
        block = start // self._block
        if 0 <= start - self._at <= self._block:
            near, counts = self._at, self._counts
        else:
            while len(self._kept) <= block:
                self._keep_more()
            near, counts = block * self._block, self._kept[block].tolist()
        return (counts + self._count(self._order[near:start])).tolist() if near < start else list(counts)

    def _keep_more(self) -> None:
        """Count the next blocks, about READ sequences."""
        at = (len(self._kept) - 1) * self._block
        part = read_order(self._path, at, min(max(READ, self._block), self.sequences - at))
        if part.max() >= len(self._queues):
            raise self._damaged(int(part.max()))
        blocks = -(-part.size // self._block)
        cell = np.repeat(np.arange(blocks) * len(self._queues), self._block)[: part.size] + part
        counts = np.bincount(cell, minlength=blocks * len(self._queues)).reshape(blocks, -1)
        self._kept = np.concatenate([self._kept, self._kept[-1] + np.cumsum(counts, axis=0)])

    def _damaged(self, queue: int) -> LayoutError:
        what = (
            f"more than {self._rows[queue]} sequences of queue {self._queues[queue]!r}"
            if queue < len(self._rows)
            else f"queue {queue} of {len(self._queues)}"
        )
        return LayoutError(f"{self._path}: {what}; the directory is damaged: verify it or pack again")

    def _count(self, queues: NDArray[np.uint16]) -> NDArray[np.int64]:
        """Sequences of each queue, int64[queues]."""
        counts = np.bincount(queues, minlength=len(self._queues))
        if counts.size > len(self._queues):
            raise self._damaged(counts.size - 1)
        return counts


def read_order(path: Path, start: int, count: int) -> NDArray[np.uint16]:
    """Part of an order file, read and not mapped: pages of a map would count as memory in use."""
    return np.fromfile(path, QUEUE, count, offset=start * QUEUE.itemsize)


def check_size(path: Path, expected: int) -> None:
    """Raises LayoutError when a file is missing or has another size than the manifest says."""
    try:
        found = path.stat().st_size
    except FileNotFoundError:
        raise LayoutError(f"{path} is missing; copy the whole directory again") from None
    if found != expected:
        raise LayoutError(f"{path} has {found:,} bytes, the manifest says {expected:,}; copy the directory again")
