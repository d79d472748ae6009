"""What global steps share: positions of rows, a database that spills, verdicts cut into slices.

A global step reads a few columns of every shard, decides in DuckDB (bounded memory,
spill to disk), and writes its verdict as rows (shard, row, …) sorted by both.  Each
shard's part is its *slice*; only the slices' digests matter to what comes after.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from curation.pipeline.context import SLICES, TaskContext
from curation.pipeline.shards import temporary_name, update_digest

ROW_BITS = 40  # a position is shard number · 2^40 + row: order by position = config, file, record order
MEMORY_LIMIT = "128MB"  # with what a worker holds anyway it stays below 500 MB


@contextmanager
def spill_database(directory: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A private database with bounded memory; what exceeds it goes to a scratch folder that is removed."""
    scratch = temporary_name(directory / "spill")  # swept like any temporary file when its process is gone
    scratch.mkdir()
    database = duckdb.connect(str(scratch / "barrier.duckdb"))
    try:
        database.execute(f"set memory_limit='{MEMORY_LIMIT}'")
        database.execute("set threads=1")
        database.execute("set enable_progress_bar=false")
        database.execute("set preserve_insertion_order=false")
        yield database
    finally:
        database.close()
        shutil.rmtree(scratch, ignore_errors=True)


def with_positions(shard: int, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Each batch of a shard as a table with a leading `position` column (int64)."""
    start = shard << ROW_BITS
    for batch in batches:
        positions = pa.array(np.arange(start, start + batch.num_rows, dtype=np.int64))
        start += batch.num_rows
        yield pa.Table.from_batches([batch]).add_column(0, "position", positions)


def split_position(position: int) -> tuple[int, int]:
    """(shard number, row) of a position."""
    return position >> ROW_BITS, position & ((1 << ROW_BITS) - 1)


def locate(context: TaskContext, database: duckdb.DuckDBPyConnection, column: str, table: str) -> None:
    """Fill `<column>s` (position, value) for the positions in `table`; reads only shards that hold one."""
    database.execute(f"create table {column}s (position bigint, value varchar)")
    for number, _, _, batches in context.all_shards([column]):
        first, last = number << ROW_BITS, (number + 1) << ROW_BITS
        wanted = database.execute(
            f"select distinct position from {table} where position >= ? and position < ?", [first, last]
        ).fetchnumpy()["position"]
        if not len(wanted):
            continue
        for rows in with_positions(number, batches):
            part = rows.filter(pc.is_in(rows["position"], value_set=pa.array(wanted)))
            database.register("located", part.select(["position", column]))
            database.execute(f"insert into {column}s select * from located")


class SliceWriter:
    """Writes a verdict (columns shard, row, …; in position order) and records each slice's digest."""

    def __init__(self, context: TaskContext, schema: pa.Schema) -> None:
        self._context, self._schema = context, schema
        self._writer = context.writer(SLICES, schema)
        self._shard: str | None = None
        self._parts: list[pa.Table] = []

    def write(self, table: pa.Table) -> None:
        """Append rows; a shard's rows may come in several calls."""
        shards = table["shard"].combine_chunks()
        runs = pc.run_end_encode(shards)
        start = 0
        for end, shard in zip(runs.run_ends.to_pylist(), runs.values.to_pylist(), strict=True):
            if shard != self._shard:
                self._finish_slice()
                self._shard = shard
            self._parts.append(table.slice(start, end - start))
            start = end

    def close(self) -> None:
        """Finish the last slice."""
        self._finish_slice()

    def _finish_slice(self) -> None:
        if self._shard is None:
            return
        whole = pa.concat_tables(self._parts).cast(self._schema).combine_chunks()
        digest = xxhash.xxh3_128()
        update_digest(digest, whole)
        self._context.slices[self._shard] = digest.hexdigest()
        for batch in whole.to_batches():
            self._writer.write(batch)
        self._parts = []
