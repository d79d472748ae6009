"""Where sequences lie: shard and row of each, and as runs of rows that follow each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# (at, shard, row, size): sequences at … at + size - 1 of a batch follow each other in `shard` from `row` on.
Run = tuple[int, int, int, int]


@dataclass(frozen=True)
class Places:
    """int64[n] each: number of the shard in the manifest, and the row in it, of n sequences."""

    shard: NDArray[np.int64]
    row: NDArray[np.int64]

    def __len__(self) -> int:
        return self.shard.size

    def take(self, chosen: Sequence[int] | slice) -> Places:
        """These of the sequences."""
        return Places(self.shard[chosen], self.row[chosen])

    def runs(self, rows: int) -> list[list[Run]]:
        """Of every batch of `rows` sequences, in as few runs as their order allows."""
        found: list[list[Run]] = []
        begin, ahead = 0, (-1, 0)  # ahead: what would go on with the run that began at `begin`
        shards, places = self.shard.tolist(), self.row.tolist()  # a loop: most calls are for a few sequences
        for at, here in enumerate(zip(shards, places, strict=True)):
            if here != ahead or not at % rows:
                if at:
                    found[-1].append((begin % rows, shards[begin], places[begin], at - begin))
                begin = at
                if not at % rows:
                    found.append([])
            ahead = here[0], here[1] + 1
        if found:
            found[-1].append((begin % rows, shards[begin], places[begin], len(self) - begin))
        return found


def joined(parts: Sequence[Places]) -> Places:
    """One after the other; at least one."""
    return Places(np.concatenate([one.shard for one in parts]), np.concatenate([one.row for one in parts]))


def ranges(first: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """first[i] … first[i] + counts[i] - 1 of every i, one after the other."""
    ends = np.cumsum(counts)
    made: NDArray[np.int64] = np.repeat(first - ends + counts, counts)
    made += np.arange(made.size)
    return made
