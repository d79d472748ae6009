"""`curate trace`: one document's whole fate, chapter by chapter.

Other parts add chapters (tags, sampling, packing) through the entry-point group
`curate.trace`: a callable `(Catalog, Fate) -> list[(heading, [(label, value), …])]`.
"""

from __future__ import annotations

from typing import Any

import orjson

from curation.catalog import Catalog, Fate, open_run
from curation.commands.output import find_run, print_json, print_line
from curation.histogram import StoredThreshold
from curation.pipeline import registry
from curation.text.display import block, line, name, raw

Chapter = tuple[str, list[tuple[str, Any]]]
TEXT_CHARACTERS = 600
COPIES_SHOWN = 10
EDITS_SHOWN = 20
EDIT_CHARACTERS = 120


def trace_document(text: str, id: str, *, as_json: bool) -> None:
    """Print every chapter; texts are masked, clipped and safe to show."""
    with open_run(find_run(text)) as catalog:
        fate = catalog.document(id)
        chapters = [("fate", _verdict(fate)), *_chapters(catalog, fate)]
        for point in sorted(registry.door("curate.trace")):
            chapters += registry.load("curate.trace", point)(catalog, fate)
    if as_json:
        print_json({"id": id, "outcome": fate.outcome, **{heading: _as_json(rows) for heading, rows in chapters}})
        return
    for heading, rows in chapters:
        print_line(heading)
        width = max((len(label) for label, _ in rows), default=0)
        for label, value in rows:
            first, *rest = str(value).split("\n")
            print_line(f"  {label:<{width}}  {first}")
            for more in rest:
                print_line(f"  {'':<{width}}  {more}")


def _as_json(rows: list[tuple[str, Any]]) -> dict[str, Any]:
    """A label that stands more than once (copies) gets a list."""
    values: dict[str, list[Any]] = {}
    for label, value in rows:
        values.setdefault(label, []).append(value)
    return {label: some[0] if len(some) == 1 else some for label, some in values.items()}


def _verdict(fate: Fate) -> list[tuple[str, Any]]:
    row = fate.row
    if fate.outcome == "quarantined":
        return [("outcome", "quarantined"), ("reason", row["reason"]), ("detail", line(row["detail"]))]
    if fate.outcome == "removed":
        detail = line(row["removed_detail"] or "")
        return [("outcome", "removed"), ("by", row["removed_by"]), ("detail", detail)]
    return [("outcome", "kept")]


def _chapters(catalog: Catalog, fate: Fate) -> list[Chapter]:
    if fate.outcome == "quarantined":
        row = fate.row
        place = [(key, row[key]) for key in ("source", "file", "record", "offset") if row[key] is not None]
        return [("record", [(k, name(str(v))) for k, v in place]), ("first bytes", [("", raw(row["sample"] or b""))])]
    chapters = (_record(fate.row), _rules(catalog, fate.row), _edits(catalog, fate.row), _copies(fate), _text(fate.row))
    return [chapter for chapter in chapters if chapter[1]]


def _record(row: dict[str, Any]) -> Chapter:
    keys = ("source", "offset", "url", "date", "license", "extractor", "byte_count")
    rows = [(key, line(str(row[key]))) for key in keys if row.get(key) is not None]
    metadata = orjson.loads(row["metadata"]) if row.get("metadata") else {}
    rows += [(line(str(key), 40), line(str(value))) for key, value in metadata.items()]
    return "record", rows


def _rules(catalog: Catalog, row: dict[str, Any]) -> Chapter:
    """Every threshold with the document's value, in the order applied; the first that fails removes."""
    rows: list[tuple[str, Any]] = []
    if row.get("language") is not None:
        rows.append(("language", f"{row['language']} (score {row['language_score']:.3f})"))
    for threshold in catalog.thresholds:
        counts = row.get(threshold.column)
        if counts is None or not threshold.looks_at(row["source"]):
            continue
        value, limit = _value(threshold, counts), threshold.limit(row.get("language"))
        mark = "  ← removed here" if row.get("removed_by") == threshold.key else ""
        shown = "no value" if value is None else f"{value:.6g}"
        rows.append((threshold.key, f"{shown:>10}  removed if {threshold.remove_if} {limit:g}{mark}"))
    return "rules", rows


def _value(threshold: StoredThreshold, counts: dict[str, int]) -> float | None:
    value = float(counts[threshold.numerator])
    if threshold.denominator is None:
        return value
    return value / counts[threshold.denominator] if counts[threshold.denominator] else None


def _edits(catalog: Catalog, row: dict[str, Any]) -> Chapter:
    """The changes to the text, in the order in which they were made."""
    found = catalog.rows("select rule, start, before, after from edits where id = $1", [row["id"]])
    rows: list[tuple[str, Any]] = []
    for one in found[:EDITS_SHOWN]:
        before = "personal data, not kept" if one["before"] is None else line(one["before"], EDIT_CHARACTERS)
        after = f"  →  {line(one['after'], EDIT_CHARACTERS)}" if one["after"] else ""
        rows.append((f"{one['rule']} at byte {one['start']:,}", before + after))
    if len(found) > EDITS_SHOWN:
        rows.append(("", f"… and {len(found) - EDITS_SHOWN:,} more"))
    return "edits", rows


def _copies(fate: Fate) -> Chapter:
    rows: list[tuple[str, Any]] = []
    if fate.row.get("duplicate_count"):
        rows.append(("duplicate_count", fate.row["duplicate_count"]))
    for one in fate.ledger[:COPIES_SHOWN]:
        scores = f"{one['rule']}, jaccard {one['jaccard']:.3f}, containment {one['containment']:.3f}"
        if one["bands"] is not None:
            scores += f", {one['bands']} shared bands"
        if one["removed_id"] == fate.row["id"]:
            rows.append(("copy of", f"{name(one['kept_id'])} ({scores})"))
        else:
            rows.append(("stands for", f"{name(one['removed_id'])} ({scores})"))
    if len(fate.ledger) > COPIES_SHOWN:
        rows.append(("", f"… and {len(fate.ledger) - COPIES_SHOWN:,} more"))
    return "duplicates", rows


def _text(row: dict[str, Any]) -> Chapter:
    return "text", [("", block(row["text"], TEXT_CHARACTERS))] if row.get("text") else []
