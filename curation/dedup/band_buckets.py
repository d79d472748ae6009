"""Which documents share a band: the first barrier, one task for each group of bands.

Keys of different bands never meet, so the tasks share nothing.  Each splits its keys by prefix (on disk
where they exceed memory), sorts one partition at a time and writes the buckets of two and more documents.
A bucket of more than HOT documents says little about any pair of them (a template, boilerplate):
its documents get keys of longer bands instead, see `rebanding`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.dedup.inputs import Positions, first_old, read_keys, row_counts, scratch_folder
from curation.dedup.pairs import PairPartitions, partitions_for, prefix
from curation.pipeline.context import TaskContext
from curation.pipeline.shards import ShardWriter, row_groups
from curation.pipeline.step import Step
from curation.pipeline.task import Input

HOT = 10_000  # documents in a bucket
ROWS_AT_ONCE = 16_384

BUCKETS_SCHEMA = pa.schema([pa.field("key", pa.uint64()), pa.field("position", pa.int64())])  # sorted by both
HOT_SCHEMA = pa.schema([pa.field("position", pa.int64())])  # members of hot buckets, repeated ones repeated


def find_buckets(context: TaskContext) -> None:
    """Write `buckets` and `hot` of the bands `first … last` in the config."""
    bands = range(context.config["first"], context.config["last"])
    writer = context.writer("buckets", BUCKETS_SCHEMA)
    hot = context.writer("hot", HOT_SCHEMA)
    with scratch_folder(context) as folder:
        count = partitions_for(sum(row_counts(context)) * len(bands))
        partitions = PairPartitions(folder / "keys", count)
        for positions, columns in read_keys(context, bands):
            for keys in columns:
                partitions.add(prefix(keys, count), keys, positions)
        for keys, positions in shared_keys(partitions, first_old(context)):
            starts, sizes = runs(keys)
            in_hot = np.repeat(sizes > HOT, sizes)
            context.counts["buckets"] += len(starts)
            context.counts["hot_buckets"] += int((sizes > HOT).sum())
            write_rows(writer, BUCKETS_SCHEMA, keys[~in_hot], positions[~in_hot])
            write_rows(hot, HOT_SCHEMA, np.unique(positions[in_hot]))


def shared_keys(partitions: PairPartitions, old: int) -> Iterator[tuple[NDArray[np.uint64], Positions]]:
    """The pairs whose key occurs again, sorted by key and position, one partition at a time.

    What only documents from position `old` on share is left out: nobody asks about them.
    """
    for number in range(len(partitions)):
        keys, positions = partitions.take(number)
        order = np.argsort(keys)  # not stable, but the fastest there is; the few that matter are sorted again
        keys = keys[order]
        again = keys[1:] == keys[:-1]
        shared = np.append(again, False) | np.insert(again, 0, False) if len(keys) else np.empty(0, np.bool_)
        keys, positions = keys[shared], positions[order[shared]]
        order = np.lexsort((positions, keys))
        keys, positions = keys[order], positions[order]
        starts, sizes = runs(keys)
        young = np.repeat(positions[starts] < old, sizes)
        yield keys[young], positions[young]


def runs(keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(starts, sizes) of the runs of equal keys."""
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else np.empty(0, np.int64)
    return starts, np.diff(np.append(starts, len(keys)))


def write_rows(writer: ShardWriter, schema: pa.Schema, *columns: NDArray[np.generic]) -> None:
    """Write columns in batches of bounded size."""
    for start in range(0, len(columns[0]), ROWS_AT_ONCE):
        part = [pa.array(column[start : start + ROWS_AT_ONCE]) for column in columns]
        writer.write(pa.record_batch(part, schema=schema))


def bucket_rows(context: TaskContext) -> Iterator[tuple[NDArray[np.uint64], Positions]]:
    """Everything that the tasks named in the config found; a bucket's rows follow each other."""
    for task in context.config["buckets"]:
        for group in row_groups(context.path(Input(task), "buckets")):
            yield np.asarray(group["key"]), np.asarray(group["position"])


def bucket_members(context: TaskContext) -> Iterator[Positions]:
    """The positions of `bucket_rows` alone: half of the bytes."""
    for task in context.config["buckets"]:
        for group in row_groups(context.path(Input(task), "buckets"), ["position"]):
            yield np.asarray(group["position"])


BUCKETS = Step("minhash_buckets", 1, find_buckets, reads_text=False)
