"""Pairs of 64-bit numbers split into partitions, in memory up to a limit and beyond it on disk.

A sort that does not fit in memory: each partition is read back alone.  What is read back is the order in
which it was added, so results do not depend on when something was spilled.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PAIR = np.dtype([("key", np.uint64), ("value", np.int64)])
MEMORY = 48 << 20  # bytes of pairs that wait for the disk
PARTITION_BYTES = 16 << 20  # of one partition: what its reader sorts in memory
MOST_PARTITIONS = 4096


class PairPartitions:
    """`add` pairs in any number of calls, then `take` each partition once."""

    def __init__(self, folder: Path, count: int, memory: int | None = None) -> None:
        folder.mkdir()
        self._folder, self._held = folder, 0
        self._memory = MEMORY if memory is None else memory
        self._waiting: list[list[NDArray[np.void]]] = [[] for _ in range(count)]

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, partition: NDArray[np.integer], key: NDArray[np.uint64], value: NDArray[np.int64]) -> None:
        """Append pairs to the partitions named beside them."""
        pairs = np.empty(len(key), PAIR)
        if len(self) == 1:
            pairs["key"], pairs["value"] = key, value
            self._waiting[0].append(pairs)
        else:
            order = np.argsort(partition.astype(np.uint16), kind="stable")  # 16 bits: a radix sort
            pairs["key"], pairs["value"] = key[order], value[order]
            ends = np.cumsum(np.bincount(partition.astype(np.int64), minlength=len(self))).tolist()
            start = 0
            for waiting, end in zip(self._waiting, ends, strict=True):
                if end > start:
                    waiting.append(pairs[start:end])
                start = end
        self._held += pairs.nbytes
        if self._held > self._memory:
            self._spill()

    def take(self, number: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """(keys, values) of one partition, which is forgotten."""
        path = self._path(number)
        parts, self._waiting[number] = self._waiting[number], []
        if path.exists():
            parts = [np.fromfile(path, PAIR), *parts]
            path.unlink()
        whole = np.concatenate(parts) if parts else np.empty(0, PAIR)
        return np.ascontiguousarray(whole["key"]), np.ascontiguousarray(whole["value"])

    def _spill(self) -> None:
        for number, waiting in enumerate(self._waiting):
            if waiting:
                with open(self._path(number), "ab") as file:
                    for pairs in waiting:
                        file.write(pairs.data)
                waiting.clear()
        self._held = 0

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.pairs"


def partitions_for(pairs: int) -> int:
    """How many partitions that many pairs are split into: a power of two."""
    wanted = -(-pairs * PAIR.itemsize // PARTITION_BYTES)
    return min(1 << max(wanted - 1, 0).bit_length(), MOST_PARTITIONS)


def prefix(key: NDArray[np.uint64], partitions: int) -> NDArray[np.uint64]:
    """The partition of evenly distributed keys by their highest bits; `partitions` is a power of two."""
    bits = partitions.bit_length() - 1
    return key >> np.uint64(64 - bits) if bits else np.zeros(len(key), np.uint64)
