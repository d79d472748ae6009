"""Counting the cells of a run's documents: one pass of DuckDB over Parquet, bounded memory, exact sums.

No sampling clause and no hash() of DuckDB: neither repeats across versions.  All sums are of whole
numbers, so neither the order of rows nor the cut into shards can change them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import duckdb
import numpy as np

from curation.pipeline.errors import UsageError
from mixing.inventory.cells import KEYS, Cells
from mixing.inventory.columns import HOLDOUT, Split, column_sql, key_sql
from mixing.inventory.natural import LARGE, UNITS, Duplicates, weight_units

MEMORY_LIMIT = "256MB"
NEEDED = ("source", "token_count")
BUCKETS = 5


@dataclass(frozen=True, eq=False)
class Inventory:
    """The cells, how they were cut, and what stands beside them (documents, tokens)."""

    cells: Cells
    split: Split
    duplicates: Duplicates
    end_tokens: int
    holdout: tuple[int, int]
    untagged: tuple[int, int]
    empty: int = 0  # documents without a token: packing drops them, so they stand in no cell

    def to_json(self) -> dict[str, Any]:
        """Everything but the cells' rows."""
        return {
            "keys": list(self.split.keys),
            "length_edges": list(self.split.length_edges),
            "duplicates": self.duplicates,
            "end_tokens": self.end_tokens,
            "holdout": {"documents": self.holdout[0], "tokens": self.holdout[1]},
            "empty": {"documents": self.empty},
            "untagged": {"documents": self.untagged[0], "tokens": self.untagged[1]},
        }


def read_inventory(
    files: Sequence[Path],
    split: Split | None = None,
    *,
    duplicates: Duplicates = "none",
    untagged: Literal["error", "keep"] = "keep",
    end_tokens: int = 1,
    memory: str = MEMORY_LIMIT,
    scratch: Path | None = None,
) -> Inventory:
    """Count the documents in these Parquet files (shards of documents or tags) into cells.

    end_tokens: added to each document's token_count; packing ends every document with one token.
    Hold-out documents and those without a token, which packing drops, are counted apart: no cell has them.
    Raises UsageError: no file, no token counts, a score that is NaN or infinite, a bucket above 4, a
    negative count, tags missing under `untagged="error"`, no duplicate_count where it is asked for.
    """
    split = split or Split()
    with _database(memory, scratch) as database:
        there = _columns(database, files)
        if duplicates != "none" and "duplicate_count" not in there:
            raise UsageError(
                f"mix.duplicates: {duplicates}: the documents have no duplicate_count", "add `dedup:` to the run"
            )
        values = ", ".join(f"{sql} as {name}" for name, sql in column_sql(there, end_tokens).items())
        database.execute(f"create view documents as select {values}, {_identity(there)} as name from shards")
        _check(database)
        holdout = _count(database, f"split = '{HOLDOUT}'")
        bare = _count(database, f"untagged and split <> '{HOLDOUT}' and plain > 0")
        if untagged == "error" and bare[0]:
            raise UsageError(
                f"{bare[0]:,} documents have no quality tags", "add `quality:` to the run, or set `untagged: keep`"
            )
        empty, _ = _count(database, f"split <> '{HOLDOUT}' and plain = 0")
        cells = _cells(database, split, duplicates)
    return Inventory(cells, split, duplicates, end_tokens, holdout, bare, empty)


@contextmanager
def _database(memory: str, scratch: Path | None) -> Iterator[duckdb.DuckDBPyConnection]:
    with tempfile.TemporaryDirectory(dir=scratch, prefix="inventory") as folder:
        database = duckdb.connect(":memory:")
        try:
            database.execute(f"set memory_limit='{memory}'")
            database.execute("set threads=1")
            database.execute("set enable_progress_bar=false")
            database.execute("set temp_directory=$1", [folder])
            yield database
        finally:
            database.close()


def _columns(database: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> list[str]:
    if not files:
        raise UsageError("there is not one shard of documents to mix", "run `curate run` up to its mix section")
    shards = database.read_parquet([str(one) for one in sorted(files)], union_by_name=True)
    shards.create_view("shards")
    there = list(shards.columns)
    for name in NEEDED:
        if name not in there:
            raise UsageError(f"the documents have no column {name!r}", "a mix needs the `tokenizer:` section before it")
    return there


def _identity(there: Sequence[str]) -> str:
    """A document's name for messages."""
    return "id" if "id" in there else "doc_key::varchar" if "doc_key" in there else "'?'"


def _check(database: duckdb.DuckDBPyConnection) -> None:
    for wrong, what, remedy in (
        ("plain is null", "without a token_count", "run the tokenizer step over all documents"),
        ("plain < 0", "with a negative token_count", "run the tokenizer step again"),
        ("isnan(score) or isinf(score)", "with a mix_score that is not a finite number", "tag them again"),
        (f"bucket < -1 or bucket >= {BUCKETS}", f"with a bucket outside 0 to {BUCKETS - 1}", "tag them again"),
        ("duplicates < 1", "with a duplicate_count below 1", "run dedup again"),
        ("split not in ('train', 'holdout')", "with a split that is neither train nor holdout", "tag them again"),
        ("source is null", "without a source", "read them again"),
    ):
        count, first = database.execute(f"select count(*), min(name) from documents where {wrong}").fetchall()[0]
        if count:
            raise UsageError(f"{count:,} documents {what}, the first {first!r}", remedy)


def _count(database: duckdb.DuckDBPyConnection, where: str) -> tuple[int, int]:
    found = database.execute(f"select count(*), coalesce(sum(tokens), 0) from documents where {where}").fetchall()
    return int(found[0][0]), int(found[0][1])


def _cells(database: duckdb.DuckDBPyConnection, split: Split, duplicates: Duplicates) -> Cells:
    keys = ", ".join(f"{sql} as {name}_" for name, sql in key_sql(split).items())
    weight = f"$1[least(duplicates, {LARGE}) + 1]"
    rows = database.execute(
        f"""select {keys}, sum(tokens)::bigint, count(*), max(tokens),
                   sum(round(score * {UNITS})::hugeint * tokens), sum({weight}::hugeint * tokens)
            from documents where split <> '{HOLDOUT}' and plain > 0 group by all""",
        [weight_units(duplicates).tolist()],
    ).fetchall()
    rows.sort(key=lambda row: row[: len(KEYS)])
    columns = list(zip(*rows, strict=True)) if rows else [()] * 10
    source, category, bucket, language, length, tokens, documents, longest, scores, weights = columns
    unit = [count * UNITS for count in tokens]
    return Cells(
        source=source,
        category=category,
        bucket=np.array(bucket, np.int8),
        tokens=np.array(tokens, np.int64),
        documents=np.array(documents, np.int64),
        score=np.array([int(s) / u if u else 0.0 for s, u in zip(scores, unit, strict=True)], np.float64),
        longest=np.array(longest, np.int64),
        language=language,
        length=length,
        natural=np.array([int(w) / UNITS for w in weights], np.float64),
    )
