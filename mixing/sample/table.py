"""The mix table: one row an occurrence, in Parquet parts of bounded size (CONTRACTS, Mix table → packing)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mixing.sample.documents import Documents
from mixing.sample.places import Places, places

SCHEMA = pa.schema(
    [
        pa.field("doc_key", pa.uint64(), nullable=False),
        pa.field("copy", pa.uint16(), nullable=False),  # 1 … n, in the order in which they stand
        pa.field("order_key", pa.float64(), nullable=False),  # place in its queue, in [0, 1)
        pa.field("queue", pa.uint16(), nullable=False),  # number in plan.json
        pa.field("cell", pa.uint32(), nullable=False),  # number in plan.json
        pa.field("source", pa.dictionary(pa.int32(), pa.string()), nullable=False),
    ]
)
PART = "mix-{:05d}.parquet"
ROWS = 1 << 24  # of a part
GROUP = 1 << 18  # rows of a row group
COMPRESSION = {"compression": "zstd", "compression_level": 3}
AT_ONCE = 1 << 20  # documents


def write_table(
    folder: Path, documents: Documents, copies: NDArray[np.uint16], queues: NDArray[np.integer],
    sources: Sequence[str], seed: int,
) -> int:  # fmt: skip
    """Write the parts of a table, cell after cell and each in order of doc_key; returns the rows.

    queues: the queue of each cell; sources: the source of each cell.
    """
    writer, part, rows, written = None, 0, 0, 0
    names = sorted(set(sources))
    try:
        for table in _merged(_tables(documents, copies, queues, sources, names, seed)):
            if writer is None or rows >= ROWS:
                if writer is not None:
                    writer.close()
                writer, rows, part = _writer(folder / PART.format(part)), 0, part + 1
            writer.write_table(table, row_group_size=GROUP)
            rows, written = rows + len(table), written + len(table)
        if writer is None:
            writer = _writer(folder / PART.format(0))
    finally:
        if writer is not None:
            writer.close()
    return written


def _writer(path: Path) -> pq.ParquetWriter:
    return pq.ParquetWriter(path, SCHEMA, use_dictionary=["copy", "queue", "cell", "source"], **COMPRESSION)


def _merged(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Tables of a row group or more."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(map(len, waiting)) >= GROUP:
            yield pa.concat_tables(waiting).unify_dictionaries().combine_chunks()
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting).unify_dictionaries().combine_chunks()


def _tables(
    documents: Documents, copies: NDArray[np.uint16], queues: NDArray[np.integer], sources: Sequence[str],
    names: list[str], seed: int,
) -> Iterator[pa.Table]:  # fmt: skip
    known = pa.array(names, pa.string())
    for cell in range(documents.cells):
        mine = copies[documents.rows(cell)]
        there = np.flatnonzero(mine)
        keys = documents.doc_key[documents.rows(cell)][there]
        order = np.argsort(keys)
        for start in range(0, len(order), AT_ONCE):
            some = order[start : start + AT_ONCE]
            made = places(keys[some], mine[there[some]], seed)
            yield _table(keys[some], made, int(queues[cell]), cell, names.index(sources[cell]), known)


def _table(keys: NDArray[np.uint64], made: Places, queue: int, cell: int, source: int, names: pa.Array) -> pa.Table:
    n = len(made.document)
    sources = pa.DictionaryArray.from_arrays(np.full(n, source, np.int32), names)
    columns = [
        keys[made.document], made.copy, made.order_key, np.full(n, queue, np.uint16), np.full(n, cell, np.uint32),
        sources,
    ]  # fmt: skip
    return pa.Table.from_arrays([pa.array(one) if one is not sources else one for one in columns], schema=SCHEMA)


def parts(folder: Path) -> list[Path]:
    """The files of a table."""
    return sorted(folder.glob("mix-*.parquet"))


def rows_of(folder: Path, doc_key: int) -> list[dict[str, Any]]:
    """A document's rows, in order of their places."""
    mine = pc.field("doc_key") == pa.scalar(doc_key, pa.uint64())
    found = [row for path in parts(folder) for row in pq.read_table(path, filters=mine, use_threads=False).to_pylist()]
    return sorted(found, key=lambda row: row["copy"])
