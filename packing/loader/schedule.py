"""Which row of which queue a global sequence is, for any sequence of a stage, without an index to build.

`order/stageN.u16` names the queue of each sequence; its row is the number of earlier sequences of that queue, in
this stage and the stages before (a later stage goes on where the earlier one ended, so that no row is served
twice).  Counts are kept at every BLOCK sequences, and only as far as somebody has asked: the first batch of a
stage 0 costs nothing, resuming at g counts g sequences once (about 1 ns each).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from packing.layout.files import QUEUE, order_path
from packing.layout.manifest import LayoutError, Manifest

BLOCK = 1 << 14  # sequences between two kept counts: 20 µs to count one, 16 KiB of counts per million at 32 queues
READ = 1 << 22  # sequences counted at once


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
            path = order_path(directory, earlier)
            check_size(path, manifest.stages[earlier].sequences * QUEUE.itemsize)
            before += self._count(np.memmap(path, QUEUE, mode="r")) if path.stat().st_size else 0
        check_size(self._path, self.sequences * QUEUE.itemsize)
        self._order = np.asarray(np.memmap(self._path, QUEUE, mode="r")) if self.sequences else np.empty(0, QUEUE)
        self._kept = [before]
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

    def _before(self, start: int) -> list[int]:
        """Sequences of each queue before `start`."""
        block = start // BLOCK
        if block * BLOCK <= self._at <= start:
            near, counts = self._at, self._counts
        else:
            while len(self._kept) <= block:
                at = (len(self._kept) - 1) * BLOCK
                self._kept.append(self._kept[-1] + self._count(self._order[at : at + BLOCK]))
            near, counts = block * BLOCK, self._kept[block].tolist()
        return (counts + self._count(self._order[near:start])).tolist() if near < start else list(counts)

    def _damaged(self, queue: int) -> LayoutError:
        what = (
            f"more than {self._rows[queue]} sequences of queue {self._queues[queue]!r}"
            if queue < len(self._rows)
            else f"queue {queue} of {len(self._queues)}"
        )
        return LayoutError(f"{self._path}: {what}; the directory is damaged: verify it or pack again")

    def _count(self, queues: NDArray[np.uint16]) -> NDArray[np.int64]:
        """Sequences of each queue, int64[queues]."""
        total = np.zeros(len(self._queues), np.int64)
        for at in range(0, len(queues), READ):
            part = np.bincount(queues[at : at + READ], minlength=total.size)
            if part.size > total.size:
                raise self._damaged(part.size - 1)
            total += part
        return total


def check_size(path: Path, expected: int) -> None:
    """Raises LayoutError when a file is missing or has another size than the manifest says."""
    try:
        found = path.stat().st_size
    except FileNotFoundError:
        raise LayoutError(f"{path} is missing; copy the whole directory again") from None
    if found != expected:
        raise LayoutError(f"{path} has {found:,} bytes, the manifest says {expected:,}; copy the directory again")
