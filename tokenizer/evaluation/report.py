"""The evaluation as one HTML file: no script, nothing loaded, every untrusted string escaped.

Looks and filters are the curation report's (`curation.report`), so both read alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader
from markupsafe import Markup

from curation.report import figures
from curation.report.render import environment
from curation.text import display
from tokenizer.evaluation.bootstrap import Estimate
from tokenizer.evaluation.findings import FEW_UNITS, findings, languages
from tokenizer.evaluation.model import Evaluation, Group

MAX_CHART = 40
MAX_LANGUAGES = 200
MAX_CELLS = 300
TOKEN_CHARACTERS = 64


def page(made: Evaluation) -> str:
    """The whole page."""
    name = made.subjects[0]
    others = made.subjects[1:]
    rows = sorted(languages(made), key=lambda group: -group.bytes)
    cells = [group for group in made.groups if group.language is not None and group.domain is not None]
    charted = [group for group in rows if group.units >= FEW_UNITS][:MAX_CHART]
    template = _environment().get_template("evaluation.html.j2")
    return template.render(
        style=Markup(_source("style.css") + _source("evaluation.css")),
        made=made,
        name=name,
        others=others,
        total=made.group(),
        findings=findings(made),
        verdict=_verdict(made, rows),
        chart=_chart(charted, name, others[0] if others else None),
        charted=len(charted),
        languages=rows[:MAX_LANGUAGES],
        more_languages=max(0, len(rows) - MAX_LANGUAGES),
        domains=[group for group in made.groups if group.language is None and group.domain is not None],
        parity_rows=sorted(made.parity.languages, key=lambda one: -one.parity[name].value) if made.parity else [],
        cells=cells[:MAX_CELLS],
        more_cells=max(0, len(cells) - MAX_CELLS),
        few=FEW_UNITS,
        audit=made.audits[name],
        audits=[made.audits[one] for one in made.subjects],
        regret=any(group.scores[name].regret for group in made.groups),
    )


def _verdict(made: Evaluation, rows: Sequence[Group]) -> dict[str, Any] | None:
    """How the first tokenizer stands against the second: overall, and languages won, lost and open."""
    if len(made.subjects) < 2:
        return None
    name, other = made.subjects[:2]
    ratios = [ratio for group in rows if (ratio := group.scores[name].normalized_length.get(other))]
    won = sum(1 for ratio in ratios if ratio.high is not None and ratio.high < 1)
    lost = sum(1 for ratio in ratios if ratio.low is not None and ratio.low > 1)
    return {
        "other": other,
        "ratio": made.group().scores[name].normalized_length.get(other),
        "won": won,
        "lost": lost,
        "open": len(ratios) - won - lost,
    }


def _chart(rows: Sequence[Group], name: str, other: str | None) -> Markup | None:
    """A dot with its interval for each language: tokens relative to the other, or bytes per token."""
    found: list[tuple[str, Estimate]] = []
    for group in rows:
        score = group.scores[name]
        value = score.normalized_length.get(other) if other else score.bytes_per_token
        if value is not None:
            found.append((group.language or "", value))
    found.sort(key=lambda item: item[1].value, reverse=other is None)
    if not found:
        return None
    axis = f"tokens relative to {other} (left of 1 is fewer)" if other else "bytes per token"
    return _dots(found, axis, neutral=1.0 if other else None)


def _dots(rows: Sequence[tuple[str, Estimate]], axis: str, neutral: float | None) -> Markup:
    names = [display.name(label, 40) for label, _ in rows]
    values = [
        {
            "row": i, "value": one.value, "low": one.low if one.low is not None else one.value,
            "high": one.high if one.high is not None else one.value, "colour": _colour(one, neutral),
        }
        for i, (_, one) in enumerate(rows)
    ]  # fmt: skip
    y: dict[str, Any] = {"field": "row", "type": "ordinal", "axis": None, "scale": {"domain": list(range(len(rows)))}}
    scale = (
        {"type": "log", "nice": False, "padding": 12} if neutral else {"type": "linear", "zero": False, "padding": 12}
    )
    ticks: dict[str, Any] = {"title": display.name(axis, 120), "domain": False, "labelOverlap": True, "format": ".3~g"}
    if neutral:
        ticks["values"] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.5, 2, 3, 5, 10, 20]
    x = {"type": "quantitative", "scale": scale, "axis": ticks}
    layers: list[dict[str, Any]] = [
        {"data": {"values": values}, "mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.55},
         "encoding": {"y": y, "x": {"field": "low", **x}, "x2": {"field": "high"},
                      "color": {"field": "colour", "type": "nominal", "scale": None}}},
        {"data": {"values": values}, "mark": {"type": "circle", "size": 58, "opacity": 1},
         "encoding": {"y": y, "x": {"field": "value", **x},
                      "color": {"field": "colour", "type": "nominal", "scale": None}}},
        {"data": {"values": [{"row": i, "label": label} for i, label in enumerate(names)]},
         "mark": {"type": "text", "align": "right", "x": -8, "fontSize": 11.5, "color": "var(--ink)"},
         "encoding": {"y": y, "text": {"field": "label"}}},
    ]  # fmt: skip
    if neutral:
        line = {"data": {"values": [{"at": neutral}]}, "mark": {"type": "rule", "color": "var(--quiet)"},
                "encoding": {"x": {"field": "at", **x}}}  # fmt: skip
        layers.insert(0, line)
    margin = 4 + 0.8 * max(map(len, names), default=0)
    spec = {
        "width": 560, "height": {"step": 19}, "layer": layers,
        "padding": {"left": margin, "right": 14, "top": 2, "bottom": 2},
    }  # fmt: skip
    best, worst = display.name(rows[0][0], 40), display.name(rows[-1][0], 40)
    return figures.draw(
        spec, f"Languages: {axis}",
        f"{len(rows)} languages from {best} ({rows[0][1].value:.3g}) to {worst} ({rows[-1][1].value:.3g}), each with "
        "its 95 % interval. The table below the chart holds the numbers.",
    )  # fmt: skip


def _colour(one: Estimate, neutral: float | None) -> str:
    if neutral is None:
        return figures.KEPT
    if one.high is not None and one.high < neutral:
        return figures.KEPT
    return figures.REMOVED if one.low is not None and one.low > neutral else "var(--quiet)"


def estimate_html(one: Estimate | None, digits: int = 2) -> Markup:
    """A value and, smaller, its interval."""
    if one is None:
        return Markup("–")
    value = Markup("{}").format(f"{one.value:.{digits}f}")
    if one.low is None or one.high is None:
        return value
    return value + Markup('<span class="ci">{}</span>').format(f"{one.low:.{digits}f}–{one.high:.{digits}f}")


def percent_html(one: Estimate | None) -> Markup:
    """A share in per cent with its interval."""
    if one is None or one.low is None or one.high is None:
        return estimate_html(None if one is None else Estimate(100 * one.value), 1)
    return estimate_html(Estimate(100 * one.value, 100 * one.low, 100 * one.high), 1)


def change_html(one: Estimate | None) -> Markup:
    """A ratio of token counts as a change, coloured only where the interval leaves out 1."""
    if one is None:
        return Markup("–")
    kind = {figures.KEPT: "fewer", figures.REMOVED: "more"}.get(_colour(one, 1.0), "level")
    made = Markup('<span class="{}">{}</span>').format(kind, f"{100 * (one.value - 1):+.1f} %".replace("-", "−"))
    if one.low is None or one.high is None:
        return made
    ends = f"{100 * (one.low - 1):+.1f} … {100 * (one.high - 1):+.1f}".replace("-", "−")
    return made + Markup('<span class="ci">{}</span>').format(ends)


def token(text: str) -> str:
    """A token as plain text for the page: masked, clipped, spaces and controls visible (escaped by the template)."""
    return display.line(text, TOKEN_CHARACTERS).replace(" ", "␣")


@cache
def _environment() -> Environment:
    base = environment()
    loader = ChoiceLoader([PackageLoader("tokenizer"), base.loader])  # type: ignore[list-item]
    made = base.overlay(loader=loader)
    made.filters = {
        **base.filters, "estimate": estimate_html, "percent": percent_html, "change": change_html, "token": token,
    }  # fmt: skip
    return made


def _source(template: str) -> str:
    loader = _environment().loader
    assert loader is not None
    return loader.get_source(_environment(), template)[0]
