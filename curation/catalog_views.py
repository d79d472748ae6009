"""The views of the catalog, in a DuckDB database that can open the run's files and nothing else.

External access, extensions and further configuration are switched off once the views exist.
Source: duckdb.org/docs, "Securing DuckDB".
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import duckdb
import pyarrow as pa

from curation.histogram import literal
from curation.pipeline.schema import QUARANTINE_SCHEMA, READ_SCHEMA, REMOVED_BY, REMOVED_DETAIL
from curation.text.edits import EDIT

# Columns that later steps add; a run without those steps has them too, as nulls, so that one query fits all runs.
# `stats` is absent where no rule measured anything: its fields are the statistics that were measured.
LATER_COLUMNS = [
    pa.field("language", pa.string()),
    pa.field("language_score", pa.float32()),
    pa.field("content_hash", pa.binary(16)),
    pa.field("duplicate_count", pa.int64()),
    pa.field("cluster", pa.uint64()),
    pa.field("token_count", pa.int64()),
    pa.field("byte_count", pa.int64()),
]
_VERDICT = (REMOVED_BY, REMOVED_DETAIL)
REMOVED_COLUMNS = pa.schema(
    [f for f in READ_SCHEMA if f.name not in _VERDICT] + LATER_COLUMNS + [READ_SCHEMA.field(n) for n in _VERDICT]
)
DOCUMENT_COLUMNS = pa.schema([f for f in REMOVED_COLUMNS if f.name not in _VERDICT])
CLUSTER_COLUMNS = pa.schema(
    [
        pa.field("removed_id", pa.string()),
        pa.field("kept_id", pa.string()),
        pa.field("jaccard", pa.float64()),
        pa.field("containment", pa.float64()),
        pa.field("bands", pa.int32()),
        pa.field("rule", pa.string()),
    ]
)
EDIT_COLUMNS = pa.schema([pa.field("id", pa.string()), pa.field("source", pa.string()), *EDIT])
VIEWS = {
    "documents": DOCUMENT_COLUMNS,
    "removed": REMOVED_COLUMNS,
    "quarantine": QUARANTINE_SCHEMA,
    "clusters": CLUSTER_COLUMNS,
    "edits": EDIT_COLUMNS,
}


def locked_database(files: dict[str, list[Path]], memory: str) -> duckdb.DuckDBPyConnection:
    """An in-memory database with one view per name that can open exactly these files, and then nothing more."""
    database = duckdb.connect(
        config={
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,  # else `from x` reads a Python variable called x
            "memory_limit": memory,
            "temp_directory": "",
        }
    )
    every = [str(path) for paths in files.values() for path in paths]
    database.execute(f"set allowed_paths = {_list(every)}")
    database.execute("set parquet_metadata_cache = true")  # a report asks the same footers some 80 questions
    database.execute("create schema columns_of")
    for view, columns in VIEWS.items():
        database.register("empty", columns.empty_table())
        database.execute(f"create table columns_of.{view} as select * from empty")
        database.unregister("empty")
    for view, paths in files.items():
        parts = [f"select * from read_parquet({_list(map(str, paths))}, union_by_name = true)"] if paths else []
        parts += [f"select * from columns_of.{view}"] if view in VIEWS else []
        if parts:
            database.execute(f'create view "{view}" as ' + " union all by name ".join(parts))
    for setting in ("enable_external_access = false", "lock_configuration = true"):
        database.execute(f"set {setting}")
    return database


def _list(values: Iterable[str]) -> str:
    return "[" + ", ".join(map(literal, values)) + "]"
