"""Charts of the report's chapter on the mix; names are data values, colours the page's variables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from curation.report.figures import ELSEWHERE, KEPT, LABEL_CHARACTERS, QUARANTINED, REMOVED, SHARE, draw
from curation.text import display
from mixing.summary import WAYS, Square

WIDE, TALL = 46, 21  # pixels of a field
GAP = 26  # between two maps
DOUBLINGS = 2.0  # of the ratio, for the strongest colour: a quarter to fourfold
FAINTEST = 0.06
WAY_COLOURS = dict(zip(WAYS, (KEPT, QUARANTINED, ELSEWHERE), strict=True))


def heat_maps(rows: Sequence[str], columns: Sequence[str], fields: Sequence[Square]) -> Markup:
    """Before, after and ratio side by side; a field where nothing was is marked with a dot."""
    largest = max([max(one.before, one.after) for one in fields] + [1e-9])
    width = WIDE * len(columns)
    values, texts, heads = [], [], []
    for number, what in enumerate(("unique tokens", "in the mix", "ratio")):
        left = number * (width + GAP)
        heads.append({"x": left, "y": -1.75, "text": what, "align": "left"})
        heads += [{"x": left + (i + 0.5) * WIDE, "y": -0.65, "text": name} for i, name in enumerate(columns)]
        for one in fields:
            across, down = left + columns.index(one.column) * WIDE, rows.index(one.row)
            colour, strength, text = _field(what, one, largest)
            place = {"x": across + 1, "x2": across + WIDE - 1, "y": down + 0.05, "y2": down + 0.95}
            values.append({**place, "colour": colour, "strength": strength})
            texts.append({"x": across + WIDE / 2, "y": down + 0.5, "text": text})
    names = [{"y": i + 0.5, "text": display.name(name, LABEL_CHARACTERS)} for i, name in enumerate(rows)]
    total = 3 * width + 2 * GAP
    x = {"type": "quantitative", "axis": None, "scale": {"domain": [0, total], "nice": False}}
    y = {"type": "quantitative", "axis": None, "scale": {"domain": [-2.3, len(rows)], "reverse": True, "nice": False}}
    spec = {
        "width": total,
        "height": TALL * (len(rows) + 2.3),
        "padding": {"left": _margin(names), "right": 4, "top": 2, "bottom": 2},
        "layer": [
            {
                "data": {"values": values},
                "mark": {"type": "rect", "cornerRadius": 2},
                "encoding": {
                    "x": {"field": "x", **x}, "x2": {"field": "x2"}, "y": {"field": "y", **y}, "y2": {"field": "y2"},
                    "color": {"field": "colour", "type": "nominal", "scale": None},
                    "opacity": {"field": "strength", "type": "quantitative", "scale": None},
                },
            },
            _texts(texts, x, y, 10.5, "var(--ink)"),
            _texts([one for one in heads if "align" not in one], x, y, 10.5, "var(--quiet)"),
            _texts([one for one in heads if "align" in one], x, y, 11.5, "var(--ink)", "left"),
            _labels(names, y),
        ],
    }  # fmt: skip
    return draw(
        spec, "Category by quality bucket, before and after",
        f"{len(rows)} categories by bucket: share of all unique tokens, share of the mix, and the ratio of the two. "
        "Shares are relative to the largest; the ratio is on a logarithmic scale. The tables hold the numbers.",
    )  # fmt: skip


def _field(what: str, one: Square, largest: float) -> tuple[str, float, str]:
    """(colour, opacity, text) of a field."""
    if not one.before and not one.after:
        return ELSEWHERE, 0.0, "·"
    if what != "ratio":
        share = one.before if what == "unique tokens" else one.after
        return KEPT, max(FAINTEST, 0.75 * math.sqrt(share / largest)) if share else 0.0, _percent(share)
    if one.ratio is None or one.ratio == 0:
        return REMOVED, 0.8, "0"
    doublings = math.log2(one.ratio)
    strength = max(FAINTEST, 0.75 * min(abs(doublings) / DOUBLINGS, 1.0))
    return (
        (KEPT if doublings >= 0 else REMOVED),
        strength,
        f"{one.ratio:.2f}" if one.ratio < 9.995 else f"{one.ratio:.0f}",
    )


def _percent(share: float) -> str:
    return "0" if not share else "<0.1 %" if share < 5e-4 else f"{100 * share:.1f} %"


def epochs(rows: Sequence[str], dots: Sequence[dict[str, Any]], caps: Sequence[dict[str, Any]]) -> Markup:
    """A dot a cell by bucket; its area is its tokens in the mix; cells at their cap in another colour."""
    largest = max([one["tokens"] for one in dots] + [1.0])
    spread = [0] * len(rows)
    values = []
    for one in dots:
        spread[one["row"]] += 1  # a low-discrepancy height, so that equal epochs do not hide each other
        y = one["row"] + 0.2 + 0.6 * ((spread[one["row"]] * 0.618034) % 1)
        size = 8 + 150 * one["tokens"] / largest
        values.append({"x": one["epochs"], "y": y, "size": size, "colour": REMOVED if one["clipped"] else KEPT})
    lines = [{"x": one["cap"], "y": one["row"] + 0.06, "y2": one["row"] + 0.94} for one in caps]
    names = [{"y": i + 0.5, "text": name if name[0].isalpha() else f"bucket {name}"} for i, name in enumerate(rows)]
    top = max([one["x"] for one in values + lines] + [1.0]) * 1.04
    x = {"type": "quantitative", "scale": {"domain": [0, top], "nice": False}}
    axis = {"title": "epochs (tokens in the mix / unique tokens)", "tickCount": 6, "format": "~g", "domain": False}
    y = {"type": "quantitative", "axis": None, "scale": {"domain": [0, len(rows)], "reverse": True, "nice": False}}
    spec = {
        "width": 620,
        "height": 40 * len(rows),
        "padding": {"left": _margin(names), "right": 14, "top": 2, "bottom": 2},
        "layer": [
            {
                "data": {"values": values},
                "mark": {"type": "point", "filled": True, "opacity": 0.65},
                "encoding": {
                    "x": {"field": "x", **x, "axis": axis}, "y": {"field": "y", **y},
                    "size": {"field": "size", "type": "quantitative", "scale": None},
                    "color": {"field": "colour", "type": "nominal", "scale": None},
                },
            },
            {
                "data": {"values": lines},
                "mark": {"type": "rule", "color": "var(--ink)", "strokeWidth": 1.5},
                "encoding": {"x": {"field": "x", **x}, "y": {"field": "y", **y}, "y2": {"field": "y2"}},
            },
            _labels(names, y),
        ],
    }  # fmt: skip
    clipped = sum(1 for one in dots if one["clipped"])
    return draw(spec, "Epochs of every cell", f"{len(dots)} cells by quality bucket; {clipped} are at their cap.")


def repeats(rows: Sequence[dict[str, Any]]) -> Markup:
    """Bars of the share of tokens, a group for each number of copies."""
    ways = [way for way in WAYS if way in rows[0]]
    values = [
        {"y": i + 0.1 + 0.8 * k / len(ways), "y2": i + 0.1 + 0.8 * (k + 0.9) / len(ways), "x": row[way], "zero": 0.0,
         "colour": WAY_COLOURS[way]}
        for i, row in enumerate(rows)
        for k, way in enumerate(ways)
        if row[way] > 0
    ]  # fmt: skip
    names = [
        {"y": i + 0.5, "text": "once" if row["copies"] == 1 else f"{row['copies']} times"} for i, row in enumerate(rows)
    ]
    y = {"type": "quantitative", "axis": None, "scale": {"domain": [0, len(rows)], "reverse": True, "nice": False}}
    spec = {
        "width": 520,
        "height": (14 * len(ways) + 8) * len(rows),
        "padding": {"left": _margin(names), "right": 14, "top": 2, "bottom": 2},
        "layer": [
            {
                "data": {"values": values},
                "mark": {"type": "rect", "cornerRadius": 1.5},
                "encoding": {
                    "x": {"field": "zero", "type": "quantitative", "scale": {"nice": False},
                          "axis": {"title": "share of tokens", "tickCount": 5, "labelExpr": SHARE, "domain": False}},
                    "x2": {"field": "x"}, "y": {"field": "y", **y}, "y2": {"field": "y2"},
                    "color": {"field": "colour", "type": "nominal", "scale": None},
                },
            },
            _labels(names, y),
        ],
    }  # fmt: skip
    return draw(
        spec, "Share of tokens by number of copies", f"How often documents stand in {', '.join(ways)}, by tokens."
    )


def dumbbell(rows: Sequence[dict[str, Any]], what: str) -> Markup:
    """Share before (hollow) and after (filled) of each row, joined by a line."""
    values = [{"row": i + 0.5, "before": row["before"], "after": row["after"]} for i, row in enumerate(rows)]
    for one in values:
        one["colour"] = KEPT if one["after"] >= one["before"] else REMOVED
    names = [{"y": i + 0.5, "text": display.name(row["name"], LABEL_CHARACTERS)} for i, row in enumerate(rows)]
    y = {"type": "quantitative", "axis": None, "scale": {"domain": [0, len(rows)], "reverse": True, "nice": False}}
    x = {"type": "quantitative", "scale": {"nice": True, "zero": True}}
    axis = {"title": "share of tokens", "tickCount": 6, "labelExpr": SHARE, "domain": False}
    colour = {"field": "colour", "type": "nominal", "scale": None}
    spec = {
        "width": 520,
        "height": 22 * len(rows),
        "padding": {"left": _margin(names), "right": 14, "top": 2, "bottom": 2},
        "data": {"values": values},
        "layer": [
            {"mark": {"type": "rule", "strokeWidth": 2},
             "encoding": {"x": {"field": "before", **x, "axis": axis}, "x2": {"field": "after"},
                          "y": {"field": "row", **y}, "color": colour}},
            {"mark": {"type": "point", "filled": True, "size": 60, "fill": "var(--paper)", "stroke": "var(--quiet)"},
             "encoding": {"x": {"field": "before", **x}, "y": {"field": "row", **y}}},
            {"mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
             "encoding": {"x": {"field": "after", **x}, "y": {"field": "row", **y}, "color": colour}},
            _labels(names, y),
        ],
    }  # fmt: skip
    return draw(spec, f"Share of tokens by {what}, before and after", f"{len(rows)} rows; the table holds the numbers.")


def _texts(
    values: Sequence[dict[str, Any]], x: dict[str, Any], y: dict[str, Any], size: float, colour: str,
    align: str = "center",
) -> dict[str, Any]:  # fmt: skip
    return {
        "data": {"values": list(values)},
        "mark": {"type": "text", "fontSize": size, "color": colour, "align": align},
        "encoding": {"x": {"field": "x", **x}, "y": {"field": "y", **y}, "text": {"field": "text"}},
    }


def _labels(names: Sequence[dict[str, Any]], y: dict[str, Any]) -> dict[str, Any]:
    """Names of rows, left of the chart."""
    return {
        "data": {"values": list(names)},
        "mark": {"type": "text", "align": "right", "x": -8, "fontSize": 11.5, "color": "var(--ink)"},
        "encoding": {"y": {"field": "y", **y}, "text": {"field": "text"}},
    }


def _margin(names: Sequence[dict[str, Any]]) -> float:
    """The renderer measures labels in its own font, the reader's may be wider; it has begun with the text's width."""
    return 4 + 0.8 * max((len(one["text"]) for one in names), default=0)
