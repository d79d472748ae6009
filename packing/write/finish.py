"""docs.parquet and dropped.parquet: every document of the units is in one of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from curation.pipeline.barrier import spill_database
from packing.layout.digests import digest_file
from packing.layout.manifest import FileDigest
from packing.write.encoded import DOCUMENT_FIELDS
from packing.write.rules import Rules
from packing.write.unit import DOCUMENTS, Unit

TOO_LONG, TOO_SHORT = "longer than a sequence", "shorter than the smallest bucket"
DOCS = pa.schema([*DOCUMENT_FIELDS, pa.field("tokens", pa.int64(), nullable=False)])
DROPPED = pa.schema(
    {"doc_key": pa.uint64(), "id": pa.string(), "source": pa.string(), "reason": pa.string(), "tokens": pa.int64()}
)
AT_ONCE = 1 << 16


def write_documents(
    directory: Path, units: Sequence[Unit], rules: Rules, scratch: Path
) -> tuple[list[FileDigest], dict[str, Any]]:
    """Both files, sorted by doc_key, and the ledger of documents."""
    begin = int(rules.bos != "none")
    left_out = f"when tokens > {rules.sequence_length - begin} then '{TOO_LONG}'" if rules.long == "drop" else ""
    if rules.method == "buckets":
        left_out = f"when tokens < {rules.smallest_bucket - begin} then '{TOO_SHORT}'"
    with spill_database(scratch) as database:
        database.execute("set preserve_insertion_order=true")
        paths = [str(unit.path / DOCUMENTS) for unit in units]
        if paths:
            database.execute("create view unit_documents as select * from read_parquet($1)".replace("$1", _list(paths)))
        else:
            empty = pa.schema([*DOCS, pa.field("reason", pa.string())]).empty_table()
            database.register("unit_documents", empty)
        database.execute(
            f"""create view fates as select * exclude (reason),
                  case when reason is not null then reason {left_out} end as reason from unit_documents"""
        )
        packed = _write(database, DOCS, "reason is null", directory / "docs.parquet")
        _write(database, DROPPED, "reason is not null", directory / "dropped.parquet")
        reasons = database.execute(
            "select reason, count(*) from fates where reason is not null group by all order by reason"
        ).fetchall()
    documents = {"in": sum(unit.info.documents for unit in units), "packed": packed, "dropped": dict(reasons)}
    names = ("docs.parquet", "dropped.parquet")
    return [digest_file(directory, name, blocks=False) for name in names], documents


def _list(paths: Sequence[str]) -> str:
    return "[" + ", ".join("'" + path.replace("'", "''") + "'" for path in paths) + "]"


def _write(database: duckdb.DuckDBPyConnection, schema: pa.Schema, where: str, path: Path) -> int:
    """Rows written; batches have a fixed number of rows, so that the file's bytes are the rows' alone."""
    query = f"select {', '.join(schema.names)} from fates where {where} order by doc_key"
    reader = database.sql(query).to_arrow_reader(AT_ONCE)
    rows = 0
    with open(path, "wb") as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        waiting = schema.empty_table()
        for batch in reader:
            waiting = pa.concat_tables([waiting, pa.Table.from_batches([batch]).cast(schema)])
            while len(waiting) >= AT_ONCE:
                writer.write_table(waiting.slice(0, AT_ONCE), row_group_size=AT_ONCE)
                waiting = waiting.slice(AT_ONCE)
            rows += len(batch)
        if len(waiting):
            writer.write_table(waiting.combine_chunks(), row_group_size=AT_ONCE)
        writer.close()
        file.flush()
        os.fsync(file.fileno())
    return rows
