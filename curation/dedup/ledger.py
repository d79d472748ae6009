"""What the barrier of near-duplicates writes: verdicts per shard and the ledger of removed documents.

Every removed document has a row that leads to a *kept* one: exact copies, whose kept copy may turn out
to be a near-duplicate itself, follow it to the document that stands for both.
"""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from curation.dedup import exact
from curation.dedup.exact import CLUSTER_SCHEMA, SLICE_SCHEMA, VERDICTS_AT_ONCE
from curation.pipeline.barrier import ROW_BITS, SliceWriter, locate, with_positions
from curation.pipeline.context import TaskContext
from curation.pipeline.hashing import hash64
from curation.pipeline.schema import REMOVED_BY

RULE = "dedup.minhash"
CLUSTER = "cluster"


def follow_copies(context: TaskContext, database: duckdb.DuckDBPyConnection) -> None:
    """Fill `ids` of everything in `removals`, and `copies` (position, id, kept copy) with exact copies to move."""
    database.execute(
        "create table involved as select position from removals union select kept as position from removals"
    )
    locate(context, database, "id", "involved")
    database.execute("create table moved (key ubigint, position bigint)")
    removed = database.cursor().sql("select position, value from removals join ids using (position)")
    for batch in removed.to_arrow_reader(VERDICTS_AT_ONCE):
        keys = pa.array([hash64(id) for id in batch["value"].to_pylist()], pa.uint64())
        database.register("batch", pa.table({"key": keys, "position": batch["position"]}))
        database.execute("insert into moved select * from batch")
    database.execute("create table copies (position bigint, id varchar, representative bigint)")
    for number, _, _, batches in context.all_shards(["id", CLUSTER, REMOVED_BY]):
        for table in with_positions(number, batches):
            if CLUSTER not in table.column_names:
                continue
            part = table.filter(pc.equal(table[REMOVED_BY], exact.RULE))
            database.register("batch", part.select(["position", "id", CLUSTER]))
            database.execute(
                "insert into copies select b.position, b.id, moved.position from batch b join moved on b.cluster = key"
            )
    context.counts["copies_followed"] = int(database.sql("select count(*) from copies").fetchall()[0][0])


def write_verdicts(context: TaskContext, database: duckdb.DuckDBPyConnection) -> None:
    """Stream everything that the barrier says about documents, in position order."""
    names = pa.array([name for name, *_ in context.config["shards"]], pa.string())
    slices = SliceWriter(context, SLICE_SCHEMA)
    clusters = context.writer("clusters", CLUSTER_SCHEMA)
    rows = database.sql(
        """with verdicts as (
               select position, kept, jaccard, containment, bands, true as near, null::bigint as stands_for
               from removals
               union all
               select c.position, kept, jaccard, containment, bands, false, null
               from copies c join removals r on r.position = c.representative
               union all
               select k.kept, k.kept, null, null, null, false, own.copies + k.others from (
                   select kept, sum(d.copies)::bigint as others
                   from removals r join documents d on d.position = r.position group by kept
               ) k join documents own on own.position = k.kept
           )
           select v.position, v.kept, jaccard, containment, bands, near, stands_for,
                  coalesce(own.value, copies.id) as id, kept_ids.value as kept_id
           from verdicts v left join ids own on own.position = v.position
                left join copies on copies.position = v.position
                join ids kept_ids on kept_ids.position = v.kept
           order by v.position"""
    )
    for batch in rows.to_arrow_reader(VERDICTS_AT_ONCE):
        kept_id, near = batch["kept_id"], batch["near"]
        positions = batch["position"].to_numpy()
        verdicts = {
            "shard": names.take(pa.array(positions >> ROW_BITS)),
            "row": pa.array(positions & ((1 << ROW_BITS) - 1)),
            "removed_by": pc.if_else(near, RULE, pa.scalar(None, pa.string())),
            "removed_detail": pc.if_else(near, kept_id, pa.scalar(None, pa.string())),
            "duplicate_count": batch["stands_for"],
            "cluster": pa.array([hash64(id) for id in kept_id.to_pylist()], pa.uint64()),
        }
        slices.write(pa.table(verdicts).cast(SLICE_SCHEMA))
        ledger = pa.table(
            {
                "removed_id": batch["id"],
                "kept_id": kept_id,
                "jaccard": batch["jaccard"],
                "containment": batch["containment"],
                "bands": batch["bands"],
                "rule": pa.array([RULE] * len(batch), pa.string()),
            }
        ).filter(pc.is_valid(batch["jaccard"]))
        for part in ledger.cast(CLUSTER_SCHEMA).combine_chunks().to_batches():
            clusters.write(part)
        context.counts["removed"] += int(pc.sum(near).as_py() or 0)
    slices.close()
