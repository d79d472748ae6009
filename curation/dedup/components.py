"""Which candidates must be judged together: components of shared buckets, gathered into partitions of bounded size.

Memory: one bit for every document (`RankedSet`), and for every candidate 4 bytes of union-find (later its
partition), 4 of its length and 4 of its component's weight (later its place in the partition).  What is
judged is every pair inside a bucket, so partitions that keep components whole give the same verdicts
whatever their size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.dedup.band_buckets import bucket_members, bucket_rows
from curation.dedup.inputs import read_lengths, row_counts
from curation.dedup.ranked import RankedSet
from curation.pipeline.context import TaskContext
from curation.text.kernel import cached_kernel

PARTITION = 16 << 20  # weight of a partition: 4-byte units of its shingles and of its memberships
MEMBERSHIP = 8  # units that a membership takes while it is judged
MOST_PARTITIONS = 4096  # files of each kind


@dataclass(frozen=True)
class Candidates:
    """All documents that share a bucket with another."""

    members: RankedSet
    length: NDArray[np.uint32]  # distinct shingles, by rank
    partition: NDArray[np.uint32]  # by rank
    place: NDArray[np.uint32]  # in its partition, in order of rank; by rank
    partitions: int


def find_candidates(context: TaskContext) -> Candidates:
    """Read the buckets twice: once for who is in them, once to unite."""
    members = RankedSet(row_counts(context))
    for positions in bucket_members(context):
        members.add(positions)
    members.seal()
    parent = np.arange(members.size, dtype=np.uint32)
    weight = np.zeros(members.size, np.uint32)
    unite_all(((keys, members.rank(positions)) for keys, positions in bucket_rows(context)), parent, weight)
    length = np.zeros(members.size, np.uint32)
    for positions, lengths in read_lengths(context):
        here = members.holds(positions)
        length[members.rank(positions[here])] = lengths[here]
    partitions = int(_partition(parent, weight, length, np.zeros(MOST_PARTITIONS, np.uint32), np.uint64(PARTITION)))
    return Candidates(members, length, parent, weight, partitions)


def unite_all(
    rows: Iterator[tuple[NDArray[np.uint64], NDArray[np.uint32]]],
    parent: NDArray[np.uint32],
    weight: NDArray[np.uint32],
) -> None:
    """Unite what shares a key (equal keys follow each other); add what each document's memberships weigh."""
    key, rank = np.uint64(0), -1
    for keys, ranks in rows:
        key, rank = _unite(parent, weight, keys, ranks, np.uint64(key), rank)


def _build_unite(sources: int) -> Any:
    def unite_neighbours(parent, weight, keys, ranks, key, rank):  # type: ignore[no-untyped-def]
        """Unite ranks that follow each other under one key; returns the last (key, rank) for the next call."""
        for i in range(len(keys) if sources >= 0 else 0):
            this = np.int64(ranks[i])
            weight[this] += MEMBERSHIP
            if rank >= 0 and keys[i] == key:
                x, y = rank, this
                while parent[x] != x:
                    parent[x] = parent[parent[x]]
                    x = np.int64(parent[x])
                while parent[y] != y:
                    parent[y] = parent[parent[y]]
                    y = np.int64(parent[y])
                parent[max(x, y)] = np.uint32(min(x, y))  # the root is a component's first document
            key, rank = keys[i], this
        return key, rank

    return cached_kernel(unite_neighbours)


def _build_partition(sources: int) -> Any:
    def cut_partitions(parent, weight, length, held_by, limit):  # type: ignore[no-untyped-def]
        """Turn parents into numbers of partitions, filled with whole components in order, and weights into places.

        Returns how many partitions there are.
        """
        total = np.uint64(0 if sources >= 0 else 1)
        full = np.uint64(0xFFFF_FFFF)
        for i in range(len(parent)):  # parents come before children: roots are final when they are reached
            root = parent[parent[i]]
            parent[i] = root
            own = np.uint64(length[i]) + np.uint64(weight[i])
            total += own
            if root == i:
                weight[i] = np.uint32(min(own, full))
            else:
                weight[root] = np.uint32(min(np.uint64(weight[root]) + own, full))
        most = np.uint64(len(held_by))
        limit = max(limit, np.uint64(2) * total // most + np.uint64(1))  # any two neighbours hold more than it
        number, held = 0, np.uint64(0)
        for i in range(len(parent)):
            if parent[i] == i:
                own = np.uint64(weight[i])
                if held > 0 and held + own > limit:
                    number += 1
                    held = np.uint64(0)
                held += own
                weight[i] = np.uint32(number)
        for i in range(len(parent)):
            parent[i] = weight[parent[i]]  # only a root's weight is a number, and only roots are looked up
        for i in range(len(parent)):
            weight[i] = held_by[parent[i]]
            held_by[parent[i]] += np.uint32(1)
        return number + 1 if len(parent) else 0

    return cached_kernel(cut_partitions)


_unite = _build_unite(0)
_partition = _build_partition(0)
