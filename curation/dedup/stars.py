"""Greedy stars: in survivor order, a document is kept unless it is a near-duplicate of a kept one.

So every removed document points to one kept document that it was compared with; nothing is removed
because of a chain.  Work is bounded: a band key leads to at most BUCKET kept documents, a document
is compared with at most COMPARISONS of them, those that share most bands first.  What is cut counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.dedup.candidates import Chunk
from curation.dedup.verify import Scores
from curation.text.kernel import cached_kernel

BUCKET = 128
COMPARISONS = 128

Judge = Callable[[int, int], Scores | None]  # documents of a chunk -> scores where they are near-duplicates


@dataclass(frozen=True, slots=True)
class Removal:
    """One removed document of a chunk and the kept one that it points to."""

    removed: int
    kept: int
    scores: Scores
    bands: int


def resolve(chunk: Chunk, judge: Judge, counts: Counter[str]) -> Iterator[Removal]:
    """Decide about every document of a chunk, in its order."""
    _, bucket, size = np.unique(chunk.keys, return_inverse=True, return_counts=True)
    room = np.minimum(size, BUCKET)
    first = np.cumsum(room) - room
    members = np.empty(int(room.sum()), np.int32)
    fill = np.zeros(len(room), np.int32)
    shared = np.zeros(len(chunk.ends), np.int32)
    found = np.empty(len(chunk.ends), np.int32)
    start = 0
    for document, end in enumerate(chunk.ends.tolist()):
        buckets = bucket[start:end]
        start = end
        n = int(_gather(buckets, first, fill, members, shared, found))
        removal = _judge(document, found[:n], shared, judge, counts) if n else None
        shared[found[:n]] = 0
        if removal is None:
            counts["full_buckets"] += int(_enter(document, buckets, first, room, fill, members))
        else:
            yield removal


def _judge(
    document: int, found: NDArray[np.int32], shared: NDArray[np.int32], judge: Judge, counts: Counter[str]
) -> Removal | None:
    """The first kept document that it is a near-duplicate of: most shared bands first, then survivor order."""
    bands = shared[found]
    order = np.lexsort((found, -bands))
    counts["comparisons_cut"] += max(len(order) - COMPARISONS, 0)
    for i in order[:COMPARISONS].tolist():
        counts["comparisons"] += 1
        scores = judge(document, int(found[i]))
        if scores is not None:
            return Removal(document, int(found[i]), scores, int(bands[i]))
    return None


def _build_gather(sources: int) -> Any:
    def gather_kept(buckets, first, fill, members, shared, found):  # type: ignore[no-untyped-def]
        """Kept documents in the buckets, each once, and in `shared` in how many buckets; returns how many."""
        count = 0 if sources >= 0 else -1
        for b in buckets:
            for slot in range(first[b], first[b] + fill[b]):
                other = members[slot]
                if shared[other] == 0:
                    found[count] = other
                    count += 1
                shared[other] += 1
        return count

    return cached_kernel(gather_kept)


def _build_enter(sources: int) -> Any:
    def enter_kept(document, buckets, first, room, fill, members):  # type: ignore[no-untyped-def]
        """Put a kept document into its buckets; returns how many of them were full."""
        full = 0 if sources >= 0 else -1
        for b in buckets:
            if fill[b] < room[b]:
                members[first[b] + fill[b]] = document
                fill[b] += 1
            else:
                full += 1
        return full

    return cached_kernel(enter_kept)


_gather = _build_gather(0)
_enter = _build_enter(0)
