"""What the barrier of near-duplicates writes: verdicts per shard and the ledger of removed documents.

Every removed document has a row that leads to a *kept* one: exact copies, whose kept copy may turn out
to be a near-duplicate itself, follow it to the document that stands for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from curation.dedup import exact
from curation.dedup.exact import CLUSTER_SCHEMA, SLICE_SCHEMA, VERDICTS_AT_ONCE
from curation.dedup.inputs import first_old
from curation.pipeline.barrier import ROW_BITS, SliceWriter, locate, with_positions
from curation.pipeline.context import TaskContext
from curation.pipeline.hashing import hash64
from curation.pipeline.schema import REMOVED_BY
from curation.pipeline.shards import row_groups

RULE = "dedup.minhash"
CLUSTER = "cluster"


def follow_copies(context: TaskContext, database: duckdb.DuckDBPyConnection, old: Sequence[Path]) -> None:
    """Fill `ids` of everything in `removals`, and `copies` (position, id, kept copy) with exact copies to move.

    `old`: parts of indices, whose documents may stand for removed ones.
    """
    database.execute(
        "create table involved as select position from removals union select kept as position from removals"
    )
    locate(context, database, "id", "involved")
    for number, path in enumerate(old, len(context.config["shards"])):
        _locate_old(database, number, path)
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


# one join a statement: the hash tables of several would have to fit in memory together
_VERDICTS = (
    """create table others as select kept, sum(copies)::bigint as others
       from removals join documents using (position) where kept < {old} group by kept""",
    """create table verdicts as
       select position, kept, jaccard, containment, bands, true as near, null::bigint as stands_for, null::varchar as id
       from removals""",
    """insert into verdicts select c.position, kept, jaccard, containment, bands, false, null, c.id
       from copies c join removals r on r.position = c.representative""",
    """insert into verdicts select kept, kept, null, null, null, false, copies + others, null
       from others join documents on position = kept""",
    """create table named as select v.* exclude (id), coalesce(v.id, ids.value) as id
       from verdicts v left join ids using (position)""",
    "drop table verdicts",
    """create table complete as select n.*, ids.value as kept_id from named n join ids on ids.position = n.kept""",
    "drop table named",
)


def _locate_old(database: duckdb.DuckDBPyConnection, number: int, path: Path) -> None:
    span = [number << ROW_BITS, (number + 1) << ROW_BITS]
    query = "select position from involved where position >= ? and position < ? order by position"
    wanted = database.execute(query, span).fetchnumpy()["position"]
    if len(wanted):
        for rows in with_positions(number, row_groups(path, ["id"])):
            part = rows.filter(pc.is_in(rows["position"], value_set=pa.array(wanted)))
            database.register("located", part)
            database.execute("insert into ids select * from located")


def write_verdicts(context: TaskContext, database: duckdb.DuckDBPyConnection) -> None:
    """Stream everything that the barrier says about documents, in position order."""
    names = pa.array([name for name, *_ in context.config["shards"]], pa.string())
    slices = SliceWriter(context, SLICE_SCHEMA)
    clusters = context.writer("clusters", CLUSTER_SCHEMA)
    for statement in _VERDICTS:
        database.execute(statement.format(old=first_old(context)))
    rows = database.sql("select * from complete order by position")
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
