"""Which rows of a global batch a rank gets so that all have equal attention cost.

Softmax attention over packed fragments costs Σ l² of the row, which differs by orders of magnitude between rows; the
slowest rank sets the pace.  Only who computes what changes, never what is in the global batch.  Reference §3.7.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

from packing.loader.segments import segment_sizes


def attention_costs(
    counts: NDArray[np.int64], lengths: NDArray[np.uint32], sequence_length: int
) -> NDArray[np.float64]:
    """Σ l² of each row over its fragments and its padding, float64[R]; arguments as of `segment_sizes`."""
    sizes, _ = segment_sizes(counts, lengths, np.full(counts.size, sequence_length))
    squares = np.square(sizes.astype(np.float64))
    row = np.searchsorted(np.cumsum(sizes), np.arange(1, counts.size + 1) * sequence_length)  # last segment of each row
    total = np.concatenate([[0.0], np.cumsum(squares)])
    return np.diff(total[np.concatenate([[0], row + 1])])


def balanced_parts(costs: NDArray[np.float64], parts: int) -> list[list[int]]:
    """`parts` sets of equally many rows with nearly equal Σ cost; rows of a part stay in order.

    Longest processing time first (Graham 1969): rows by falling cost, each to the part that has least so far and
    is not full.  Ties by number, so every rank computes the same.
    """
    size = costs.size // parts
    made: list[list[int]] = [[] for _ in range(parts)]
    heap = [(0.0, part) for part in range(parts)]
    heapify(heap)
    for row in np.argsort(-costs, kind="stable").tolist():
        load, part = heappop(heap)
        made[part].append(row)
        if len(made[part]) < size:
            heappush(heap, (load + float(costs[row]), part))
    return [sorted(part) for part in made]
