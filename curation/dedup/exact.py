"""Exact dedup: documents with the same normalised text keep one, the earliest.

A row-wise step hashes (128 bits of the normalised text, `curation.text.normalize`),
a barrier groups equal hashes.  The survivor is the first in config, file and record
order; it carries `duplicate_count` and every removed copy points to it in `clusters`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from curation.pipeline.barrier import ROW_BITS, SliceWriter, locate, spill_database, with_positions
from curation.pipeline.config import Frozen
from curation.pipeline.context import LAYER, TaskContext
from curation.pipeline.hashing import hash64
from curation.pipeline.schema import REMOVED_BY, TEXT
from curation.pipeline.step import PlanBuilder, Step
from curation.pipeline.task import Shard
from curation.text.normalize import NORMALIZATION_VERSION, content_hashes

RULE = "dedup.exact"
VERDICTS_AT_ONCE = 65_536  # rows; bounds the memory of writing verdicts

HASH_SCHEMA = pa.schema([pa.field("content_hash", pa.binary(16))])

SLICE_SCHEMA = pa.schema(
    [
        pa.field("shard", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("removed_by", pa.string()),
        pa.field("removed_detail", pa.string()),  # id of the kept copy
        pa.field("duplicate_count", pa.int64()),  # of the kept copy: how many documents it stands for
        pa.field("cluster", pa.uint64(), nullable=False),  # doc_key of the kept copy
    ]
)

CLUSTER_SCHEMA = pa.schema(
    [
        pa.field("removed_id", pa.string(), nullable=False),
        pa.field("kept_id", pa.string(), nullable=False),
        pa.field("jaccard", pa.float64()),
        pa.field("containment", pa.float64()),
        pa.field("bands", pa.int32()),  # shared MinHash bands; null for exact copies
        pa.field("rule", pa.string(), nullable=False),
    ]
)


class ExactConfig(Frozen):
    """Exact dedup of the normalised text."""

    scope: Literal["global", "source"] = Field("global", description="compare across sources, or within each")


def hash_texts(context: TaskContext) -> None:
    """Layer: the content hash of every document."""
    writer = context.writer(LAYER, HASH_SCHEMA, align=True)
    for batch in context.batches([TEXT]):
        writer.write(pa.RecordBatch.from_arrays([content_hashes(batch[TEXT])], schema=HASH_SCHEMA))


def find_copies(context: TaskContext) -> None:
    """Barrier: group equal hashes of the documents that are still kept; write verdicts and the ledger."""
    with spill_database(context.directory) as database:
        database.execute("create table hashes (position bigint, hash blob, scope varchar)")
        for number, _, source, batches in context.all_shards(["content_hash", REMOVED_BY]):
            scope = source if context.config["scope"] == "source" else ""
            for table in with_positions(number, batches):
                survivors = table.filter(
                    pc.and_(pc.is_null(table[REMOVED_BY]), pc.is_valid(table["content_hash"]))
                ).drop_columns([REMOVED_BY])
                database.register("batch", survivors.cast(_AS_BLOB))
                database.execute("insert into hashes select position, content_hash, ? from batch", [scope])
        database.execute(
            """create table copies as
               with groups as (
                   select hash, scope, min(position) as kept, count(*) as size
                   from hashes group by hash, scope having count(*) > 1
               )
               select position, kept, size from hashes join groups using (hash, scope)"""
        )
        locate(context, database, "id", "copies")
        _write_verdicts(context, database)


_AS_BLOB = pa.schema([pa.field("position", pa.int64()), pa.field("content_hash", pa.binary())])


def _write_verdicts(context: TaskContext, database: duckdb.DuckDBPyConnection) -> None:
    """Stream the copies in position order into the slices and the ledger."""
    names = pa.array([name for name, *_ in context.config["shards"]], pa.string())
    slices = SliceWriter(context, SLICE_SCHEMA)
    clusters = context.writer("clusters", CLUSTER_SCHEMA)
    copies = database.sql(
        """select c.position, own.value as id, kept.value as kept_id, c.position <> c.kept as removed, size
           from copies c join ids own using (position) join ids kept on kept.position = c.kept order by c.position"""
    ).to_arrow_reader(VERDICTS_AT_ONCE)
    for batch in copies:
        kept_id, removed = batch["kept_id"], batch["removed"]
        positions = batch["position"].to_numpy()
        verdicts = {
            "shard": names.take(pa.array(positions >> ROW_BITS)),
            "row": pa.array(positions & ((1 << ROW_BITS) - 1)),
            "removed_by": pc.if_else(removed, RULE, pa.scalar(None, pa.string())),
            "removed_detail": pc.if_else(removed, kept_id, pa.scalar(None, pa.string())),
            "duplicate_count": pc.if_else(removed, pa.scalar(None, pa.int64()), batch["size"]),
            "cluster": pa.array([hash64(id) for id in kept_id.to_pylist()], pa.uint64()),
        }
        slices.write(pa.table(verdicts).cast(SLICE_SCHEMA))
        rows = pa.table({"removed_id": batch["id"], "kept_id": kept_id}).filter(removed)
        exact = pa.array([1.0] * len(rows), pa.float64())
        ledger = rows.append_column("jaccard", exact).append_column("containment", exact)
        ledger = ledger.append_column("bands", pa.nulls(len(rows), pa.int32()))
        ledger = ledger.append_column("rule", pa.array([RULE] * len(rows), pa.string()))
        for part in ledger.cast(CLUSTER_SCHEMA).combine_chunks().to_batches():
            clusters.write(part)
        context.counts["removed"] += len(rows)
    slices.close()


def _hash_versions(config: Any) -> Mapping[str, str]:
    return {"normalization": str(NORMALIZATION_VERSION)}


HASH = Step("content_hash", 1, hash_texts, _hash_versions)
EXACT = Step("exact", 1, find_copies, reads_text=False, views=("clusters",))


def plan_exact(config: ExactConfig, builder: PlanBuilder) -> None:
    """Hash each shard's text, then one barrier."""

    def only_text(shard: Shard) -> dict[str, Any]:
        return {}

    builder.add_layer(HASH, only_text)
    builder.add_columns(HASH_SCHEMA)
    builder.add_columns(SLICE_SCHEMA.field(name) for name in ("duplicate_count", "cluster"))
    if builder.shards:
        builder.add_global(EXACT, config.model_dump(mode="json"))
