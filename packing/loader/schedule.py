"""Which row of which queue a global sequence is, for any sequence of a stage, without an index to build.

`order/stageN.u16` names the queue of each sequence; its row is the number of earlier sequences of that queue, in
this stage and the stages before (a later stage goes on where the earlier one ended, so that no row is served
twice).  Counts are kept at every block of sequences, and only as far as somebody has asked: the first batch of
stage 0 costs nothing, resuming at g counts the g sequences before it once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from packing.layout.files import QUEUE, order_path
from packing.layout.manifest import LayoutError, Manifest

SMALLEST = 1 << 8  # sequences of a block, at least
KEPT = 1 << 22  # counts kept, about: 32 MiB, whatever the number of queues and sequences
READ = 1 << 20  # sequences counted at once

Located = tuple[NDArray[np.int64], NDArray[np.int64]]  # queue, and row within the queue, of some sequences


class Schedule:
    """The order of one stage.  Raises LayoutError for a stage that does not exist or an order file of a wrong size."""

    def __init__(self, directory: Path, manifest: Manifest, stage: int) -> None:
        if not 0 <= stage < len(manifest.stages):
            raise LayoutError(f"{directory} has stages 0 to {len(manifest.stages) - 1}, not stage {stage}")
        self.sequences = manifest.stages[stage].sequences
        self._path = order_path(directory, stage)
        self._queues = [queue.name for queue in manifest.queues]
        self._rows = np.array([queue.rows for queue in manifest.queues], np.int64)
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
        self._at, self._counts = 0, before  # where the last question ended: the next one usually begins there

    def locate(self, start: int, stop: int) -> Located:
        """Of the sequences start … stop - 1."""
        if not 0 <= start <= stop <= self.sequences:
            raise IndexError(f"sequences {start} to {stop} of a stage of {self.sequences}")
        before, order = self._before(start), self._order[start:stop]
        if len(self._rows) == 1 and not order.any() and before[0] + order.size <= self._rows[0]:  # nothing to count
            self._at, self._counts = stop, before + order.size
            return np.zeros(order.size, np.int64), np.arange(before[0], before[0] + order.size)
        counts = self._count(order)
        if (before + counts > self._rows).any():
            raise self._damaged(int(np.argmax(before + counts > self._rows)))
        self._at, self._counts = stop, before + counts
        row = np.empty(order.size, np.int64)
        by_queue = np.argsort(order, kind="stable")  # of 16 bits: a radix sort
        row[by_queue] = np.arange(order.size) + np.repeat(before - np.cumsum(counts) + counts, counts)
        return order.astype(np.int64), row

    def locate_each(self, numbers: Sequence[int]) -> Located:
        """Of any sequences: for random access, which needs the count of one queue each."""
        queues, rows = [], []
        least, most = min(numbers, default=0), max(numbers, default=-1)
        if least < 0 or most >= self.sequences:
            raise IndexError(f"sequences {least} to {most} of a stage of {self.sequences}")
        if len(self._rows) == 1 and len(numbers) and not self._order[numbers].any():  # one queue: nothing to count
            row = np.array(numbers, np.int64) + self._kept[0, 0]
            if row.max() < self._rows[0]:
                return np.zeros(len(numbers), np.int64), row
        while len(self._kept) <= most // self._block:
            self._keep_more()
        for number in numbers:
            block = number // self._block
            before = self._order[block * self._block : number + 1]  # and the sequence itself
            queue = int(before[-1])
            if queue >= len(self._rows):
                raise self._damaged(queue)
            row = int(self._kept[block, queue]) + int(np.count_nonzero(before == before[-1])) - 1
            if row >= self._rows[queue]:
                raise self._damaged(queue)
            queues.append(queue)
            rows.append(row)
        return np.array(queues, np.int64), np.array(rows, np.int64)

    def _before(self, start: int) -> NDArray[np.int64]:
        """Sequences of each queue before `start`."""
        block = start // self._block
        if 0 <= start - self._at <= self._block:
            near, counts = self._at, self._counts
        else:
            while len(self._kept) <= block:
                self._keep_more()
            near, counts = block * self._block, self._kept[block]
        return counts + self._count(self._order[near:start]) if near < start else counts

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
