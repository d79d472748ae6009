"""Chapters that show single records: removed documents per rule, largest duplicate clusters, quarantine.

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
MAX_CLUSTERS = 20
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


def duplicates(catalog: Catalog) -> Section | None:
    """The documents that stand for most others; None where no copy was found."""
    largest = catalog.rows(
        f"""select id, source, url, duplicate_count from documents where duplicate_count > 1
            order by duplicate_count desc, id limit {MAX_CLUSTERS}"""
    )
    if not largest:
        return None
    sizes = catalog.rows(
        """select 2 ** floor(log2(duplicate_count))::integer as low, count(*) as clusters,
                  sum(duplicate_count - 1)::bigint as copies
           from documents where duplicate_count > 1 group by low order by low"""
    )
    examples = catalog.rows(
        """select kept_id, removed_id, rule, jaccard from clusters
           where kept_id in (select unnest($1))
           qualify row_number() over (partition by kept_id order by removed_id) <= 3
           order by kept_id, removed_id""",
        [[row["id"] for row in largest]],
    )
    copies = {kept: list(group) for kept, group in groupby(examples, key=lambda row: row["kept_id"])}
    return Section("Duplicates", render("duplicates.html", largest=largest, sizes=sizes, copies=copies), 80)


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
