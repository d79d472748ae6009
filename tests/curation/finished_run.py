"""Writes a small finished run as the engine leaves it, with hostile documents, for the catalog and the report."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curation.catalog_views import CLUSTER_COLUMNS, DOCUMENT_COLUMNS, REMOVED_COLUMNS
from curation.pipeline.hashing import hash64
from curation.pipeline.schema import QUARANTINE_SCHEMA

STATS = pa.field("stats", pa.struct([(n, pa.int64()) for n in ("words", "lines", "duplicate_lines", "stop_words")]))
THRESHOLDS = [
    ("gopher-repetition.dup_line_frac", "duplicate_lines", "lines", ">", 0.3),
    ("gopher-quality.min_words", "words", None, "<", 50),
    ("gopher-quality.max_words", "words", None, ">", 100_000),
    ("gopher-quality.min_stop_words", "stop_words", None, "<", 2),
]
EVIL = "<script>alert(1)</script>"
HOSTILE = {
    "script": f"{EVIL}<img src=x onerror=alert(2)>{{{{ 7*7 }}}}",
    "ansi": "\x1b[31mred\x1b]0;title\x07 \x9b31m back\x08space \x00 nul",
    "line": "mail me at jane.doe@mail.example.org " + "x" * (10_000_000 - 37),
    "bidi": "user\u202egnp.exe\u2066 zero\u200bwidth\ufeff تعليم \u061c",
    "blank": "",
}
SENTENCE = "The river carries sand from the hills to the sea, and the towns along it kept records of floods. "


def write_run(run: Path, records: int = 600) -> Path:
    """`runs/<run>`: ordinary documents and the hostile ones, decided by THRESHOLDS and exact dedup.

    Three sources, links into step folders, one Parquet file without rows.
    """
    rows = [_ordinary(i) for i in range(records)]
    for i, (name, text) in enumerate(HOSTILE.items()):
        verdict = {"removed_by": f"junk.{name}{EVIL}", "removed_detail": f"{EVIL} > 0"}
        rows.append(_row("web", f"web/{EVIL}.warc.gz#{i}", text, 5, 9) | verdict)
    for row in rows:
        row["removed_by"], row["removed_detail"] = _decide(row)
    kept = [row for row in rows if row["removed_by"] is None]
    ledger = [_copy(kept[0], copy) for copy in kept[1:8]] + [_copy(kept[8], kept[9])]
    removed = [row for row in rows if row["removed_by"] is not None]
    kept = [row for row in kept if row["removed_by"] is None]
    quarantine = [
        {"source": "web", "file": f"crawl/{EVIL}.warc.gz", "record": 17, "offset": 48_213, "reason": "truncated",
         "detail": f"unexpected end of data {EVIL}", "sample": b"\xff\xfe<b>\x1b[2J jane@example.org"},
        {"source": "books", "file": "books.jsonl", "record": None, "offset": None, "reason": "malformed_json",
         "detail": "expected ',' at column 12", "sample": None},
    ]  # fmt: skip
    half = len(kept) // 2
    documents = DOCUMENT_COLUMNS.append(STATS)
    _write(run, "documents", "a", kept[:half], documents)
    _write(run, "documents", "b", kept[half:], documents)
    _write(run, "documents", "empty", [], documents)
    _write(run, "removed", "a", removed, REMOVED_COLUMNS.append(STATS))
    _write(run, "quarantine", "a", quarantine, QUARANTINE_SCHEMA)
    _write(run, "clusters", "a", ledger, CLUSTER_COLUMNS)
    (run / "run.json").write_text(json.dumps(_info(run.name, kept, removed, quarantine)))
    return run


def _ordinary(i: int) -> dict[str, Any]:
    chance = random.Random(i)
    source = ("web", "books", "wiki")[i % 3]
    words = int(chance.lognormvariate(5, 1.4)) + 1
    text = (SENTENCE * (words // 18 + 1))[: words * 5]
    row = _row(source, f"{source}/part-{i % 4}.jsonl#{i}", text, words, chance.randint(0, 9))
    row["stats"]["duplicate_lines"] = int(row["stats"]["lines"] * chance.betavariate(0.6, 4))
    row |= {"language": chance.choice(["en", "en", "en", "de", "fr"]), "language_score": 0.9}
    if i % 29 == 0:
        row |= {"removed_by": "language.other", "removed_detail": "cy 0.91", "language": "cy", "stats": None}
    return row


def _row(source: str, id: str, text: str, words: int, stop_words: int) -> dict[str, Any]:
    stats = {"words": words, "lines": words // 12 + 1, "duplicate_lines": 0, "stop_words": stop_words}
    return {
        "id": id, "doc_key": hash64(id), "text": text, "source": source, "url": f"https://example.org/{id}",
        "date": "2024-05-01T00:00:00Z", "license": None, "extractor": "resiliparse" if source == "web" else None,
        "offset": 0, "metadata": None, "language": "en", "language_score": 0.5, "stats": stats,
        "content_hash": hash64(text).to_bytes(16, "little"), "duplicate_count": 1, "cluster": hash64(id),
        "byte_count": len(text.encode()), "removed_by": None, "removed_detail": None,
    }  # fmt: skip


def _decide(row: dict[str, Any]) -> tuple[str | None, str | None]:
    if row["removed_by"]:
        return row["removed_by"], row["removed_detail"]
    for key, numerator, denominator, remove_if, limit in THRESHOLDS:
        value = row["stats"][numerator] / (row["stats"][denominator] if denominator else 1)
        if value < limit if remove_if == "<" else value > limit:
            return key, f"{value:.4g} {remove_if} {limit:g}"
    return None, None


def _copy(original: dict[str, Any], copy: dict[str, Any]) -> dict[str, Any]:
    original["duplicate_count"] += 1
    copy |= {"removed_by": "dedup.exact", "removed_detail": original["id"], "cluster": original["doc_key"]}
    scores = {"jaccard": 1.0, "containment": 1.0, "bands": None, "rule": "dedup.exact"}
    return {"removed_id": copy["id"], "kept_id": original["id"]} | scores


def _write(run: Path, view: str, name: str, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    """As the engine does: the file in a step's folder, a relative link in the run's."""
    target = run.parent / view / "0123abcd" / f"{name}.parquet"
    target.parent.mkdir(parents=True, exist_ok=True)
    (run / view).mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema), target)
    (run / view / f"{name}.parquet").symlink_to(os.path.relpath(target, run / view))


def _info(name: str, kept: list[Any], removed: list[Any], quarantine: list[Any]) -> dict[str, Any]:
    def counts(source: str | None) -> dict[str, int]:
        parts = [[row for row in part if source in (None, row["source"])] for part in (kept, removed, quarantine)]
        sizes = [sum(row["byte_count"] for row in part) for part in parts[:2]]
        return {
            "records": sum(map(len, parts)), "documents": len(parts[0]), "removed": len(parts[1]),
            "quarantined": len(parts[2]), "input_bytes": 2 * sum(sizes), "text_bytes_in": sum(sizes),
            "text_bytes_kept": sizes[0],
        }  # fmt: skip

    step = {"version": 1, "tasks": 4, "reused": 1, "wall_s": 3.5, "cpu_s": 3.25, "max_rss_mb": 212.5}
    return {
        "run": name, "finished": "2026-11-21T08:00:00+00:00", "seed": 17, "plan": "cd" * 16, "digest": "ef" * 16,
        "config": {"run": name, "seed": 17, "sources": {"web": {"read": "warc", "paths": [f"{EVIL}.warc.gz"]}},
                   "clean": [{"language": {"keep": ["en"]}}, {"rules": {"presets": ["gopher-quality"]}}],
                   "dedup": {"exact": {}}},
        "totals": counts(None), "sources": {source: counts(source) for source in ("web", "books", "wiki")},
        "removed_by": dict(Counter(row["removed_by"] for row in removed)),
        "quarantine": dict(Counter(row["reason"] for row in quarantine)),
        "thresholds": [dict(zip(("key", "numerator", "denominator", "remove_if", "value"), t, strict=True))
                       for t in THRESHOLDS],
        "steps": [{"step": one, "digest": "ab" * 16} | step for one in ("read", "rules", "exact", "documents")],
        "wall_s": 14.2, "workers": 2, "versions": {"curate-lm": "0.1.0", "pyarrow": "26.0.1"},
        "warnings": [f"2 damaged record(s) are in quarantine {EVIL}"],
    }  # fmt: skip
