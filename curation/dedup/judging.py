"""The verdicts: what is known of candidates is brought together by component, then each partition is judged alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.dedup.band_buckets import bucket_rows
from curation.dedup.components import Candidates
from curation.dedup.edits import EditJudge
from curation.dedup.inputs import Positions, first_old, read_shingles
from curation.dedup.lists import FilePartitions
from curation.dedup.stars import Group, Thresholds, resolve
from curation.pipeline.context import TaskContext
from curation.text.kernel import cached_kernel

REMOVALS = "position bigint, kept bigint, jaccard double, containment double, bands integer"
MOST_DOCUMENTS = 1 << 31  # in a component: a membership is 31 bits of place and one that says where a bucket starts


@dataclass(frozen=True)
class Gathered:
    """By partition: positions and shingles of its documents in order of place, its buckets one after the other."""

    positions: FilePartitions  # int64
    shingles: FilePartitions  # uint32
    memberships: FilePartitions  # uint32: 2 · place of a document, + 1 where a bucket starts


def judge(context: TaskContext, candidates: Candidates, folder: Path) -> Iterator[pa.Table]:
    """The removals (schema REMOVALS) of one partition after the other.

    Memory is that of one partition: at most 26 bytes a membership (a document in a bucket) and some 120 a document;
    4 of the former and the shingles are mapped from disk.
    """
    if not candidates.partitions:
        return
    gathered = _gather(context, candidates, folder)
    edits = EditJudge.of(context, candidates, folder)
    thresholds = Thresholds(context.config["jaccard"], context.config["containment"])
    old = first_old(context)
    for number in range(candidates.partitions):
        positions, group = _group(gathered, number, candidates, old)
        last_word = None if edits is None else edits.of_partition(number, positions, context.counts)
        verdicts = resolve(group, thresholds, last_word, context.counts)
        removed = np.flatnonzero(verdicts.kept >= 0)
        kept, common = verdicts.kept[removed], verdicts.common[removed]
        a, b = group.length[removed], group.length[kept]
        yield pa.table(
            {
                "position": positions[removed],
                "kept": positions[kept],
                "jaccard": common / (a + b - common),
                "containment": common / np.minimum(a, b),
                "bands": verdicts.bands[removed].astype(np.int32),
            }
        )
        del group
        for files in (gathered.positions, gathered.shingles, gathered.memberships):
            files.drop(number)


def _gather(context: TaskContext, candidates: Candidates, folder: Path) -> Gathered:
    members, count = candidates.members, candidates.partitions
    if int(candidates.place.max(initial=0)) >= MOST_DOCUMENTS:
        raise OverflowError(f"more than {MOST_DOCUMENTS:,} documents hang together: more than can be judged")
    gathered = Gathered(
        FilePartitions(folder / "positions", count, np.int64),
        FilePartitions(folder / "shingles", count),
        FilePartitions(folder / "memberships", count),
    )
    last = None
    for keys, positions in bucket_rows(context):
        starts = np.concatenate([[last is None or keys[0] != last], keys[1:] != keys[:-1]])
        last = keys[-1]
        rank = members.rank(positions)
        gathered.memberships.append(candidates.partition[rank], candidates.place[rank] * np.uint32(2) + starts)
    for start, column in read_shingles(context):
        positions = np.arange(start, start + len(column), dtype=np.int64)
        positions = positions[members.holds(positions)]
        if len(positions):
            partition = candidates.partition[members.rank(positions)]
            gathered.positions.append(partition, positions)
            gathered.shingles.append_lists(partition, column.take(pa.array(positions - start)))
    for files in (gathered.positions, gathered.shingles, gathered.memberships):
        files.seal()
    return gathered


def _group(gathered: Gathered, number: int, candidates: Candidates, old: int) -> tuple[Positions, Group]:
    """(positions in survivor order, what is judged): old documents, then most distinct shingles, then by position."""
    positions: Positions = gathered.positions.read(number)
    length = candidates.length[candidates.members.rank(positions)].astype(np.int64)
    first = np.cumsum(length) - length
    order = np.lexsort((positions, -length, positions < old))
    survival = np.empty(len(order), np.int64)
    survival[order] = np.arange(len(order))
    starts, buckets = buckets_of_documents(gathered.memberships.read(number), survival)
    positions = positions[order]
    settled = positions >= old
    return positions, Group(first[order], length[order], gathered.shingles.read(number), settled, starts, buckets)


def buckets_of_documents(
    memberships: NDArray[np.uint32], survival: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """(n + 1 borders, numbers of the buckets that each document is in, ascending), documents in survivor order.

    `survival`: of each place in the partition its place in survivor order.
    """
    starts = np.zeros(len(survival) + 1, np.int64)
    buckets = np.empty(len(memberships), np.int32)
    _turn(memberships, survival, starts, buckets)
    return starts, buckets


def _build_turn(sources: int) -> Any:
    def documents_of_buckets_to_buckets_of_documents(memberships, survival, starts, buckets):  # type: ignore[no-untyped-def]
        """A counting sort; `starts` is used as the cursor and moved back by one at the end."""
        documents = len(starts) - 1 if sources >= 0 else 0
        for membership in memberships:
            starts[survival[membership >> 1] + 1] += 1
        for i in range(documents):
            starts[i + 1] += starts[i]
        bucket = np.int32(-1)
        for membership in memberships:
            bucket += np.int32(membership & 1)
            document = survival[membership >> 1]
            buckets[starts[document]] = bucket
            starts[document] += 1
        for i in range(documents, 0, -1):
            starts[i] = starts[i - 1]
        starts[0] = 0

    return cached_kernel(documents_of_buckets_to_buckets_of_documents)


_turn = _build_turn(0)
