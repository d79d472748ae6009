"""The charts of an experiment's page.  Shape, dash or position always says what colour says; names are data values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from curation.report import figures
from curation.text import display
from proxy_model.experiment.report.units import Unit

ARMS = (
    ("var(--quiet)", "square", [5, 3]),
    (figures.KEPT, "circle", [1, 0]),
    (figures.QUARANTINED, "diamond", [8, 3]),
    (figures.REMOVED, "triangle-up", [2, 2]),
)  # colour, shape and dash; the baseline is the first, arms beyond these repeat the candidates'
LABEL = 34  # characters of a row's name
WIDTH = 400  # narrow, so that a phone shows the whole chart
SIGNED = "datum.value == 0 ? '0' : format(datum.value, '+.3~g')"


@dataclass(frozen=True)
class Row:
    """estimate and interval in shown units; strong: filled mark; total: the suite's; note: right of the row."""

    label: str
    estimate: float
    low: float
    high: float
    note: str
    strong: bool = False
    total: bool = False


def arm_mark(number: int) -> tuple[str, str, list[int]]:
    """Colour, shape, dash of an arm."""
    return ARMS[number] if number < len(ARMS) else ARMS[1 + (number - 1) % (len(ARMS) - 1)]


def verdict_bar(
    unit: Unit, baseline: str, candidate: str, estimate: float, low: float, high: float, seen: float,
    margin: float | None,
) -> Markup:  # fmt: skip
    """The interval against zero; shaded: differences that the experiment would miss more often than planned."""
    values = [one * unit.factor for one in (estimate, low, high)]
    reach, bound = seen * unit.factor, (margin or 0.0) * unit.factor
    far = 1.12 * max(abs(values[1]), abs(values[2]), reach, bound)
    x = {"type": "quantitative", "scale": {"domain": [-far, far], "nice": False}}
    axis = {"title": f"{unit.name}, {display.name(candidate, LABEL)} against {display.name(baseline, LABEL)}",
            "tickCount": 6, "domain": False, "labelExpr": SIGNED, "labelOverlap": True,
            "grid": False, "labelFontSize": 12,
            "titleFontSize": 12}  # fmt: skip
    y = {"type": "quantitative", "axis": None, "scale": {"domain": [0, 1], "nice": False}}
    tall = {"zero": 0.0, "top": 0.66}
    lines = [{"at": bound, **tall}, {"at": -bound, **tall}] if margin else []
    sides = [
        {"at": -far, "text": f"◂ {display.name(baseline, 24)} better", "align": "left"},
        {"at": far, "text": f"{display.name(candidate, 24)} better ▸", "align": "right"},
    ]
    spec = {
        "width": 480, "height": 92, "padding": {"left": 8, "right": 8, "top": 2, "bottom": 2},
        "layer": [
            {"data": {"values": [{"low": -reach, "high": reach, **tall}]},
             "mark": {"type": "rect", "color": "var(--grid)"},
             "encoding": {"x": {"field": "low", **x, "axis": axis}, "x2": {"field": "high"},
                          "y": {"field": "zero", **y}, "y2": {"field": "top"}}},
            {"data": {"values": [{"at": 0.0, **tall}]},
             "mark": {"type": "rule", "color": "var(--ink)", "strokeWidth": 1.2},
             "encoding": {"x": {"field": "at", **x}, "y": {"field": "zero", **y}, "y2": {"field": "top"}}},
            {"data": {"values": lines}, "mark": {"type": "rule", "color": "var(--quiet)", "strokeDash": [4, 3]},
             "encoding": {"x": {"field": "at", **x}, "y": {"field": "zero", **y}, "y2": {"field": "top"}}},
            {"data": {"values": [{"low": values[1], "high": values[2], "y": 0.33}]},
             "mark": {"type": "rule", "strokeWidth": 7, "color": figures.KEPT, "opacity": 0.45},
             "encoding": {"x": {"field": "low", **x}, "x2": {"field": "high"}, "y": {"field": "y", **y}}},
            {"data": {"values": [{"at": values[0], "y": 0.33}]},
             "mark": {"type": "point", "shape": "circle", "size": 150, "filled": True, "opacity": 1,
                      "color": figures.KEPT},
             "encoding": {"x": {"field": "at", **x}, "y": {"field": "y", **y}}},
            *({"data": {"values": [one]},
               "mark": {"type": "text", "align": one["align"], "y": 12, "fontSize": 13, "color": "var(--ink)",
                        "dx": 6 if one["align"] == "left" else -6},
               "encoding": {"x": {"field": "at", **x}, "text": {"field": "text"}}} for one in sides),
        ],
    }  # fmt: skip
    digits = unit.digits((high - low) / 2)
    return figures.draw(
        spec, f"{candidate} against {baseline}",
        f"{unit.signed(estimate, digits, named=True)}, 95 % interval {unit.interval(low, high, digits)}; zero is no "
        f"difference. Shaded: differences below {unit.plain(seen, unit.digits(seen), named=True)}, which this "
        "experiment would often miss.",
    )  # fmt: skip


def run_dots(
    unit: Unit, arms: Sequence[str], scores: Sequence[Sequence[float]], left_out: Sequence[Sequence[float]]
) -> Markup:
    """Every run a mark, one row an arm, the arm's mean as a line; hollow: excluded."""
    values, means, names = [], [], []
    for row, (arm, some, out) in enumerate(zip(arms, scores, left_out, strict=True)):
        colour, shape, _ = arm_mark(row)
        names.append({"y": row + 0.5, "text": f"{display.name(arm, LABEL)} ({len(some)})"})
        for kept, group in ((True, some), (False, out)):
            for i, one in enumerate(group):
                lift = 0.16 * ((i % 3) - 1) if len(group) > 3 else 0.0  # so that equal runs do not hide each other
                values.append({"x": one * unit.factor, "y": row + 0.5 + lift, "shape": shape,
                               "fill": colour if kept else "var(--paper)", "colour": colour})  # fmt: skip
        if some:
            means.append({"x": sum(some) / len(some) * unit.factor, "y": row + 0.12, "y2": row + 0.88})
    x = {"type": "quantitative", "scale": {"zero": False, "padding": 12}}
    y = {"type": "quantitative", "axis": None, "scale": {"domain": [0, len(arms)], "reverse": True, "nice": False}}
    better = ", lower is better" if unit.lower else ""
    spec = {
        "width": WIDTH, "height": 46 * len(arms),
        "padding": {"left": _margin(names), "right": 14, "top": 2, "bottom": 2},
        "layer": [
            {"data": {"values": means}, "mark": {"type": "rule", "color": "var(--ink)", "strokeWidth": 2},
             "encoding": {"x": {"field": "x", **x}, "y": {"field": "y", **y}, "y2": {"field": "y2"}}},
            {"data": {"values": values},
             "mark": {"type": "point", "filled": True, "size": 90, "opacity": 0.9, "strokeWidth": 1.6},
             "encoding": {"x": {"field": "x", **x, "axis": {"title": f"weighted score of a run, {unit.name}{better}",
                                                            "tickCount": 6, "domain": False, "format": ".4~g",
                                                            "labelOverlap": True}},
                          "y": {"field": "y", **y}, "shape": {"field": "shape", "type": "nominal", "scale": None},
                          "fill": {"field": "fill", "type": "nominal", "scale": None},
                          "stroke": {"field": "colour", "type": "nominal", "scale": None}}},
            _labels(names, y),
        ],
    }  # fmt: skip
    said = "; ".join(
        f"{display.name(arm, LABEL)}: {len(some)} runs, mean {sum(some) / len(some) * unit.factor:.4g}"
        for arm, some in zip(arms, scores, strict=True)
        if some
    )
    return figures.draw(spec, "Scores of the runs by arm", f"{said}. The table of runs holds the numbers.")


def forest(rows: Sequence[Row], title: str, axis: str, marks: Sequence[float] = ()) -> Markup:
    """A row an estimate: line for its interval, filled mark where it is told apart from zero, diamond for the total."""
    shown = [one for one in rows if all(map(math.isfinite, (one.estimate, one.low, one.high)))]
    names = [{"y": i + 0.5, "text": display.name(one.label, LABEL)} for i, one in enumerate(shown)]
    notes = [{"y": i + 0.5, "text": one.note} for i, one in enumerate(shown)]
    values = [
        {"y": i + 0.5, "x": one.estimate, "low": one.low, "high": one.high,
         "shape": "diamond" if one.total else "circle", "size": 150 if one.total else 80,
         "fill": figures.KEPT if one.strong else "var(--paper)"}
        for i, one in enumerate(shown)
    ]  # fmt: skip
    x = {"type": "quantitative", "scale": {"nice": True, "padding": 6}}
    y = {"type": "quantitative", "axis": None, "scale": {"domain": [0, len(shown)], "reverse": True, "nice": False}}
    right = 14 + 6.4 * max((len(one.note) for one in shown), default=0)
    spec = {
        "width": WIDTH, "height": 25 * len(shown),
        "padding": {"left": _margin(names), "right": right, "top": 2, "bottom": 2},
        "layer": [
            {"data": {"values": [{"at": 0.0}]}, "mark": {"type": "rule", "color": "var(--ink)"},
             "encoding": {"x": {"field": "at", **x}}},
            {"data": {"values": [{"at": at} for at in marks]},
             "mark": {"type": "rule", "color": "var(--quiet)", "strokeDash": [4, 3]},
             "encoding": {"x": {"field": "at", **x}}},
            {"data": {"values": values},
             "mark": {"type": "rule", "strokeWidth": 2, "color": figures.KEPT, "opacity": 0.6},
             "encoding": {"x": {"field": "low", **x}, "x2": {"field": "high"}, "y": {"field": "y", **y}}},
            {"data": {"values": values},
             "mark": {"type": "point", "filled": True, "stroke": figures.KEPT, "strokeWidth": 1.8, "opacity": 1},
             "encoding": {"x": {"field": "x", **x,
                               "axis": {"title": axis, "tickCount": 6, "domain": False, "labelExpr": SIGNED}},
                          "y": {"field": "y", **y}, "shape": {"field": "shape", "type": "nominal", "scale": None},
                          "size": {"field": "size", "type": "quantitative", "scale": None},
                          "fill": {"field": "fill", "type": "nominal", "scale": None}}},
            _labels(names, y),
            {"data": {"values": notes},
             "mark": {"type": "text", "align": "left", "x": WIDTH + 10, "fontSize": 11, "color": "var(--quiet)"},
             "encoding": {"y": {"field": "y", **y}, "text": {"field": "text"}}},
        ],
    }  # fmt: skip
    said = "; ".join(f"{display.name(one.label, LABEL)} {one.estimate:+.3g}" for one in shown[:12])
    more = f", and {len(shown) - 12} more" if len(shown) > 12 else ""
    return figures.draw(spec, title, f"{axis}: {said}{more}. A table holds the numbers.")


def bars(rows: Sequence[tuple[str, float, str, bool]], title: str, axis: str, marks: Sequence[float] = ()) -> Markup:
    """(label, value, note, strong) as bars from zero; weak ones are outlined only."""
    names = [{"y": i + 0.5, "text": display.name(label, LABEL)} for i, (label, *_) in enumerate(rows)]
    values = [
        {"y": i + 0.16, "y2": i + 0.84, "x": value, "zero": 0.0, "fill": figures.KEPT if strong else "var(--paper)"}
        for i, (_, value, _, strong) in enumerate(rows)
    ]
    notes = [{"y": i + 0.5, "x": max(value, 0.0), "text": note} for i, (_, value, note, _) in enumerate(rows)]
    x = {"type": "quantitative", "scale": {"nice": True}}
    y = {"type": "quantitative", "axis": None, "scale": {"domain": [0, len(rows)], "reverse": True, "nice": False}}
    spec = {
        "width": WIDTH, "height": 24 * len(rows),
        "padding": {"left": _margin(names), "right": 90, "top": 2, "bottom": 2},
        "layer": [
            {"data": {"values": values}, "mark": {"type": "rect", "stroke": figures.KEPT, "strokeWidth": 1.2},
             "encoding": {"x": {"field": "zero", **x, "axis": {"title": axis, "tickCount": 6, "domain": False}},
                          "x2": {"field": "x"}, "y": {"field": "y", **y}, "y2": {"field": "y2"},
                          "fill": {"field": "fill", "type": "nominal", "scale": None}}},
            {"data": {"values": [{"at": at} for at in marks]},
             "mark": {"type": "rule", "color": "var(--ink)", "strokeDash": [4, 3]},
             "encoding": {"x": {"field": "at", **x}}},
            {"data": {"values": notes},
             "mark": {"type": "text", "align": "left", "dx": 6, "fontSize": 11, "color": "var(--quiet)"},
             "encoding": {"x": {"field": "x", **x}, "y": {"field": "y", **y}, "text": {"field": "text"}}},
            _labels(names, y),
        ],
    }  # fmt: skip
    said = "; ".join(f"{display.name(label, LABEL)} {value:.3g}" for label, value, *_ in rows[:12])
    return figures.draw(spec, title, f"{axis}: {said}. A table holds the numbers.")


def _labels(names: Sequence[dict[str, Any]], y: dict[str, Any]) -> dict[str, Any]:
    return {
        "data": {"values": list(names)},
        "mark": {"type": "text", "align": "right", "x": -8, "fontSize": 11.5, "color": "var(--ink)"},
        "encoding": {"y": {"field": "y", **y}, "text": {"field": "text"}},
    }


def _margin(names: Sequence[dict[str, Any]]) -> float:
    """The renderer measures labels in its own font, the reader's may be wider."""
    return 4 + 0.8 * max((len(one["text"]) for one in names), default=0)
