"""The label table: one row per (document, judge), checked against the rubric when read.

A judge that labels a document twice (test–retest) does so under two names, such as `m` and `m#2`.
Reference: quality_mixing §2.3–2.4.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from curation.pipeline.errors import UsageError
from curation.pipeline.shards import sync_directory, temporary_name
from quality.labels.files import check_file, read_rows
from quality.rubric.rubric import DIMENSIONS, LEVELS, SECONDARY, Rubric

UNKNOWN_STAGE = 0  # 1: uniform over strata; 2: inverse to the predicted level
LABEL_SCHEMA = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("rubric", pa.string(), nullable=False),
        pa.field("judge", pa.string(), nullable=False),
        *(pa.field(name, pa.int8(), nullable=False) for name in DIMENSIONS),
        *(pa.field(name, pa.int8()) for name in SECONDARY),
        # the judge's expectation over the digits 0–5, where its server gives log-probabilities
        *(pa.field(f"{name}_expected", pa.float32()) for name in DIMENSIONS),
        pa.field("category", pa.string(), nullable=False),
        pa.field("category2", pa.string()),
        pa.field("confidence", pa.float32()),  # the judge's own, 0 to 1
        pa.field("weight", pa.float64(), nullable=False),  # 1 / probability of having been chosen; 1 where unknown
        pa.field("stage", pa.int8(), nullable=False),
        pa.field("chars", pa.int64()),  # characters of the whole document
        pa.field("text_hash", pa.binary(16)),  # of the whole document, see `text_hash`
        pa.field("evidence", pa.string()),
        pa.field("raw", pa.large_string()),  # the reply as it came
    ]
)
_ALWAYS = ("doc_id", "rubric", "judge", "weight", "stage")
PARTIAL_SCHEMA = pa.schema([field.with_nullable(field.name not in _ALWAYS) for field in LABEL_SCHEMA])  # imported sets
FILE = b"file"  # schema metadata: where the table was read from, for messages


def text_hash(text: str | bytes) -> bytes:
    """xxh3-128 of the UTF-8 bytes, 16 bytes: says whether a label is of this very text."""
    return xxhash.xxh3_128_digest(text.encode() if isinstance(text, str) else text)


def read_labels(path: Path | str, rubric: Rubric, *, partial: bool = False) -> pa.Table:
    """A label file as LABEL_SCHEMA, in the file's order; other fields are left out.

    partial: a label may lack scores or category (as imported ones do); the table has PARTIAL_SCHEMA.

    UsageError names file and line of: a missing field, a score that is no whole number 0–5, an unknown category,
    another rubric version, the same (doc_id, judge) twice.
    """
    path = check_file(Path(path), "labels")
    rows = (_row(row, rubric, f"{path}:{n}", partial) for n, row in read_rows(path, LABEL_SCHEMA.names))
    return _table(rows, str(path), PARTIAL_SCHEMA if partial else LABEL_SCHEMA)


def label_table(rows: Iterable[dict[str, Any]], rubric: Rubric, name: str = "labels") -> pa.Table:
    """Rows made in memory as a checked table; `name` stands in messages for the file."""
    return _table((_row(row, rubric, f"{name}:{n}") for n, row in enumerate(rows, 1)), name)


def write_labels(table: pa.Table, path: Path | str) -> None:
    """Write as Parquet, to a temporary name first; columns may be nullable where the table's are (imported labels)."""
    path = Path(path)
    schema = pa.schema([f.with_nullable(f.nullable or table.schema.field(f.name).nullable) for f in LABEL_SCHEMA])
    temporary = temporary_name(path)
    try:
        pq.write_table(table.select(LABEL_SCHEMA.names).cast(schema), temporary, compression="zstd")
        with open(temporary, "rb+") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)


def _table(rows: Iterable[tuple[str, dict[str, Any]]], name: str, schema: pa.Schema = LABEL_SCHEMA) -> pa.Table:
    seen: dict[tuple[str, str], str] = {}
    kept = []
    for place, row in rows:
        key = (row["doc_id"], row["judge"])
        if key in seen:
            raise UsageError(
                f"{place}: document {key[0]!r} was judged by {key[1]!r} already ({seen[key]})",
                "a second judgement needs a name of its own, such as `judge#2`",
            )
        seen[key] = place
        kept.append(row)
    return pa.Table.from_pylist(kept, schema).replace_schema_metadata({FILE: name.encode()})


def _row(row: dict[str, Any], rubric: Rubric, place: str, partial: bool = False) -> tuple[str, dict[str, Any]]:
    """One checked row."""
    missing = {name for name in (*DIMENSIONS, "category") if partial and row.get(name) is None}
    out: dict[str, Any] = {name: _string(row, name, place) for name in ("doc_id", "rubric", "judge")}
    out["category"] = None if "category" in missing else _string(row, "category", place)
    if out["rubric"] != rubric.version:
        raise UsageError(
            f"{place}: a label by rubric {out['rubric']!r}, not {rubric.version!r}",
            f"read it with that rubric, or label again with {rubric.version}",
        )
    for name in DIMENSIONS:
        out[name] = None if name in missing else _score(row.get(name), name, place)
    for name in SECONDARY:
        out[name] = None if row.get(name) is None else _score(row[name], name, place)
    for name in DIMENSIONS:
        out[f"{name}_expected"] = _number(row, f"{name}_expected", None, 0.0, LEVELS - 1, place)
    out["category2"] = None if row.get("category2") is None else _string(row, "category2", place)
    for name in ("category", "category2"):
        if out[name] is not None:
            check_category(out[name], rubric, f"{place}: {name}")
    out["confidence"] = _number(row, "confidence", None, 0.0, 1.0, place)
    out["weight"] = _number(row, "weight", 1.0, 0.0, math.inf, place)
    if out["weight"] == 0:
        raise UsageError(f"{place}: weight 0", "it is 1 / probability of having been chosen, so above 0")
    out["stage"] = int(_number(row, "stage", UNKNOWN_STAGE, 0, 2, place) or 0)
    chars = _number(row, "chars", None, 0, 2**62, place)
    out["chars"] = None if chars is None else int(chars)
    out["text_hash"] = _hash(row.get("text_hash"), place)
    for name in ("evidence", "raw"):
        out[name] = None if row.get(name) is None else _string(row, name, place)
    return place, out


def check_category(name: str, rubric: Rubric, place: str) -> None:
    """UsageError with the nearest name where the rubric has no such category."""
    if name not in rubric.category_names:
        near = get_close_matches(name, rubric.category_names, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"the categories are {', '.join(rubric.category_names)}"
        raise UsageError(f"{place}: unknown category {name[:80]!r}", hint)


def _string(row: dict[str, Any], name: str, place: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or (not value and name not in ("evidence", "raw")):
        raise UsageError(f"{place}: no `{name}` that is a string", f"fields: {', '.join(map(str, row))[:300]}")
    return value


def _score(value: Any, name: str, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < LEVELS:
        shown = "missing" if value is None else repr(value)[:40]
        hint = f"a whole number 0 to {LEVELS - 1} is expected"
        hint += "; labels without scores serve `curate quality agreement` only" if value is None else ""
        raise UsageError(f"{place}: {name} is {shown}", hint)
    return value


def _number(row: dict[str, Any], name: str, default: float | None, low: float, high: float, place: str) -> float | None:
    value = row.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high or math.isinf(value):
        raise UsageError(f"{place}: {name} is {value!r:.40}", f"a number from {low:g} to {high:g} is expected")
    return value


def _hash(value: Any, place: str) -> bytes | None:
    if isinstance(value, str):
        try:
            value = bytes.fromhex(value)
        except ValueError:
            value = b""
    if value is not None and not (isinstance(value, bytes) and len(value) == 16):
        raise UsageError(f"{place}: text_hash is no 128-bit hash", "32 hexadecimal digits are expected")
    return value
