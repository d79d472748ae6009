"""One fair stream out of many cells, cut at a budget.

Each cell is a queue of lengths that is served in proportion to its target.  The next item is, among those that
the ideal fluid server would have begun by now, the one that it would finish first: worst-case fair weighted fair
queueing (WF²Q; Bennett and Zhang 1996, theorem 1).  All queues are busy until the end, so whatever the lengths

    −longest ≤ served_i − share_i · total ≤ longest        after every item,

while a merge by any fixed position of each item (its midpoint, its end) has no bound that does not grow with the
number of cells.  The cut at a budget is the item boundary nearest to it, so a smaller budget is a prefix.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.text.kernel import cached_kernel, kernel_function


def fair_prefix(
    lengths: NDArray[np.int64], starts: NDArray[np.int64], target: NDArray[np.float64], budget: float
) -> NDArray[np.int64]:
    """int64[cells]: how many items of each cell are taken.

    lengths: of all items, cell after cell, each > 0; starts: int64[cells + 1]; target: float64[cells] ≥ 0, where 0
    takes nothing.  A cell that runs out gives its turns to the others.
    """
    cells = len(target)
    taken = np.zeros(cells, np.int64)
    keys, heaps = np.empty((2, cells)), np.empty((2, cells), np.int64)
    _fair_prefix(
        lengths, starts, np.ascontiguousarray(target, np.float64), float(np.sum(target)), float(budget), taken,
        np.zeros(cells, np.int64), keys[0], keys[1], heaps[0], heaps[1],
    )  # fmt: skip
    return taken


@kernel_function
def _before(key: Any, a: Any, b: Any) -> Any:
    return key[a] < key[b] or (key[a] == key[b] and a < b)


@kernel_function
def _push(heap: Any, size: Any, key: Any, cell: Any) -> Any:
    """Add a cell to a heap of `size`; returns the new size."""
    at = size
    while at > 0 and _before(key, cell, heap[(at - 1) >> 1]):
        heap[at] = heap[(at - 1) >> 1]
        at = (at - 1) >> 1
    heap[at] = cell
    return size + 1


@kernel_function
def _pop(heap: Any, size: Any, key: Any) -> Any:
    """Move the first cell behind the end of a heap of `size`; returns the new size."""
    size -= 1
    first, cell, at = heap[0], heap[size], 0
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and _before(key, heap[child + 1], heap[child]):
            child += 1
        if _before(key, cell, heap[child]):
            break
        heap[at] = heap[child]
        at = child
    heap[at] = cell
    heap[size] = first
    return size


@cached_kernel
def _fair_prefix(
    lengths: Any, starts: Any, target: Any, whole: Any, budget: Any, taken: Any,
    served: Any, begin: Any, finish: Any, waiting: Any, eligible: Any,
) -> None:  # fmt: skip
    """begin, finish: when the fluid server begins and ends each cell's next item; at 1 all have their targets."""
    waits, ready, total = 0, 0, 0
    for cell in range(len(target)):
        if target[cell] > 0 and starts[cell + 1] > starts[cell]:
            begin[cell], finish[cell] = 0.0, lengths[starts[cell]] / target[cell]
            waits = _push(waiting, waits, begin, cell)
    while total < budget and waits + ready > 0:
        while waits > 0 and (ready == 0 or begin[waiting[0]] <= total / whole):
            waits = _pop(waiting, waits, begin)
            ready = _push(eligible, ready, finish, waiting[waits])
        ready = _pop(eligible, ready, finish)
        cell = eligible[ready]
        at = starts[cell] + taken[cell]
        length = lengths[at]
        if total + length > budget and total + length - budget >= budget - total:
            break
        taken[cell] += 1
        total += length
        served[cell] += length
        if at + 1 < starts[cell + 1]:
            begin[cell] = served[cell] / target[cell]
            finish[cell] = (served[cell] + lengths[at + 1]) / target[cell]
            waits = _push(waiting, waits, begin, cell)


def fair_prefix_reference(lengths: list[list[int]], target: list[float], budget: float) -> list[int]:
    """`fair_prefix` as the definition says it; `lengths` has a list for each cell."""
    taken, served, total = [0] * len(target), [0] * len(target), 0
    whole = float(np.sum(np.array(target)))
    while total < budget:
        left = [i for i, some in enumerate(lengths) if target[i] > 0 and taken[i] < len(some)]
        begun = [i for i in left if served[i] / target[i] <= total / whole]
        if not left:
            break
        begun = begun or [min(left, key=lambda i: (served[i] / target[i], i))]
        cell = min(begun, key=lambda i: ((served[i] + lengths[i][taken[i]]) / target[i], i))
        length = lengths[cell][taken[cell]]
        if total + length > budget and total + length - budget >= budget - total:
            break
        taken[cell] += 1
        served[cell] += length
        total += length
    return taken
