"""What is known of the candidates, brought from the order of shards into partitions that are judged together.

Every input is read once, in order, and every partition's file is written and read once, in order: there is
no random access over the corpus.  What is read back is the order in which it was added.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

BUFFER = 16 << 20  # bytes that wait for the disk


class FilePartitions:
    """Numbers of one type, or lists of them, appended to the partitions' files."""

    def __init__(self, folder: Path, count: int, dtype: type[np.generic] = np.uint32) -> None:
        folder.mkdir()
        self._dtype, self._held = np.dtype(dtype), 0
        self._paths = [folder / str(number) for number in range(count)]
        self._waiting: list[list[NDArray[Any]]] = [[] for _ in range(count)]

    def append(self, partition: NDArray[np.uint32], values: NDArray[Any]) -> None:
        """Add each number to the partition named beside it."""
        order = np.argsort(partition.astype(np.uint16), kind="stable")  # 16 bits: a radix sort
        self._add(partition[order], values[order].astype(self._dtype), np.arange(1, len(order) + 1))

    def append_lists(self, partition: NDArray[np.uint32], lists: pa.LargeListArray) -> None:
        """Add each list's numbers to the partition named beside it."""
        order = np.argsort(partition.astype(np.uint16), kind="stable")
        lists = lists.take(pa.array(order))
        ends = np.asarray(lists.offsets)[1:] - lists.offsets[0].as_py()
        self._add(partition[order], np.asarray(lists.flatten()).astype(self._dtype, copy=False), ends)

    def seal(self) -> None:
        """To be called between the last addition and the first `read`."""
        for path, waiting in zip(self._paths, self._waiting, strict=True):
            if waiting:
                with open(path, "ab") as file:
                    for values in waiting:
                        file.write(values.data)
                waiting.clear()
        self._held = 0

    def read(self, number: int) -> NDArray[Any]:
        """One partition's numbers, mapped into memory: only what is looked at is held."""
        path = self._paths[number]
        if not path.exists() or path.stat().st_size == 0:
            return np.empty(0, self._dtype)
        mapped = np.memmap(path, self._dtype, mode="c")  # private: numba compiles for one type of array
        return np.asarray(mapped)

    def drop(self, number: int) -> None:
        """The partition's file is needed no more."""
        self._paths[number].unlink(missing_ok=True)

    def _add(self, partition: NDArray[np.uint32], values: NDArray[Any], ends: NDArray[np.int64]) -> None:
        """Keep for each partition what ends at the last of its `ends`; partitions ascend."""
        numbers, last = np.unique(partition[::-1], return_index=True)
        start = 0
        for number, end in zip(numbers.tolist(), ends[len(partition) - 1 - last].tolist(), strict=True):
            self._waiting[number].append(values[start:end])
            start = end
        self._held += values.nbytes
        if self._held > BUFFER:
            self.seal()
