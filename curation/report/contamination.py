"""The chapter on decontamination: benchmark items found in documents, by benchmark and kind, with both texts.

Also the chapter of `curate trace`.  Texts come from the ledger clipped, and are masked before they are shown.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

from curation.catalog import Catalog, Fate
from curation.report.render import render
from curation.report.section import Section
from curation.text.display import block, line, name

MAX_BENCHMARKS = 60
SAMPLES = 4  # a benchmark and kind
MAX_GROUPS = 40
MAX_BAD_LINES = 20
TEXT_CHARACTERS = 900
TRACED = 20  # hits of one document


def contamination(catalog: Catalog) -> Section | None:
    """Items found per benchmark and kind; None where the run looked for none."""
    if "benchmark_items" not in catalog.files:
        return None
    benchmarks = catalog.rows(
        f"""with items as (
                select benchmark, count(*) as items, count(*) filter (status = 'too short') as short
                from benchmark_items where benchmark is not null group by benchmark
            ), found as (
                select benchmark, count(distinct item) filter (action <> 'reported') as items_found,
                       count(distinct item) filter (kind <> 'answer_only' and action = 'reported') as below,
                       count(distinct item) filter (kind = 'answer_only') as answers_found,
                       count(distinct id) filter (action = 'cut') as cut,
                       count(distinct id) filter (action = 'removed') as removed
                from contamination group by benchmark
            )
            select items.*, coalesce(items_found, 0) as items_found, coalesce(below, 0) as below,
                   coalesce(answers_found, 0) as answers_found, coalesce(cut, 0) as cut, coalesce(removed, 0) as removed
            from items left join found using (benchmark)
            order by items_found desc, answers_found desc, benchmark limit {MAX_BENCHMARKS}"""
    )
    kinds = catalog.rows(
        """select benchmark, kind, action, count(distinct item) as items, count(distinct id) as documents,
                  sum(length)::bigint as bytes, median(containment) as containment
           from contamination group by all order by benchmark, kind, action"""
    )
    bad = catalog.rows(
        f"""select file, line, detail from benchmark_items where status = 'malformed'
            order by file, line limit {MAX_BAD_LINES}"""
    )
    total = catalog.rows("select count(*) filter (status = 'malformed') as n from benchmark_items")[0]["n"]
    body = render("contamination.html", benchmarks=benchmarks, kinds=kinds, bad=bad, total_bad=total)
    return Section("Decontamination", body, 84)


def samples(catalog: Catalog) -> Section | None:
    """Hits of each benchmark and kind with the text of the document beside that of the item."""
    if "contamination" not in catalog.files:
        return None
    rows = catalog.rows(
        f"""with ranked as (
                select *, row_number() over (partition by benchmark, kind order by md5(id || item), start) as place,
                       count(*) over (partition by benchmark, kind) as hits
                from contamination
            )
            select * from ranked where place <= {SAMPLES} order by hits desc, benchmark, kind, place"""
    )
    groups = [(key, list(some)) for key, some in groupby(rows, key=lambda row: (row["benchmark"], row["kind"]))]
    if not groups:
        return None
    for _, some in groups[:MAX_GROUPS]:
        for row in some:
            row["document_text"], row["item_text"] = (
                block(row[side], TEXT_CHARACTERS) for side in ("document_text", "item_text")
            )
    body = render("contamination_samples.html", groups=groups[:MAX_GROUPS], omitted=len(groups[MAX_GROUPS:]))
    return Section("Benchmark items beside the documents", body, 85, has_text=True)


def trace(catalog: Catalog, fate: Fate) -> list[tuple[str, list[tuple[str, Any]]]]:
    """The chapter of one document's fate: every item found in it."""
    if "contamination" not in catalog.files or "id" not in fate.row:
        return []
    found = catalog.rows("select * from contamination where id = $1 order by start, benchmark, item", [fate.row["id"]])
    rows: list[tuple[str, Any]] = [
        (
            f"{row['action']} at byte {row['start']:,}",
            f"{name(row['benchmark'])} {name(row['item'])}: {row['kind']}, containment {row['containment']:.2f}, "
            f"{row['length']:,} bytes: {line(row['document_text'], 120)}",
        )
        for row in found[:TRACED]
    ]
    if len(found) > TRACED:
        rows.append(("", f"… and {len(found) - TRACED:,} more"))
    return [("contamination", rows)] if rows else []
