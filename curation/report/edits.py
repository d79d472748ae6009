"""The chapter on edits: what each editing rule changed, and sampled changes as a diff."""

from __future__ import annotations

from itertools import groupby

from curation.catalog import Catalog
from curation.report.render import render
from curation.report.section import Section
from curation.text.display import line
from curation.text.pii import LONGEST

MAX_RULES = 40
SAMPLES = 4  # a rule
CHARACTERS = 300  # of what stood there, and of what stands there now


def edits(catalog: Catalog) -> Section | None:
    """Edits, documents and bytes per rule; None where nothing was edited."""
    rows = catalog.rows(
        f"""select rule, count(*) as edits, count(distinct id) as documents,
                   sum(length - strlen(after))::bigint as bytes
            from edits group by rule order by edits desc, rule limit {MAX_RULES}"""
    )
    if not rows:
        return None
    edited = catalog.rows("select count(distinct id) as n from edits")[0]["n"]
    body = render("edits.html", rows=rows, edited=edited, total=catalog.info["totals"]["records"])
    return Section("Edits", body, 65)


def samples(catalog: Catalog) -> Section | None:
    """A few edits of each rule with what stood there before; personal data is in no log."""
    shown = CHARACTERS + LONGEST
    rows = catalog.rows(
        f"""select rule, id, start, length, left(before, {shown}) as before, left(after, {shown}) as after
            from edits qualify row_number() over (partition by rule order by md5(id || start), start) <= {SAMPLES}
            order by rule, id, start"""
    )
    for row in rows:
        for side in ("before", "after"):
            row[side] = None if row[side] is None else line(row[side], CHARACTERS)
    if not rows:
        return None
    found = {rule: list(group) for rule, group in groupby(rows, key=lambda row: row["rule"])}
    return Section("Edits as a diff", render("edit_samples.html", found=found), 66, has_text=True)
