"""Where and how often a document stands in training: as the mix table says, or once in keyed-hash order.

The mix table (CONTRACTS, Mix table → packing) has a row per occurrence: doc_key, copy, order_key, queue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from packing.write.keys import order_keys

# start: first token in the unit's tokens.bin; tokens: with the end
OCCURRENCE = np.dtype("f8, u8, u8, u4, u2, u2, u2, u2")
OCCURRENCE.names = ("order_key", "doc_key", "start", "tokens", "copy", "queue", "source", "unused")
MIX_COLUMNS = ("doc_key", "copy", "order_key", "queue")
MIX_PLAN = "plan.json"
POOL = "pool"


@dataclass(frozen=True, eq=False)
class Listed:
    """Occurrences of some documents: the document's row, copy from 1, place in its queue, number in `queues`."""

    document: NDArray[np.int64]
    copy: NDArray[np.uint16]
    order_key: NDArray[np.float64]
    queue: NDArray[np.uint16]
    queues: list[str]


Occurrences = Callable[[pa.Table], Listed]  # of a table of DOCUMENT_SCHEMA


def each_once(seed: int, queues: str | Mapping[str, list[str]]) -> Occurrences:
    """Every document once; `queues`: "source", "pool" or {queue: [sources]}.

    The function raises UsageError for a source that stands in no queue.
    """

    def listed(documents: pa.Table) -> Listed:
        sources = sorted(pc.unique(documents["source"]).to_pylist())
        of_source = {source: queue_of(source, queues) for source in sources}
        names = sorted(set(of_source.values()))
        numbers = np.array([names.index(of_source[source]) for source in sources], np.uint16)
        rows = pc.index_in(documents["source"], value_set=pa.array(sources, pa.string())).to_numpy()
        n = len(documents)
        keys = order_keys(documents["id"].to_pylist(), seed)
        return Listed(np.arange(n), np.ones(n, np.uint16), keys, numbers[rows] if n else numbers[:0], names)

    return listed


def queue_of(source: str, queues: str | Mapping[str, list[str]]) -> str:
    """The queue of a source by `pack.queues`.  Raises UsageError for a source that stands in none."""
    if isinstance(queues, str):
        return source if queues == "source" else POOL
    for name, members in queues.items():
        if source in members:
            return name
    raise UsageError(f"source {source!r} stands in no queue", f"add it to one: pack.queues ({', '.join(queues)})")


def as_mixed(table: Path) -> Occurrences:
    """As the mix table in this folder (or file) lists them; a document may stand in it never, once or often."""
    files = mix_files(table)
    names = queue_names(table)

    def listed(documents: pa.Table) -> Listed:
        keys = documents["doc_key"].combine_chunks()
        parts = [_rows_of(file, keys) for file in files]
        found = pa.concat_tables(parts)
        document = pc.index_in(found["doc_key"], value_set=keys).to_numpy().astype(np.int64)
        columns = {name: found[name].to_numpy() for name in MIX_COLUMNS[1:]}
        if len(found) and not ((columns["order_key"] >= 0) & (columns["order_key"] < 1)).all():
            raise UsageError(f"{table}: an order_key is not in [0, 1)", "make the mix again")
        if len(found) and int(columns["queue"].max()) >= len(names):
            raise UsageError(f"{table}: queue {int(columns['queue'].max())}, but {MIX_PLAN} names {len(names)}")
        return Listed(document, columns["copy"], columns["order_key"], columns["queue"], names)

    return listed


def _rows_of(file: Path, keys: pa.Array) -> pa.Table:
    """The file's rows of these documents, read a row group at a time."""
    opened = pq.ParquetFile(file)
    schema = pa.schema(list(zip(MIX_COLUMNS, (pa.uint64(), pa.uint16(), pa.float64(), pa.uint16()), strict=True)))
    parts = []
    for i in range(opened.num_row_groups):
        group = opened.read_row_group(i, columns=list(MIX_COLUMNS), use_threads=False).cast(schema)
        parts.append(group.filter(pc.is_in(group["doc_key"], value_set=keys)))
    return pa.concat_tables([schema.empty_table(), *parts])


def mix_files(table: Path) -> list[Path]:
    """The Parquet files of a mix table.  Raises UsageError: none, or columns are missing."""
    files = sorted(table.glob("*.parquet")) if table.is_dir() else [table]
    if not files or not all(file.is_file() for file in files):
        raise UsageError(f"{table}: no mix table", "give the folder mix/ of a run")
    for file in files:
        missing = set(MIX_COLUMNS) - set(pq.read_schema(file).names)
        if missing:
            raise UsageError(f"{file}: no column {sorted(missing)[0]!r}", f"a mix table has {', '.join(MIX_COLUMNS)}")
    return files


def mix_rows(table: Path) -> int:
    """Occurrences that a mix table lists."""
    return sum(pq.read_metadata(file).num_rows for file in mix_files(table))


def queue_names(table: Path) -> list[str]:
    """`queues` of plan.json beside the table, or `queue0` … as many as the table uses."""
    plan = (table if table.is_dir() else table.parent) / MIX_PLAN
    if plan.is_file():
        named = orjson.loads(plan.read_bytes()).get("queues")
        if isinstance(named, list) and named:
            return [one if isinstance(one, str) else str(one["name"]) for one in named]
    most = -1
    for file in mix_files(table):
        for i in range((opened := pq.ParquetFile(file)).num_row_groups):
            column = opened.read_row_group(i, columns=["queue"], use_threads=False)["queue"]
            most = max(most, int(pc.max(column).as_py() or 0) if len(column) else -1)
    return [f"queue{i}" for i in range(most + 1)]
