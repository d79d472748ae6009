"""The candidates' lists (shingles or words) brought from the order of shards into partitions that are judged together.

Every input is read once, in order, and every partition's file is written and read once, in order: there is
no random access over the corpus.  A partition's lists lie in order of position.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

BUFFER = 64 << 10


class ListPartitions:
    """uint32 lists, appended to the partitions' files in order of position."""

    def __init__(self, folder: Path, count: int) -> None:
        folder.mkdir()
        self._paths = [folder / f"{number}.lists" for number in range(count)]
        self._files = [open(path, "wb", buffering=BUFFER) for path in self._paths]  # noqa: SIM115  (closed by `seal`)

    def append(self, partition: NDArray[np.uint32], lists: pa.LargeListArray) -> None:
        """Add each list to the partition named beside it."""
        order = np.argsort(partition.astype(np.uint16), kind="stable")
        lists = lists.take(pa.array(order))
        values = np.asarray(lists.flatten())
        ends = np.asarray(lists.offsets)[1:] - lists.offsets[0].as_py()
        numbers, last = np.unique(partition[order][::-1], return_index=True)
        start = 0
        for number, end in zip(numbers.tolist(), ends[len(order) - 1 - last].tolist(), strict=True):
            self._files[number].write(np.ascontiguousarray(values[start:end]).data)
            start = end

    def seal(self) -> None:
        """To be called between the last `append` and the first `read`."""
        for file in self._files:
            file.close()

    def read(self, number: int) -> NDArray[np.uint32]:
        """One partition's values, mapped into memory: only what is compared is held."""
        if self._paths[number].stat().st_size == 0:
            return np.empty(0, np.uint32)
        mapped = np.memmap(self._paths[number], np.uint32, mode="c")  # private: numba compiles for one type of array
        return np.asarray(mapped)

    def drop(self, number: int) -> None:
        """The partition's file is needed no more."""
        self._paths[number].unlink()
