"""Chapters made of counts: summary, funnel, thresholds, rules, languages, sources, extractors.

Every number is an aggregate that the catalog computes; nothing here grows with the corpus.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from curation.catalog import Catalog, RuleCount
from curation.report.figures import ELSEWHERE, KEPT, QUARANTINED, REMOVED, Bar, bars, histogram
from curation.report.render import render
from curation.report.section import Section

MAX_BARS = 30
MAX_ROWS = 100
MAX_SOURCE_COLUMNS = 8
MAX_HISTOGRAMS = 40  # some 15 kB each


def summary(catalog: Catalog) -> dict[str, Any]:
    """What the head of the page shows; `found` are the counts in the files, `totals` those of the run."""
    info = catalog.info
    found = Counter[str]()
    for row in catalog.funnel().to_pylist():
        found[row["outcome"]] += row["records"]
    cpu_s = sum(step["cpu_s"] for step in info["steps"])
    return {
        "info": info,
        "totals": info["totals"],
        "found": {name: found[name] for name in ("kept", "removed", "quarantined")},
        "balanced": info["totals"]["records"] == found.total(),
        "tasks": sum(step["tasks"] for step in info["steps"]),
        "reused": sum(step["reused"] for step in info["steps"]),
        "cpu_s": cpu_s,
        "speed": info["totals"]["input_bytes"] / 1e6 / info["wall_s"] if info["wall_s"] else None,
        "speed_core": info["totals"]["input_bytes"] / 1e6 / cpu_s if cpu_s else None,
    }


def rule_order(catalog: Catalog, names: set[str]) -> list[str]:
    """Rules in the order in which they act: reading, then the config's `clean:` list, dedup, the rest."""
    thresholds = [threshold.key for threshold in catalog.thresholds]
    config = catalog.info["config"]
    clean = [next(iter(item)) for item in config.get("clean") or []]
    later = list(config)

    def position(name: str) -> tuple[int, int, str]:
        part = name.partition(".")[0]
        if name in thresholds:
            return clean.index("rules") if "rules" in clean else 0, thresholds.index(name), name
        if part in clean:
            return clean.index(part), -1, name
        if part in later:
            return len(clean) + later.index(part), 0, name
        return -1, int(part == "extract"), name  # while reading: the record first, then its text

    return sorted(names, key=position)


def funnel(catalog: Catalog) -> Section:
    """How many records are left after each rule, and which share of each source it takes."""
    rows = catalog.funnel().to_pylist()
    sizes, removed = Counter[str](), Counter[str]()
    cells: Counter[tuple[str, str]] = Counter()
    for row in rows:
        sizes[row["source"]] += row["records"]
        stage = {"kept": "kept", "removed": f"{row['rule']}", "quarantined": "quarantined"}[row["outcome"]]
        cells[stage, row["source"]] += row["records"]
        if row["outcome"] == "removed":
            removed[stage] += row["records"]
    quarantined = sum(n for (stage, _), n in cells.items() if stage == "quarantined")
    order = rule_order(catalog, set(removed))
    rare = set(order) - {name for name, _ in removed.most_common(MAX_BARS)}
    left, chart, table = sizes.total() - quarantined, [], []
    chart.append(Bar("records in", [(KEPT, 0, left), (QUARANTINED, left, left + quarantined)]))
    for name in order:
        left -= removed[name]
        table.append({"rule": name, "removed": removed[name], "left": left})
        if name not in rare:
            chart.append(Bar(name, [(ELSEWHERE, 0, left), (REMOVED, left, left + removed[name])]))
    chart.append(Bar("kept", [(KEPT, 0, left)]))
    body = render(
        "funnel.html",
        chart=bars(chart, "Records left after each rule", f"From {sizes.total():,} to {left:,}.", axis="records"),
        rows=table, rare=len(rare), total=sizes.total(), quarantined=quarantined, kept=left,
        columns=[name for name, _ in sizes.most_common(MAX_SOURCE_COLUMNS)], sizes=sizes, cells=cells,
    )  # fmt: skip
    return Section("Funnel", body, 10)


def thresholds(catalog: Catalog) -> Section | None:
    """A histogram of every thresholded statistic."""
    counted = catalog.rule_counts()[:MAX_HISTOGRAMS]
    charts = [
        {"rule": one, "data": data, "chart": histogram(data)}
        for one, data in zip(counted, catalog.histograms([one.threshold for one in counted]), strict=True)
        if data is not None
    ]
    if not charts:
        return None
    return Section("Thresholds", render("thresholds.html", charts=charts), 20)


def rules(catalog: Catalog) -> Section | None:
    """Every rule with what it removes first, fails at all, and fails alone; None where there are no rules."""
    counted: dict[str, list[RuleCount]] = {}  # several where the same rule has other values for other sources
    for one in catalog.rule_counts():
        counted.setdefault(one.threshold.key, []).append(one)
    removed = {row["rule"]: row for row in _removed_by_rule(catalog)}
    order = rule_order(catalog, set(removed) | set(counted))
    if not order:
        return None
    total = catalog.info["totals"]["records"]
    return Section("Rules", render("rules.html", order=order, removed=removed, counted=counted, total=total), 30)


def _removed_by_rule(catalog: Catalog) -> list[dict[str, Any]]:
    return catalog.rows(
        "select removed_by as rule, count(*) as records, sum(byte_count)::bigint as bytes from removed group by 1"
    )


def _kept_and_removed(catalog: Catalog, column: str) -> list[dict[str, Any]]:
    """name, kept, removed, bytes_kept per value of a column, the largest first."""
    return catalog.rows(
        f"""select name, count(*) filter (kept) as kept, count(*) filter (not kept) as removed,
                   coalesce(sum(byte_count) filter (kept), 0)::bigint as bytes_kept
            from (select "{column}" as name, byte_count, true as kept from documents
                  union all select "{column}", byte_count, false from removed)
            group by name order by count(*) desc, name"""
    )


def languages(catalog: Catalog) -> Section | None:
    """Languages by kept and removed; None where no step identified any."""
    rows = _kept_and_removed(catalog, "language")
    if all(row["name"] is None for row in rows):
        return None
    for row in rows:
        row["name"] = row["name"] or "not identified"
    chart = bars(
        [Bar(one["name"], [(KEPT, 0, one["kept"]), (REMOVED, one["kept"], one["kept"] + one["removed"])])
         for one in rows[:MAX_BARS]],
        "Documents by language", "Kept and removed documents of the most frequent languages.", axis="documents",
    )  # fmt: skip
    body = render("languages.html", chart=chart, rows=rows[:MAX_ROWS], more=len(rows) - MAX_ROWS, bars=MAX_BARS)
    return Section("Languages", body, 40)


def sources(catalog: Catalog) -> Section:
    """What each source gave and what was kept of it."""
    rows = [{"name": name} | counts for name, counts in catalog.info["sources"].items()]
    rows.sort(key=lambda row: (-row["records"], row["name"]))
    parts = [(KEPT, "documents"), (REMOVED, "removed"), (QUARANTINED, "quarantined")]
    chart = []
    for row in rows[:MAX_BARS]:
        ends = [sum(row[key] for _, key in parts[:i]) / (row["records"] or 1) for i in range(len(parts) + 1)]
        chart.append(Bar(row["name"], [(parts[i][0], ends[i], ends[i + 1]) for i in range(len(parts))]))
    drawn = bars(
        chart, "Fate of each source's records", "Share kept, removed and quarantined of each source.",
        axis="share of the source's records", share=True,
    )  # fmt: skip
    body = render("sources.html", chart=drawn, rows=rows[:MAX_ROWS], more=len(rows) - MAX_ROWS)
    return Section("Sources", body, 50)


def extractors(catalog: Catalog) -> Section | None:
    """Which extractor the texts come from; None where no text was extracted."""
    rows = _kept_and_removed(catalog, "extractor")
    if all(row["name"] is None for row in rows):
        return None
    return Section("Extractors", render("extractors.html", rows=rows[:MAX_ROWS]), 60)
