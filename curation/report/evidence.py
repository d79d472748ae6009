"""Chapters that show single records: removed documents per rule, quarantine.

Texts are fetched as prefixes and pass the `prefix` filter; the number of records is bounded.
"""

from __future__ import annotations

from collections import Counter
from itertools import groupby

from curation.catalog import Catalog
from curation.report.counts import rule_order
from curation.report.render import render
from curation.report.section import Section

SAMPLES = 3  # a rule
MAX_RULES = 40  # with samples, those that remove most
TEXT_CHARACTERS = 1_000  # of a sample: 40 rules × 3 texts of marks only (12 bytes each) are 1.4 MB
MAX_QUARANTINED = 100


def removed(catalog: Catalog) -> Section | None:
    """A few documents that each rule removed, with the value that decided."""
    counts = Counter[str](catalog.info["removed_by"])
    common = {rule for rule, _ in counts.most_common(MAX_RULES)}
    rows = catalog.samples(None, SAMPLES, seed=catalog.info.get("seed", 0)).to_pylist()
    found = {rule: list(group) for rule, group in groupby(rows, key=lambda row: row["removed_by"]) if rule in common}
    if not found:
        return None
    conditions = {threshold.key: threshold.condition for threshold in catalog.thresholds}
    body = render(
        "removed.html", order=rule_order(catalog, set(found)), found=found, counts=counts, conditions=conditions,
        opened=max(found, key=lambda rule: counts[rule]), omitted=len(counts) - len(found), characters=TEXT_CHARACTERS,
    )  # fmt: skip
    return Section("Removed documents", body, 70, has_text=True)


def quarantine(catalog: Catalog) -> Section | None:
    """Damaged records with file and offset; None where there are none."""
    total = catalog.info["totals"]["quarantined"]
    if not total:
        return None
    rows = catalog.rows(
        f"""select source, file, record, "offset", reason, detail from quarantine
            order by reason, source, file, record limit {MAX_QUARANTINED}"""
    )
    body = render("quarantine.html", rows=rows, total=total, reasons=catalog.info["quarantine"])
    return Section("Quarantine", body, 90)
