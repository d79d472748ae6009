"""Charts as static inline SVG: Vega-Lite specifications, drawn offline by vl-convert.

Colours are CSS variables of the page, so one drawing serves light, dark and print.  Untrusted
names are data values, never field names or expressions; the SVG is parsed and checked on its way out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import vl_convert
from markupsafe import Markup

from curation.histogram import Histogram
from curation.pipeline.hashing import hash64
from curation.text import display

SVG = "http://www.w3.org/2000/svg"
KEPT, REMOVED, ELSEWHERE, QUARANTINED = "var(--kept)", "var(--removed)", "var(--elsewhere)", "var(--quarantined)"
LABEL_CHARACTERS = 60
COUNT, SHARE = "format(datum.value, '~s')", "format(datum.value, '~%')"  # `format` alone would write 0k
_ALLOWED = {"svg", "g", "path", "line", "rect", "text", "title", "desc", "tspan"}
_CONFIG = {
    "aria": False,
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--quiet)", "titleColor": "var(--quiet)", "domainColor": "var(--rule)",
        "tickColor": "var(--rule)", "gridColor": "var(--grid)", "labelFontSize": 11, "titleFontSize": 11,
        "titleFontWeight": "normal", "titlePadding": 8, "labelPadding": 5, "tickSize": 4,
    },
}  # fmt: skip
ElementTree.register_namespace("", SVG)


@dataclass(frozen=True)
class Bar:
    """One horizontal bar: a label and (colour, start, end) parts."""

    label: str
    parts: Sequence[tuple[str, float, float]]


def draw(spec: dict[str, Any], title: str, description: str) -> Markup:
    """A specification as `<svg role="img">` with a title and a description; raises ValueError for unsafe SVG."""
    whole = {"$schema": "https://vega.github.io/schema/vega-lite/v5.json", "config": _CONFIG} | spec
    svg = vl_convert.vegalite_to_svg(whole, allowed_base_urls=[])
    root = ElementTree.fromstring(svg)
    for element in root.iter():
        if element.tag.removeprefix(f"{{{SVG}}}") not in _ALLOWED:
            raise ValueError(f"a chart may not hold <{element.tag}>")
        for name in [name for name in element.attrib if name.startswith(("aria", "role", "pointer", "class"))]:
            del element.attrib[name]
    identifier = f"chart-{hash64(title + description):016x}"
    for position, (tag, text) in enumerate((("title", title), ("desc", description))):
        child = ElementTree.Element(f"{{{SVG}}}{tag}", {"id": f"{identifier}-{tag}"})
        child.text = display.name(text, 400)
        root.insert(position, child)
    root.attrib |= {"role": "img", "aria-labelledby": f"{identifier}-title {identifier}-desc"}
    return Markup(ElementTree.tostring(root, "unicode"))


def histogram(data: Histogram, width: int = 300, height: int = 110) -> Markup:
    """Documents around a threshold: kept, removed elsewhere (behind), removed by this threshold."""
    threshold, scale = data.threshold, data.scale
    shown = [b for b in data.bins if b.kept or b.elsewhere or b.fails]
    values = [
        {"low": b.low, "high": b.high, "n": n, "colour": colour}
        for b in shown
        for n, colour in ((b.kept + b.elsewhere, ELSEWHERE), (b.fails, REMOVED), (b.kept, KEPT))
        if n
    ]
    domain = [min([b.low for b in shown] + [threshold.value]), max([b.high for b in shown] + [threshold.value])]
    x: dict[str, Any] = {"type": "log"} if scale.logarithmic else {"type": "linear"}
    ticks: dict[str, Any] = {
        "tickCount": 5,
        "grid": False,
        "format": "~s" if max(domain) >= 1000 else ".3~f",
        "labelOverlap": True,
    }
    if scale.logarithmic:
        ticks["values"] = [
            10.0**k for k in range(math.ceil(math.log10(domain[0])), math.floor(math.log10(domain[1])) + 1)
        ]
    spec = {
        "width": width,
        "height": height,
        "padding": {"left": 2, "right": 12, "top": 16, "bottom": 2},
        "layer": [
            {
                "data": {"values": values},
                "mark": {"type": "rect"},
                "encoding": {
                    "x": {"field": "low", "type": "quantitative", "axis": ticks | {"title": None},
                          "scale": x | {"domain": domain, "nice": False, "zero": False}},
                    "x2": {"field": "high"},
                    "y": {"field": "n", "type": "quantitative", "scale": {"type": "sqrt"},
                          "axis": {"title": None, "tickCount": 3, "labelExpr": COUNT, "domain": False}},
                    "y2": {"datum": 0},
                    "color": {"field": "colour", "type": "nominal", "scale": None},
                },
            },
            {
                "data": {"values": [{"at": threshold.value, "text": threshold.comparison}]},
                "encoding": {"x": {"field": "at", "type": "quantitative"}},
                "layer": [
                    {"mark": {"type": "rule", "color": "var(--ink)", "strokeDash": [3, 2]}},
                    {"mark": {"type": "text", "y": -8, "fontSize": 11, "color": "var(--ink)", "align": "center"},
                     "encoding": {"text": {"field": "text"}}},
                ],
            },
        ],
    }  # fmt: skip
    failing = sum(b.fails for b in data.bins)
    passing = sum(b.kept + b.elsewhere for b in data.bins)
    return draw(
        spec, f"Histogram for {threshold.label}",
        f"{failing:,} documents are on the removed side of {threshold.condition}, {passing:,} pass. "
        "The table below the chart holds the numbers.",
    )  # fmt: skip


def bars(
    rows: Sequence[Bar], title: str, description: str, *, axis: str, width: int = 520, share: bool = False
) -> Markup:
    """Horizontal bars in the given order; `share` for parts of 1 shown in per cent."""
    values = [
        {"row": i, "start": start, "end": end, "colour": colour}
        for i, row in enumerate(rows)
        for colour, start, end in row.parts
        if end > start
    ]
    # Rows are placed by number: two clipped labels may be equal.
    names = [display.name(row.label, LABEL_CHARACTERS) for row in rows]
    labels = [{"row": i, "label": name} for i, name in enumerate(names)]
    # The renderer measures labels in its own font, the reader's may be wider.
    margin = 4 + 0.8 * max(map(len, names), default=0)
    y = {
        "field": "row",
        "type": "ordinal",
        "axis": None,
        "scale": {"paddingInner": 0.28, "domain": list(range(len(rows)))},
    }
    spec = {
        "width": width,
        "height": {"step": 22},
        "padding": {"left": margin, "right": 14, "top": 2, "bottom": 2},
        "layer": [
            {
                "data": {"values": values},
                "mark": {"type": "bar", "cornerRadius": 1.5},
                "encoding": {
                    "y": y,
                    "x": {"field": "start", "type": "quantitative", "scale": {"nice": not share},
                          "axis": {"title": axis, "tickCount": 5, "labelExpr": SHARE if share else COUNT,
                                   "domain": False}},
                    "x2": {"field": "end"},
                    "color": {"field": "colour", "type": "nominal", "scale": None},
                },
            },
            {
                "data": {"values": labels},
                "mark": {"type": "text", "align": "right", "x": -8, "fontSize": 11.5, "color": "var(--ink)"},
                "encoding": {"y": y, "text": {"field": "label"}},
            },
        ],
    }  # fmt: skip
    return draw(spec, title, description)
