"""The chapter on the mix in a run's report: what it takes of each category, bucket and cell, and how often."""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson
from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from curation.catalog import Catalog
from curation.report.render import environment
from curation.report.section import Section
from mixing.step import MIX
from mixing.summary import WAYS, at_cap, by, dots, repeats, squares

PLAN = "plan.json"
ORDER = 88
MOST_CATEGORIES, MOST_SOURCES = 32, 24


def mixed(catalog: Catalog) -> Section | None:
    """None where the run makes no mix."""
    path = catalog.directory / MIX / PLAN
    if not path.is_file():
        return None
    return Section("Mix", Markup(body(orjson.loads(path.read_bytes()))), ORDER)


def body(record: dict[str, Any]) -> str:
    """HTML of what plan.json says."""
    from mixing import charts

    cells = record["cells"]
    rows, columns, fields = squares(cells, MOST_CATEGORIES)
    copies = repeats(record)
    categories, sources = by(cells, "category"), by(cells, "source")
    return _environment().get_template("run_section.html.j2").render(
        record=record,
        effective=sum(cell["effective"] for cell in cells),
        clipped=sum(at_cap(cell) for cell in cells),
        heat=charts.heat_maps(rows, columns, fields),
        heat_note="Share of all tokens by category and quality bucket (0 lowest), and what the mix makes of it: "
        "a ratio above 1 is more than its share. A dot: no such documents.",
        epochs=charts.epochs(*dots(cells)),
        repeats=copies,
        repeats_chart=charts.repeats(copies) if copies else "",
        ways=[way for way in WAYS if copies and way in copies[0]],
        distance=(record.get("repeats") or {}).get("distance"),
        ablation=record.get("ablation"),
        dumbbells=[
            charts.dumbbell(categories[:MOST_CATEGORIES], "category"), charts.dumbbell(sources[:MOST_SOURCES], "source")
        ],
        tables=[
            ("category", categories[:MOST_CATEGORIES], len(categories[MOST_CATEGORIES:])),
            ("source", sources[:MOST_SOURCES], len(sources[MOST_SOURCES:])),
        ],
        bounds=[("Floors", _binding(record["floors"])), ("Ceilings", _binding(record["ceilings"]))],
        needs=record.get("stage_needs"),
    )  # fmt: skip


def _binding(bounds: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that make a difference, the largest first."""
    rows = [
        {"name": name, **one, "short": max(one["asked"] - one["held"], 0.0)}
        for name, one in bounds.items()
        if one["binds"] or one["held"] < one["asked"] * (1 - 1e-6)
    ]
    return sorted(rows, key=lambda row: (-row["asked"], row["name"]))


@cache
def _environment() -> Environment:
    return environment().overlay(loader=PackageLoader("mixing"))
