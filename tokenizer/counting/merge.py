"""Count tables of shards into one: DuckDB sorts the rows in bounded memory, those of equal keys are added."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.pipeline.barrier import spill_database
from curation.pipeline.errors import CurateError, UsageError
from tokenizer.counting.table import COUNTS_SCHEMA, ROW_GROUP_ROWS, CountsInfo, counts_info, read_batches, write_rows

MEMORY = 1 << 30  # bytes that DuckDB may hold; beyond it spills beside the target
LEAST_MEMORY = 256 << 20  # with less its sort fails

NUMBERED = pa.schema(
    [
        pa.field("word", pa.large_binary(), nullable=False),
        pa.field("grp", pa.int32(), nullable=False),
        pa.field("n", pa.int64(), nullable=False),
        pa.field("documents", pa.int64(), nullable=False),
    ]
)


def merge_counts(paths: Sequence[Path], target: Path, *, memory: int = MEMORY) -> CountsInfo:
    """Write the sum of the tables at `paths` to `target` (it may be one of them); returns what it holds.

    The same bytes for any order of `paths` and any split of the texts into them.  Raises UsageError where two
    tables were counted differently, CurateError where a file is damaged.
    """
    if not paths:
        raise UsageError("no count tables to merge", "give at least one")
    first, *others = (counts_info(path) for path in paths)
    total = first
    for path, info in zip(paths[1:], others, strict=True):
        if info.method != first.method:
            raise UsageError(
                f"{path} was counted differently from {paths[0]}: {_differences(first, info)}",
                "count both with the same pattern and clip",
            )
        total = total.plus(info)
    target.parent.mkdir(parents=True, exist_ok=True)
    with spill_database(target.parent) as database:
        database.execute(f"set memory_limit='{max(memory, LEAST_MEMORY)}B'")
        write_rows(target, total, _sums(database, paths))
    return total


def _sums(database: duckdb.DuckDBPyConnection, paths: Sequence[Path]) -> Iterator[pa.Table]:
    """The merged rows in order.

    Read through Arrow, which verifies page checksums (DuckDB does not), with language and domain as one small
    number, in the order of their bytes: that halves DuckDB's work.
    """
    groups = sorted({group for path in paths for group in _groups(path)})
    number = {group: k for k, group in enumerate(groups)}
    languages, domains = (pa.array([group[k].decode() for group in groups], pa.string()) for k in (0, 1))
    numbered = (_numbered(batch, number) for path in paths for batch in read_batches(path))
    database.register("counted", pa.RecordBatchReader.from_batches(NUMBERED, numbered))
    try:
        ordered = database.sql("select word, grp, n, documents from counted order by word, grp")
        for rows in _add_equal(ordered.to_arrow_reader(ROW_GROUP_ROWS)):
            word, group, n, documents = rows.columns
            columns = [word, languages.take(group), domains.take(group), n, documents]
            yield pa.Table.from_arrays(columns, schema=COUNTS_SCHEMA)
    except (duckdb.Error, OSError) as error:
        if "is damaged or cut short" in str(error):  # ours, through DuckDB's reader
            raise CurateError(*_own_message(str(error))) from None
        raise
    finally:
        database.unregister("counted")


def _add_equal(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Sorted rows with those of equal (word, group) added: half the time of DuckDB's own `group by`.

    The rows of the last key wait for the next batch, which may hold more of them.
    """
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        rows = pa.concat_batches([*waiting, batch.cast(NUMBERED)])
        if len(rows):
            starts = _starts(rows)
            yield _sum_rows(rows.slice(0, starts[-1]), starts[:-1])
            waiting = [rows.slice(starts[-1])]
    for rows in waiting:
        yield _sum_rows(rows, np.zeros(1, np.int64))


def _starts(rows: pa.RecordBatch) -> NDArray[np.int64]:
    """Where each (word, group) begins."""
    new = np.ones(len(rows), bool)
    words, groups = rows["word"], np.asarray(rows["grp"])
    new[1:] = np.asarray(pc.not_equal(words.slice(1), words.slice(0, len(words) - 1))) | (groups[1:] != groups[:-1])
    return np.flatnonzero(new)


def _sum_rows(rows: pa.RecordBatch, starts: NDArray[np.int64]) -> pa.RecordBatch:
    if len(starts) == len(rows):  # nothing to add
        return rows
    one = rows.take(pa.array(starts))
    sums = [pa.array(np.add.reduceat(np.asarray(rows[name]), starts)) for name in ("n", "documents")]
    return pa.RecordBatch.from_arrays([one["word"], one["grp"], *sums], schema=NUMBERED)


def _groups(path: Path) -> set[tuple[bytes, bytes]]:
    """The (language, domain) pairs of a table, as bytes."""
    found = set[tuple[bytes, bytes]]()
    for batch in read_batches(path, ["language", "domain"]):
        names, codes = _pairs(batch)
        found.update(names[code] for code in np.unique(codes))
    return found


def _numbered(batch: pa.RecordBatch, number: dict[tuple[bytes, bytes], int]) -> pa.RecordBatch:
    """The rows with the number of their group instead of its names."""
    names, codes = _pairs(batch)
    of_name = np.array([number.get(name, -1) for name in names], np.int32)
    columns = [batch["word"], pa.array(of_name[codes]), batch["n"], batch["documents"]]
    return pa.RecordBatch.from_arrays(columns, schema=NUMBERED)


def _pairs(batch: pa.RecordBatch) -> tuple[list[tuple[bytes, bytes]], NDArray[np.int64]]:
    """All (language, domain) that the batch's dictionaries could name, and which each row has."""
    language, domain = batch["language"], batch["domain"]
    names = [
        (one.encode(), other.encode())
        for one in language.dictionary.to_pylist()
        for other in domain.dictionary.to_pylist()
    ]
    codes = np.asarray(language.indices, np.int64) * len(domain.dictionary) + np.asarray(domain.indices)
    return names, codes


def _own_message(text: str) -> tuple[str, str]:
    message, _, remedy = text[text.index("CurateError: ") + len("CurateError: ") :].partition("\n  → ")
    return message, remedy.splitlines()[0]


def _differences(one: CountsInfo, other: CountsInfo) -> str:
    names = ("pattern", "expressions", "clip", "Unicode table", "thinning")
    pairs = zip(names, one.method, other.method, strict=True)
    return ", ".join(f"{name} {b!r} against {a!r}" for name, a, b in pairs if a != b)
