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
        self._rows = np.array([queue.rows for queue in manifest.queues], np.int64)
        before = np.zeros(len(self._queues), np.int64)
        for earlier in range(stage):
            path = order_path(directory, earlier)
            check_size(path, manifest.stages[earlier].sequences * QUEUE.itemsize)
            before += self._count(np.memmap(path, QUEUE, mode="r")) if path.stat().st_size else 0
        check_size(self._path, self.sequences * QUEUE.itemsize)
        self._order = np.asarray(np.memmap(self._path, QUEUE, mode="r")) if self.sequences else np.empty(0, QUEUE)
        self._kept = [before]
        self._at, self._counts = 0, before  # where the last question ended: the next one usually begins there

    def locate(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(queue int64[n], row within its queue int64[n]) of the sequences start … stop - 1."""
        if not 0 <= start <= stop <= self.sequences:
            raise IndexError(f"sequences {start} to {stop} of a stage of {self.sequences}")
        counts = self._before(start)
        queue = self._order[start:stop].astype(np.int64)
        here = self._count(queue)
        by_queue = np.argsort(queue, kind="stable")
        first = np.cumsum(here) - here  # where a queue's sequences begin in `by_queue`
        row = np.empty_like(queue)
        grouped = queue[by_queue]
        row[by_queue] = np.arange(queue.size) - first[grouped] + counts[grouped]
        self._at, self._counts = stop, counts + here
        if np.any(self._counts > self._rows):
            short = int(np.argmax(self._counts > self._rows))
            raise LayoutError(
                f"{self._path}: more than {self._rows[short]} sequences of queue {self._queues[short]!r}, which has no "
                "more rows; the directory is damaged: verify it or pack again"
            )
        return queue, row

    def _before(self, start: int) -> NDArray[np.int64]:
        """Sequences of each queue before `start`."""
        block = start // BLOCK
        while len(self._kept) <= block:
            at = (len(self._kept) - 1) * BLOCK
            self._kept.append(self._kept[-1] + self._count(self._order[at : at + BLOCK]))
        near = self._at if block * BLOCK <= self._at <= start else block * BLOCK
        counts = self._counts if near == self._at else self._kept[block]
        return counts + self._count(self._order[near:start]) if near < start else counts

    def _count(self, queues: NDArray[np.unsignedinteger] | NDArray[np.int64]) -> NDArray[np.int64]:
        """Sequences of each queue, int64[queues]."""
        total = np.zeros(len(self._queues), np.int64)
        for at in range(0, len(queues), READ):
            part = np.bincount(queues[at : at + READ], minlength=total.size)
            if part.size > total.size:
                raise LayoutError(f"{self._path}: queue {part.size - 1} of {total.size}; verify the directory")
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
