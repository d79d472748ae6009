"""The chapter on duplicates: cluster sizes, the largest clusters, and pairs of texts side by side."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from curation.catalog import Catalog
from curation.report.differences import side_by_side
from curation.report.render import render
from curation.report.section import Section
from curation.text.display import prefix
from curation.text.pii import LONGEST

MAX_CLUSTERS = 20
COPIES = 3  # named per cluster
PAIRS = 12  # shown side by side: of the largest clusters, and those nearest to the threshold
TEXT_CHARACTERS = 1_200


def sizes(catalog: Catalog) -> Section | None:
    """The documents that stand for most others; None where no copy was found."""
    largest = catalog.rows(
        f"""select id, source, url, duplicate_count from documents where duplicate_count > 1
            order by duplicate_count desc, id limit {MAX_CLUSTERS}"""
    )
    if not largest:
        return None
    by_size = catalog.rows(
        """select 2 ** floor(log2(duplicate_count))::integer as low, count(*) as clusters,
                  sum(duplicate_count - 1)::bigint as copies
           from documents where duplicate_count > 1 group by low order by low"""
    )
    examples = catalog.rows(
        f"""select kept_id, removed_id, rule, jaccard, containment from clusters
            where kept_id in (select unnest($1))
            qualify row_number() over (partition by kept_id order by jaccard, removed_id) <= {COPIES}
            order by kept_id, jaccard, removed_id""",
        [[row["id"] for row in largest]],
    )
    copies = {kept: list(group) for kept, group in groupby(examples, key=lambda row: row["kept_id"])}
    return Section("Duplicates", render("duplicates.html", largest=largest, sizes=by_size, copies=copies), 80)


def pairs(catalog: Catalog) -> Section | None:
    """Near-duplicates with both texts; None where only exact copies were found."""
    rows = catalog.rows(
        f"""with near as (
                select c.*, d.duplicate_count from clusters c join documents d on d.id = c.kept_id
                where c.jaccard < 1
            ), chosen as (
                (select *, 'largest clusters' as why from near
                 qualify row_number() over (partition by kept_id order by jaccard, removed_id) = 1
                 order by duplicate_count desc, kept_id limit {PAIRS // 2})
                union all by name
                (select *, 'least alike' as why from near
                 order by greatest(jaccard, containment), removed_id limit {PAIRS // 2})
            )
            select why, removed_id, kept_id, jaccard, containment, bands, chosen.duplicate_count,
                   {_shown("r", "removed")}, {_shown("k", "kept")}
            from chosen join removed r on r.id = removed_id join documents k on k.id = kept_id
            order by why, chosen.duplicate_count desc, jaccard, removed_id"""
    )
    if not rows:
        return None
    shown = {f"{row['removed_id']}\0{row['kept_id']}": _compared(row) for row in rows}
    return Section("Near-duplicates side by side", render("pairs.html", pairs=list(shown.values())), 81, has_text=True)


def _shown(table: str, name: str) -> str:
    """SQL for a text's beginning and its length."""
    return f"left({table}.text, {TEXT_CHARACTERS + LONGEST}) as {name}, length({table}.text) as {name}_characters"


def _compared(row: dict[str, Any]) -> dict[str, Any]:
    texts = [prefix(row[side] or "", row[f"{side}_characters"] or 0, TEXT_CHARACTERS) for side in ("removed", "kept")]
    removed, kept = side_by_side(*texts)
    return {**row, "removed": removed, "kept": kept}
