"""Which documents may be near-duplicates of which: those that share a band, component by component.

Band keys go into DuckDB (bounded memory, spill to disk).  What shares no key with anything is done.
The others get a rank in survivor order, and a union-find over ranks (8 bytes for each of them) splits
them into components that can be judged on their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.dedup.signatures import BANDS, COUNT, SIGNATURES
from curation.pipeline.barrier import with_positions
from curation.pipeline.context import TaskContext
from curation.pipeline.hashing import hash64
from curation.pipeline.schema import REMOVED_BY
from curation.pipeline.shards import row_groups
from curation.pipeline.task import Input
from curation.text.kernel import cached_kernel

ROWS_AT_ONCE = 16_384
DUPLICATE_COUNT = "duplicate_count"


@dataclass(frozen=True)
class Chunk:
    """Whole components, the documents of each in survivor order; all arrays but `keys` by document."""

    component: NDArray[np.int64]
    position: NDArray[np.int64]
    length: NDArray[np.int64]  # distinct shingles
    start: NDArray[np.int64]  # of its shingles in the scratch file
    words: NDArray[np.int64]  # number of words, where edit similarity is asked for, else 0
    words_start: NDArray[np.int64]
    ends: NDArray[np.int64]  # of each document's part of `keys`
    keys: NDArray[np.uint64]  # band keys that it shares with another document


def signature_file(context: TaskContext, shard: str, output: str) -> Any:
    """Path of a private output of the shard's signatures."""
    return context.path(Input(f"{SIGNATURES.name}/{shard}"), output)


def collect_keys(context: TaskContext, database: duckdb.DuckDBPyConnection) -> None:
    """Fill `documents` (position, length, copies) and `keys` (key, position) with what is still kept."""
    database.execute("create table documents (position bigint, length bigint, copies bigint)")
    database.execute("create table keys (key ubigint, position bigint)")
    for number, name, source, batches in context.all_shards([REMOVED_BY, COUNT, DUPLICATE_COUNT]):
        salt = np.uint64(hash64(source) if context.config["scope"] == "source" else 0)
        bands = row_groups(signature_file(context, name, BANDS))
        for table, group in zip(with_positions(number, batches), bands, strict=True):
            taking_part = pc.and_(pc.is_null(table[REMOVED_BY]), pc.is_valid(table[COUNT]))
            part = table.filter(taking_part)
            alone = pa.repeat(pa.scalar(1, pa.int64()), len(part))
            copies = pc.coalesce(part[DUPLICATE_COUNT], alone) if DUPLICATE_COUNT in part.column_names else alone
            documents = pa.table({"position": part["position"], "length": part[COUNT], "copies": copies})
            database.register("batch", documents)
            database.execute("insert into documents select * from batch")
            lists = group[BANDS].filter(taking_part.combine_chunks())
            keys = np.asarray(lists.flatten()) ^ salt
            positions = np.repeat(np.asarray(part["position"]), np.asarray(pc.list_value_length(lists)))
            database.register("batch", pa.table({"key": keys, "position": positions}))
            database.execute("insert into keys select * from batch")


def find_components(database: duckdb.DuckDBPyConnection) -> int:
    """Fill `candidates` (rank, position, length, component) and `members` (rank, key); returns how many."""
    database.execute(
        """create table shared as select key, position from keys
           where key in (select key from keys group by key having count(*) > 1)"""
    )
    database.execute("drop table keys")
    database.execute(
        """create table ranked as
           select position, length, row_number() over (order by length desc, position) - 1 as rank
           from documents where position in (select position from shared)"""
    )
    database.execute("create table members as select rank, key from shared join ranked using (position)")
    database.execute("drop table shared")
    count = int(database.sql("select count(*) from ranked").fetchall()[0][0])
    parent = np.arange(count, dtype=np.int64)
    key, rank = np.uint64(0), np.int64(-1)
    for batch in database.sql("select key, rank from members order by key, rank").to_arrow_reader(ROWS_AT_ONCE):
        key, rank = _unite(parent, np.asarray(batch["key"]), np.asarray(batch["rank"]), np.uint64(key), np.int64(rank))
    _flatten(parent)
    database.register("roots", pa.table({"rank": np.arange(count), "component": parent}))
    database.execute("create table candidates as select * from ranked join roots using (rank)")
    database.unregister("roots")
    return count


def chunks(database: duckdb.DuckDBPyConnection) -> Iterator[Chunk]:
    """All components, in order of their first document, some `ROWS_AT_ONCE` documents at a time.

    Needs the table `lists` (position, start, words, words_start) beside those of `find_components`.
    Memory is that of the largest component or of one batch, whichever is more: for a document some
    60 bytes and 16 for each shared key.
    """
    documents = database.cursor().sql(
        """select component, position, length, start, words, words_start, shared
           from candidates join lists using (position)
           join (select rank, count(*) as shared from members group by rank) using (rank) order by component, rank"""
    )
    keys = _Keys(database)
    waiting: list[pa.RecordBatch] = []
    for batch in documents.to_arrow_reader(ROWS_AT_ONCE):
        component = np.asarray(batch["component"])
        borders = np.flatnonzero(np.diff(component)) + 1
        new = waiting and waiting[-1]["component"][-1].as_py() != component[0]
        if len(borders) or new:
            cut = int(borders[-1]) if len(borders) else 0
            yield _chunk([*waiting, batch.slice(0, cut)], keys)
            waiting = []
            batch = batch.slice(cut)
        waiting.append(batch)
    if waiting:
        yield _chunk(waiting, keys)


def _chunk(batches: list[pa.RecordBatch], keys: _Keys) -> Chunk:
    table = pa.Table.from_batches(batches)
    column = {name: np.asarray(table[name]).astype(np.int64) for name in table.column_names}
    ends = np.cumsum(column.pop("shared"))
    return Chunk(**column, ends=ends, keys=keys.take(int(ends[-1])))


class _Keys:
    """The members' keys in the order of the chunks, handed out in pieces."""

    def __init__(self, database: duckdb.DuckDBPyConnection) -> None:
        query = "select key from members join candidates using (rank) order by component, rank"
        self._reader = database.cursor().sql(query).to_arrow_reader(ROWS_AT_ONCE)
        self._rest = np.empty(0, np.uint64)

    def take(self, count: int) -> NDArray[np.uint64]:
        parts, have = [self._rest], len(self._rest)
        while have < count:
            parts.append(np.asarray(self._reader.read_next_batch()["key"]))
            have += len(parts[-1])
        whole = np.concatenate(parts)
        self._rest = whole[count:].copy()
        return whole[:count]


def _build_unite(sources: int) -> Any:
    def unite_neighbours(parent, keys, ranks, key, rank):  # type: ignore[no-untyped-def]
        """Unite ranks that follow each other under one key; returns the last (key, rank) for the next call."""
        for i in range(len(keys)):
            if rank >= 0 and keys[i] == key and sources >= 0:
                x, y = rank, ranks[i]
                while parent[x] != x:
                    parent[x] = parent[parent[x]]
                    x = parent[x]
                while parent[y] != y:
                    parent[y] = parent[parent[y]]
                    y = parent[y]
                parent[max(x, y)] = min(x, y)  # the root is a component's first document
            key, rank = keys[i], ranks[i]
        return key, rank

    return cached_kernel(unite_neighbours)


def _build_flatten(sources: int) -> Any:
    def flatten_roots(parent):  # type: ignore[no-untyped-def]
        """Point every document at its root; parents come before children."""
        for i in range(len(parent)):
            if sources >= 0:
                parent[i] = parent[parent[i]]

    return cached_kernel(flatten_roots)


_unite = _build_unite(0)
_flatten = _build_flatten(0)
