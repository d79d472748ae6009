"""The chapters on tags in a run's report: how scores spread over sources, categories and buckets; examples to read."""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson
from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from curation.catalog import SAMPLE_CHARACTERS, Catalog
from curation.report.render import environment
from curation.report.section import Section
from curation.text.display import name, prefix
from quality.rubric.rubric import DIMENSIONS
from quality.step import LABELER, LABELER_FILE, SUMMARY, SUMMARY_FILE
from quality.tagging.catalog import TAGS
from quality.tagging.spread import FLAT_DOCUMENTS, FLAT_SD

MOST_SOURCES = 24
EXAMPLES = 5  # a bucket
TEXT_CHARACTERS = 700
BIN = 0.25  # of a level


def tags(catalog: Catalog) -> Section | None:
    """None where the run tags nothing."""
    from quality.tagging.charts import histograms

    path = catalog.directory / SUMMARY / SUMMARY_FILE
    if TAGS not in catalog.files or not path.is_file():
        return None
    summary = orjson.loads(path.read_bytes())
    labeler = orjson.loads((catalog.directory / LABELER / LABELER_FILE).read_bytes())
    sources = sorted(summary["sources"], key=lambda row: (-row["documents"], row["source"]))
    cells = catalog.rows(
        f"""select category, bucket, count(*) as documents, sum(byte_count)::bigint as bytes
            from {TAGS} group by all order by category, bucket"""
    )
    counts = catalog.rows(
        f"""select count(*) as documents, count(*) filter (low_confidence) as unsure,
                   count(*) filter (split = 'holdout') as holdout from {TAGS}"""
    )[0]
    shown = [row["source"] for row in sources[:MOST_SOURCES]]
    body = _environment().get_template("run_section.html.j2").render(
        summary=summary, card=_card(labeler["card"]), sources=sources[:MOST_SOURCES],
        omitted=len(sources[MOST_SOURCES:]), counts=counts, dimensions=DIMENSIONS, flat=FLAT_SD,
        flat_documents=FLAT_DOCUMENTS, summary_file=SUMMARY_FILE, cells=_table(cells),
        charts=[histograms(one, _binned(catalog, one, shown), BIN) for one in DIMENSIONS] if cells else [],
    )  # fmt: skip
    return Section("Quality tags", Markup(body), 86)


def samples(catalog: Catalog) -> Section | None:
    """Documents of each bucket, drawn by hash."""
    if TAGS not in catalog.files:
        return None
    rows = catalog.rows(
        f"""with chosen as (
                select doc_key, id, bucket, mix_score, category, category_p, low_confidence, {", ".join(DIMENSIONS)},
                       row_number() over (partition by bucket order by md5(id)) as place from {TAGS}
            )
            select chosen.*, documents.source, length(text) as characters, left(text, {SAMPLE_CHARACTERS}) as text
            from chosen join documents using (doc_key) where place <= {EXAMPLES} order by bucket, place"""
    )
    for row in rows:
        row["text"] = prefix(row["text"], row["characters"], TEXT_CHARACTERS)
    buckets = [(bucket, [row for row in rows if row["bucket"] == bucket]) for bucket in range(5)]
    if not rows:
        return None
    body = (
        _environment()
        .get_template("run_samples.html.j2")
        .render(buckets=buckets, dimensions=DIMENSIONS, examples=EXAMPLES)
    )
    return Section("Documents of each quality bucket", Markup(body), 87, has_text=True)


def _card(card: dict[str, Any]) -> str:
    return orjson.dumps(card, option=orjson.OPT_INDENT_2).decode() if card else ""


def _binned(catalog: Catalog, dimension: str, sources: list[str]) -> list[dict[str, Any]]:
    """source, bin (lower end, in levels), documents."""
    rows = catalog.rows(
        f"""select source, least(floor({dimension} / {BIN}), {round(5 / BIN) - 1}) * {BIN} as low, count(*) as documents
            from {TAGS} group by all order by source, low"""
    )
    return sorted((row for row in rows if row["source"] in sources), key=lambda row: sources.index(row["source"]))


def _table(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row a category: bytes by bucket, largest category first."""
    rows: dict[str, dict[str, Any]] = {}
    for cell in cells:
        row = rows.setdefault(
            cell["category"], {"category": name(cell["category"], 60), "documents": 0, "bytes": [0] * 5}
        )
        row["documents"] += cell["documents"]
        row["bytes"][cell["bucket"]] = cell["bytes"]
    return sorted(rows.values(), key=lambda row: (-sum(row["bytes"]), row["category"]))


@cache
def _environment() -> Environment:
    return environment().overlay(loader=PackageLoader("quality"))
