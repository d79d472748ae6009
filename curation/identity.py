"""Every document has one id: repeated user ids get a suffix, colliding keys are refused.

Ids made from file and record number are unique by construction; an id field of the
user's may repeat across files, which only a look at all of them can tell.  The later
document (in config, file and record order) becomes `<id>~2`, `<id>~3` … and the run
reports how many (CONTRACTS, Identity).
"""

from __future__ import annotations

import duckdb
import pyarrow as pa

from curation.pipeline.barrier import SliceWriter, locate, spill_database, split_position, with_positions
from curation.pipeline.context import TaskContext
from curation.pipeline.errors import CurateError
from curation.pipeline.hashing import hash64
from curation.pipeline.step import PlanBuilder, Section, Step

SLICE_SCHEMA = pa.schema(
    [
        pa.field("shard", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("doc_key", pa.uint64(), nullable=False),
    ]
)


def check_identity(context: TaskContext) -> None:
    """Write the renamed rows per shard; raises CurateError when two ids share one key."""
    with spill_database(context.directory) as database:
        database.execute("create table keys (position bigint, doc_key ubigint)")
        for number, _, _, batches in context.all_shards(["doc_key"]):
            for table in with_positions(number, batches):
                database.register("batch", table)
                database.execute("insert into keys select position, doc_key from batch")
        database.execute(
            """create table repeated as select position, doc_key from keys
               where doc_key in (select doc_key from keys group by doc_key having count(*) > 1)"""
        )
        locate(context, database, "id", "repeated")
        _refuse_collisions(database)
        later = database.sql(
            """select position, value from ids
               qualify row_number() over (partition by value order by position) > 1 order by position"""
        )
        renamed = _rename(database, later.fetchall())
    names = [name for name, *_ in context.config["shards"]]
    context.counts["renamed_ids"] = len(renamed)
    writer = SliceWriter(context, SLICE_SCHEMA)
    rows = []
    for position, id in renamed:
        shard, row = split_position(position)
        rows.append({"shard": names[shard], "row": row, "id": id, "doc_key": hash64(id)})
    writer.write(pa.Table.from_pylist(rows, SLICE_SCHEMA))
    writer.close()


def _refuse_collisions(database: duckdb.DuckDBPyConnection) -> None:
    pairs = database.sql(
        """select min(value), max(value) from repeated join ids using (position)
           group by doc_key having min(value) <> max(value) limit 1"""
    ).fetchall()
    if pairs:
        raise CurateError(f"ids {pairs[0][0]!r} and {pairs[0][1]!r} have the same 64-bit key", "change one of them")


def _rename(database: duckdb.DuckDBPyConnection, later: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """(position, `<id>~<n>`) in order, n counting from 2 past names that other documents have."""
    taken: set[int] = set()
    while True:
        last: dict[str, int] = {}
        renamed = []
        for position, id in later:
            n = last.get(id, 1) + 1
            while hash64(f"{id}~{n}") in taken:
                n += 1
            last[id] = n
            renamed.append((position, f"{id}~{n}"))
        candidates = pa.table({"key": pa.array([hash64(name) for _, name in renamed], pa.uint64())})
        database.register("candidates", candidates)
        found = database.sql("select distinct key from candidates join keys on key = doc_key").fetchall()
        if not found:
            return renamed
        taken |= {key for (key,) in found}


IDENTITY = Step("identity", 1, check_identity, reads_text=False)


def plan(config: None, builder: PlanBuilder) -> None:
    """One barrier over the ids of all shards."""
    if builder.shards:
        builder.add_global(IDENTITY, {})


SECTION = Section("_identity", "sources", plan, (IDENTITY,))
