"""Charts of the analysis pages: intervals as dots, shares of levels, calibration, curves.

Drawn by `curation.report.figures`: static SVG whose colours are CSS variables of the page; names are data values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from curation.report import figures
from curation.text import display
from quality.analysis.resampling import Interval

GOOD, BAD, PLAIN = figures.KEPT, figures.REMOVED, "var(--quiet)"
LEVEL_COLOURS = tuple(f"var(--level-{level})" for level in range(6))
NAME_CHARACTERS = 40


@dataclass(frozen=True)
class Dot:
    """A labelled value with its interval."""

    label: str
    value: Interval
    colour: str = GOOD


@dataclass(frozen=True)
class Line:
    """A named series of (x, y, lo, hi)."""

    label: str
    colour: str
    points: Sequence[tuple[float, float, float, float]]


def dots(
    rows: Sequence[Dot], title: str, axis: str, *, marks: Sequence[float] = (),
    domain: tuple[float, float] | None = None,
) -> Markup | None:  # fmt: skip
    """One row a value, thin line for its interval, dashed lines at `marks`; None where no value is defined."""
    rows = [one for one in rows if not math.isnan(one.value.value)]
    if not rows:
        return None
    names = [display.name(one.label, NAME_CHARACTERS) for one in rows]
    values: list[dict[str, Any]] = [
        {"row": i, "value": one.value.value, "low": _or(one.value.lo, one.value.value),
         "high": _or(one.value.hi, one.value.value), "colour": one.colour}
        for i, one in enumerate(rows)
    ]  # fmt: skip
    y = {"field": "row", "type": "ordinal", "axis": None, "scale": {"domain": list(range(len(rows)))}}
    scale: dict[str, Any] = {"zero": False, "nice": domain is None, "padding": 8}
    if domain:
        lows, highs = ([float(one[end]) for one in values] for end in ("low", "high"))
        scale = {"domain": [min(domain[0], *lows), max(domain[1], *highs)], "nice": False}
    x = {"type": "quantitative", "scale": scale, "axis": {"title": axis, "domain": False, "format": ".3~g"}}
    colour = {"field": "colour", "type": "nominal", "scale": None}
    spec = {
        "width": 520, "height": {"step": 22},
        "padding": {"left": 4 + 0.8 * max(map(len, names)), "right": 14, "top": 2, "bottom": 2},
        "layer": [
            {"data": {"values": [{"at": at} for at in marks]},
             "mark": {"type": "rule", "color": "var(--ink)", "strokeDash": [3, 2]},
             "encoding": {"x": {"field": "at", **x}}},
            {"data": {"values": values}, "mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.55},
             "encoding": {"y": y, "x": {"field": "low", **x}, "x2": {"field": "high"}, "color": colour}},
            {"data": {"values": values}, "mark": {"type": "circle", "size": 58, "opacity": 1},
             "encoding": {"y": y, "x": {"field": "value", **x}, "color": colour}},
            {"data": {"values": [{"row": i, "label": name} for i, name in enumerate(names)]},
             "mark": {"type": "text", "align": "right", "x": -8, "fontSize": 11.5, "color": "var(--ink)"},
             "encoding": {"y": y, "text": {"field": "label"}}},
        ],
    }  # fmt: skip
    said = ", ".join(f"{name} {one.value.value:.3g}" for name, one in zip(names[:12], rows, strict=False))
    return figures.draw(
        spec, title, f"{axis}: {said}{' and more' if len(rows) > 12 else ''}. A table holds the numbers."
    )


def levels(rows: Sequence[tuple[str, Sequence[float]]], title: str) -> Markup:
    """Stacked shares of the levels 0–5, a bar for each row."""
    made = []
    for label, shares in rows:
        edges = np.concatenate([[0.0], np.cumsum(shares)]).tolist()
        parts = [(LEVEL_COLOURS[k], edges[k], edges[k + 1]) for k in range(len(shares))]
        made.append(figures.Bar(label, parts))
    return figures.bars(made, title, "Shares of the levels; the table holds the numbers.", axis="", share=True)


def calibration(points: Sequence[tuple[float, float, float, float]], title: str, top: float) -> Markup:
    """Mean outcome (with interval) against mean prediction per bin of equal mass; the diagonal is perfect."""
    values = [
        {"x": x, "y": y, "low": max(0.0, _or(lo, y)), "high": min(top, _or(hi, y))} for x, y, lo, hi in points
    ]  # fmt: skip
    across = _quantitative("x", "predicted", [0, top])
    up = _quantitative("y", "judged", [0, top])
    spec = {
        "width": 230, "height": 230,
        "layer": [
            {"data": {"values": [{"x": 0, "y": 0}, {"x": top, "y": top}]},
             "mark": {"type": "line", "color": "var(--quiet)", "strokeDash": [3, 2], "strokeWidth": 1},
             "encoding": {"x": across, "y": up}},
            {"data": {"values": values}, "mark": {"type": "rule", "color": GOOD, "strokeWidth": 2, "opacity": 0.5},
             "encoding": {"x": across, "y": {**up, "field": "low"}, "y2": {"field": "high"}}},
            {"data": {"values": values}, "mark": {"type": "circle", "color": GOOD, "size": 46, "opacity": 1},
             "encoding": {"x": across, "y": up}},
        ],
    }  # fmt: skip
    worst = max((abs(y - x) for x, y, _, _ in points), default=0.0)
    return figures.draw(spec, title, f"{len(points)} bins of equal mass; the furthest is off by {worst:.2f}.")


def lines(series: Sequence[Line], title: str, across: str, up: str, *, logarithmic: bool = False) -> Markup:
    """Lines with points and a band for the interval; the page's legend names the colours."""
    values: list[dict[str, Any]] = [
        {"line": i, "x": x, "y": y, "low": _or(lo, y), "high": _or(hi, y), "colour": one.colour}
        for i, one in enumerate(series)
        for x, y, lo, hi in one.points
    ]
    at = sorted({float(one["x"]) for one in values})
    x: dict[str, Any] = {
        "field": "x", "type": "quantitative",
        "scale": {"type": "log" if logarithmic else "linear", "zero": False, "nice": False, "padding": 10},
        "axis": {"title": across, "values": at, "format": "~s", "grid": False, "labelOverlap": True},
    }  # fmt: skip
    y: dict[str, Any] = {
        "field": "y", "type": "quantitative", "scale": {"zero": False},
        "axis": {"title": up, "tickCount": 5, "domain": False},
    }  # fmt: skip
    shared: dict[str, Any] = {
        "color": {"field": "colour", "type": "nominal", "scale": None},
        "detail": {"field": "line", "type": "nominal"},
    }
    spec = {
        "width": 460, "height": 220, "data": {"values": values},
        "layer": [
            {"mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.4},
             "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, **shared}},
            {"mark": {"type": "line", "strokeWidth": 1.5}, "encoding": {"x": x, "y": y, **shared}},
            {"mark": {"type": "circle", "size": 46, "opacity": 1}, "encoding": {"x": x, "y": y, **shared}},
        ],
    }  # fmt: skip
    ends = "; ".join(f"{display.name(one.label, 40)} ends at {one.points[-1][1]:.3g}" for one in series if one.points)
    return figures.draw(spec, title, f"{up} against {across}: {ends}.")


def _quantitative(field: str, title: str, domain: list[float]) -> dict[str, Any]:
    return {
        "field": field, "type": "quantitative", "scale": {"domain": domain, "nice": False},
        "axis": {"title": title, "tickCount": 6, "format": ".3~g", "domain": False},
    }  # fmt: skip


def _or(value: float, other: float) -> float:
    return other if math.isnan(value) else value
