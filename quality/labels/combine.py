"""Several judges, one label: the mean, or the median where they disagree by two levels and three have judged.

Adjudication rule (reference §2.4): scores that differ by 2 or more, or categories that differ with both
confidences at 0.7 or more, want a third judge; with three the median wins, and the majority for the category.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from curation.pipeline.errors import UsageError
from quality.labels.table import FILE
from quality.rubric.rubric import DIMENSIONS, SECONDARY

FAR = 2  # levels
SURE = 0.7  # confidence
SCORES = (*DIMENSIONS, *SECONDARY)
COMBINED_SCHEMA = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("rubric", pa.string(), nullable=False),
        pa.field("judges", pa.int32(), nullable=False),
        *(pa.field(name, pa.float64(), nullable=False) for name in DIMENSIONS),
        *(pa.field(name, pa.float64()) for name in SECONDARY),
        *(
            pa.field(f"{name}_sd", pa.float64(), nullable=False) for name in DIMENSIONS
        ),  # over judges, ddof 1; 0 for one
        pa.field("label_sd", pa.float64(), nullable=False),  # root mean square of those: a training weight
        pa.field("category", pa.string(), nullable=False),
        pa.field("category2", pa.string()),
        pa.field("confidence", pa.float32()),
        pa.field("weight", pa.float64(), nullable=False),
        pa.field("stage", pa.int8(), nullable=False),
        pa.field("chars", pa.int64()),
        pa.field("text_hash", pa.binary(16)),
        pa.field("needs_third_judge", pa.bool_(), nullable=False),
    ]
)


def combine(tables: Sequence[pa.Table]) -> pa.Table:
    """One row of COMBINED_SCHEMA per document, ordered by doc_id; independent of the order of rows and tables.

    The same row in two tables counts once.  UsageError where one judge gave a document two different labels,
    where rubrics differ, or where two labels are of different texts (text_hash).
    """
    documents: dict[str, dict[str, tuple[dict[str, Any], str]]] = {}
    versions: dict[str, str] = {}
    for number, table in enumerate(tables, 1):
        name = (table.schema.metadata or {}).get(FILE, f"table {number}".encode()).decode()
        for row in table.to_pylist():
            versions.setdefault(row["rubric"], name)
            judges = documents.setdefault(row["doc_id"], {})
            known = judges.setdefault(row["judge"], (row, name))
            if _label(known[0]) != _label(row):
                raise UsageError(
                    f"document {row['doc_id']!r} has two labels by {row['judge']!r}: in {known[1]} and {name}",
                    "remove one; a repeated judgement needs a name of its own, such as `judge#2`",
                )
    if len(versions) > 1:
        told = ", ".join(f"{version} ({name})" for version, name in sorted(versions.items()))
        raise UsageError(f"labels by different rubrics: {told}", "label again with one of them")
    rows = [_combined(key, [row for _, (row, _) in sorted(documents[key].items())]) for key in sorted(documents)]
    return pa.Table.from_pylist(rows, COMBINED_SCHEMA)


def _label(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in (*DIMENSIONS, *SECONDARY, "category", "category2"))


def _combined(doc_id: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    hashes = {row["text_hash"] for row in rows} - {None}
    if len(hashes) > 1:
        raise UsageError(f"document {doc_id!r}: its labels are of different texts", "label the present text again")
    sds = {f"{name}_sd": _sd([row[name] for row in rows]) for name in DIMENSIONS}
    confidences = [row["confidence"] for row in rows if row["confidence"] is not None]
    lengths = {row["chars"] for row in rows} - {None}
    return {
        "doc_id": doc_id,
        "rubric": rows[0]["rubric"],
        "judges": len(rows),
        **{name: _level([row[name] for row in rows], [_continuous(row, name) for row in rows]) for name in SCORES},
        **sds,
        "label_sd": float(np.sqrt(np.mean(np.square(list(sds.values()))))),
        "category": _majority(rows, "category"),
        "category2": _majority(rows, "category2"),
        "confidence": float(np.mean(confidences)) if confidences else None,
        "weight": max(row["weight"] for row in rows),  # 1 stands for "unknown"
        "stage": max(row["stage"] for row in rows),
        "chars": max(lengths) if lengths else None,
        "text_hash": next(iter(hashes), None),
        "needs_third_judge": len(rows) == 2 and _disagree(*rows),
    }


def _continuous(row: dict[str, Any], name: str) -> float | None:
    """The judge's expectation where there is one, else its level."""
    expected = row.get(f"{name}_expected")
    return row[name] if expected is None else float(expected)


def _level(levels: list[int | None], values: list[float | None]) -> float | None:
    """Median or mean of `values`, by how far the `levels` are apart."""
    known = [level for level in levels if level is not None]
    if not known:
        return None
    given = [value for value in values if value is not None]
    far = max(known) - min(known) >= FAR
    return float(np.median(given)) if far and len(given) > 2 else float(np.mean(given))


def _sd(values: list[int]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _majority(rows: list[dict[str, Any]], name: str) -> str | None:
    """The most frequent value; a tie goes to the summed confidence, then to the alphabet."""
    votes: dict[str, tuple[int, float]] = {}
    for row in rows:
        if row[name] is not None:
            count, confidence = votes.get(row[name], (0, 0.0))
            votes[row[name]] = (count + 1, confidence + (row["confidence"] or 0.0))
    return min(votes, key=lambda value: (-votes[value][0], -round(votes[value][1], 6), value)) if votes else None


def _disagree(a: dict[str, Any], b: dict[str, Any]) -> bool:
    far = any(abs(a[name] - b[name]) >= FAR for name in DIMENSIONS)
    sure = min(a["confidence"] or 0.0, b["confidence"] or 0.0) >= SURE - 1e-6  # stored as float32
    return far or (a["category"] != b["category"] and sure)
