"""A scratch file of integer lists: written once in any order, read one at a time, bounded in memory.

The verdict on near-duplicates needs the shingles of candidates in survivor order, which is not the
order of the shards; only candidates' lists are copied here, and only recent ones are held.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CACHE_BYTES = 24 << 20
ENTRY_BYTES = 400  # of the objects around one list


class ListFile:
    """uint32 lists addressed by the index of their first value."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "wb+", buffering=1 << 20)  # noqa: SIM115  (closed by `close`)
        self._values = 0
        self._cache: OrderedDict[int, NDArray[np.uint32]] = OrderedDict()
        self._cached_bytes = 0

    def append(self, values: NDArray[np.uint32]) -> int:
        """Add lists that follow each other; returns the index of their first value."""
        start = self._values
        self._file.write(np.ascontiguousarray(values).data)
        self._values += len(values)
        return start

    def seal(self) -> None:
        """To be called between the last `append` and the first `read`."""
        self._file.flush()

    def read(self, start: int, length: int) -> NDArray[np.uint32]:
        """The list of `length` values at `start`; raises OSError where the file does not hold it."""
        if start in self._cache:
            self._cache.move_to_end(start)
            return self._cache[start]
        data = os.pread(self._file.fileno(), 4 * length, 4 * start)
        if len(data) != 4 * length:
            raise OSError(f"the scratch file holds {len(data)} bytes where {4 * length} were written")
        values = np.frombuffer(data, np.uint32)
        self._cache[start] = values
        self._cached_bytes += values.nbytes + ENTRY_BYTES
        while self._cached_bytes > CACHE_BYTES and len(self._cache) > 1:
            self._cached_bytes -= self._cache.popitem(last=False)[1].nbytes + ENTRY_BYTES
        return values

    def close(self) -> None:
        self._file.close()
