"""Greedy stars: in survivor order, a document is kept unless it is a near-duplicate of a kept one.

So every removed document points to one kept document that it was compared with; nothing is removed
because of a chain.  Documents of an index come first and stay.  Work is bounded: a band key leads to at most
BUCKET kept documents, a document is compared with at most COMPARISONS of them, those that share most
bands first.  What is cut counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.dedup import verify
from curation.dedup.verify import count_common
from curation.text.kernel import cached_kernel, kernel_function, source_digest

BUCKET = 128
COMPARISONS = 128
LATER = np.uint64(0xFFFF)  # minus shared bands: most shared bands come first
OTHER = np.uint64(0xFFFF_FFFF)

DOCUMENT, WAITING, TRIES, PENDING, SHARED, COMMON = range(6)  # fields of the kernel's state
COUNTERS = ("comparisons", "comparisons_cut", "full_buckets")
NO_ANSWER, NO, YES = -1, 0, 1


@dataclass(frozen=True)
class Group:
    """Documents that are judged together, in survivor order."""

    first: NDArray[np.int64]  # of its shingles in `values`
    length: NDArray[np.int64]
    values: NDArray[np.uint32]
    settled: NDArray[np.bool_]  # kept without being judged
    starts: NDArray[np.int64]  # n + 1 borders of each document's part of `buckets`
    buckets: NDArray[np.int32]  # numbers of the buckets it is in, from 0


@dataclass(frozen=True)
class Thresholds:
    """A pair is alike at this Jaccard similarity or this containment."""

    jaccard: float
    containment: float


@dataclass(frozen=True)
class Verdicts:
    """By document: whom it points to (−1: it is kept), shingles in common with it, bands shared."""

    kept: NDArray[np.int64]
    common: NDArray[np.int64]
    bands: NDArray[np.int64]


Judge = Callable[[int, int], bool]  # documents of a group that are alike by Jaccard -> whether they really are


def resolve(group: Group, thresholds: Thresholds, judge: Judge | None, counts: Counter[str]) -> Verdicts:
    """Decide about every document of a group; `judge` has the last word on pairs alike by Jaccard only."""
    n = len(group.length)
    room = np.minimum(np.bincount(group.buckets, minlength=1), BUCKET)
    slots = np.concatenate([[0], np.cumsum(room)]).astype(np.int64)  # borders of each bucket's slots
    most = int(np.diff(group.starts).max(initial=0)) * BUCKET
    verdicts = Verdicts(np.full(n, -1, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64))
    state = np.zeros(6, np.int64)
    counters = np.zeros(len(COUNTERS), np.int64)
    scratch = (
        slots,
        np.zeros(len(room), np.int32),
        np.empty(int(slots[-1]), np.int32),
        np.zeros(n, np.int32),
        np.empty(min(most, n), np.uint64),
    )
    answer = NO_ANSWER
    del room
    while _advance(
        state, answer, judge is not None, group.first, group.length, group.values, group.settled, group.starts,
        group.buckets, thresholds.jaccard, thresholds.containment, COMPARISONS, *scratch,
        verdicts.kept, verdicts.common, verdicts.bands, counters,
    ):  # fmt: skip
        assert judge is not None
        answer = YES if judge(int(state[DOCUMENT]), int(state[PENDING])) else NO
    counts.update(dict(zip(COUNTERS, counters.tolist(), strict=True)))
    return verdicts


@kernel_function
def _sink(heap, i, size):  # type: ignore[no-untyped-def]
    """Restore the heap (smallest first) below place i."""
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[i] <= heap[child]:
            break
        heap[i], heap[child] = heap[child], heap[i]
        i = child


@kernel_function
def _gather(mine, slots, fill, members, shared, heap):  # type: ignore[no-untyped-def]
    """Kept documents of the buckets as a heap, most shared bands first, then survivor order; returns how many."""
    count = 0
    for b in mine:
        for slot in range(slots[b], slots[b] + fill[b]):
            other = members[slot]
            if shared[other] == 0:
                heap[count] = np.uint64(other)
                count += 1
            shared[other] += 1
    for i in range(count):
        other = heap[i]
        heap[i] = (LATER - np.uint64(shared[other])) << np.uint64(32) | other
        shared[other] = 0
    for i in range(count // 2 - 1, -1, -1):
        _sink(heap, i, count)
    return count


def _build_advance(sources: int) -> Any:
    """The kernel; closing over `sources` makes the digest part of the machine code's cache key."""

    def advance(  # type: ignore[no-untyped-def]
        state, answer, ask, first, length, values, settled, starts, buckets, jaccard, containment, comparisons,
        slots, fill, members, shared, heap, kept, common_out, bands_out, counters,
    ):  # fmt: skip
        """Judge until all are done (False) or a pair must be asked about (True: `answer` comes with the next call)."""
        resumed = answer >= 0 and sources >= 0
        document, waiting, tries = state[0], state[1], state[2]
        while document < len(length):
            mine = buckets[starts[document] : starts[document + 1]]
            if not resumed:
                waiting, tries = 0, 0
                if not settled[document]:
                    waiting = _gather(mine, slots, fill, members, shared, heap)
                    counters[1] += max(waiting - comparisons, 0)
            winner = np.int64(-1)
            while True:
                if resumed:
                    resumed = False
                    if answer == YES:
                        winner = np.int64(state[3])
                        break
                if waiting == 0 or tries == comparisons:
                    break
                other = np.int64(heap[0] & OTHER)
                shared_bands = np.int64(LATER - (heap[0] >> np.uint64(32)))
                waiting -= 1
                heap[0] = heap[waiting]
                _sink(heap, 0, waiting)
                tries += 1
                counters[0] += 1
                a, b = length[document], length[other]
                common = count_common(
                    values[first[document] : first[document] + a], values[first[other] : first[other] + b]
                )
                contained = common / min(a, b) >= containment
                if contained or common / (a + b - common) >= jaccard:
                    state[3], state[4], state[5] = other, shared_bands, common
                    if ask and not contained:
                        state[0], state[1], state[2] = document, waiting, tries
                        return True
                    winner = other
                    break
            if winner >= 0:
                kept[document], bands_out[document], common_out[document] = winner, state[4], state[5]
            else:
                for b in mine:
                    if slots[b] + fill[b] < slots[b + 1]:
                        members[slots[b] + fill[b]] = document
                        fill[b] += 1
                    else:
                        counters[2] += 1
            document += 1
        return False

    return cached_kernel(advance)


_advance = _build_advance(source_digest(verify))
