"""The verdicts: candidates' shingles are brought together by component, then each partition is judged alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.dedup.band_buckets import bucket_rows
from curation.dedup.components import Candidates
from curation.dedup.edits import EditJudge
from curation.dedup.inputs import Positions, first_old, read_shingles
from curation.dedup.lists import ListPartitions
from curation.dedup.pairs import PairPartitions
from curation.dedup.stars import Group, Thresholds, resolve
from curation.pipeline.context import TaskContext

REMOVALS = "position bigint, kept bigint, jaccard double, containment double, bands integer"


def judge(context: TaskContext, candidates: Candidates, folder: Path) -> Iterator[pa.Table]:
    """The removals (schema REMOVALS) of one partition after the other.

    Memory is that of one partition: some 60 bytes a membership (a document in a bucket); shingles are mapped from disk.
    """
    if not candidates.partitions:
        return
    memberships, lists = _gather(context, candidates, folder)
    edits = EditJudge.of(context, candidates, folder)
    thresholds = Thresholds(context.config["jaccard"], context.config["containment"])
    old = first_old(context)
    for number in range(candidates.partitions):
        positions, group = _group(*memberships.take(number), candidates, lists.read(number), old)
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
        lists.drop(number)


def _gather(context: TaskContext, candidates: Candidates, folder: Path) -> tuple[PairPartitions, ListPartitions]:
    """Memberships (key, position) and shingles of all candidates, by partition."""
    members = candidates.members
    memberships = PairPartitions(folder / "memberships", candidates.partitions)
    for keys, positions in bucket_rows(context):
        memberships.add(candidates.partition[members.rank(positions)], keys, positions)
    lists = ListPartitions(folder / "shingles", candidates.partitions)
    for start, column in read_shingles(context):
        positions = np.arange(start, start + len(column), dtype=np.int64)
        positions = positions[members.holds(positions)]
        if len(positions):
            lists.append(candidates.partition[members.rank(positions)], column.take(pa.array(positions - start)))
    lists.seal()
    return memberships, lists


def _group(
    keys: NDArray[np.uint64], positions: Positions, candidates: Candidates, values: NDArray[np.uint32], old: int
) -> tuple[Positions, Group]:
    """(positions in survivor order, what is judged): old documents, then most distinct shingles, then by position."""
    documents, document = np.unique(positions, return_inverse=True)
    length = candidates.length[candidates.members.rank(documents)].astype(np.int64)
    first = np.cumsum(length) - length  # the lists lie in order of position
    order = np.lexsort((documents, -length, documents < old))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    document = place[document]
    by_document = np.argsort(document, kind="stable")
    bucket = np.unique(keys, return_inverse=True)[1]
    starts = np.concatenate([[0], np.cumsum(np.bincount(document, minlength=len(order)))]).astype(np.int64)
    documents = documents[order]
    group = Group(first[order], length[order], values, documents >= old, starts, bucket[by_document].astype(np.int64))
    return documents, group
