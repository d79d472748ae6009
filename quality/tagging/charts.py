"""Charts of the report's chapter on tags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from curation.report.figures import KEPT, LABEL_CHARACTERS, draw
from curation.text import display

ROW = 34  # pixels of one source


def histograms(dimension: str, rows: Sequence[dict[str, Any]], bin: float) -> Markup:
    """One histogram a source, above each other: source, low (of the bin), documents.

    Each source's tallest bar has the same height: the shapes are compared, the table holds the numbers.
    """
    sources = list(dict.fromkeys(row["source"] for row in rows))
    tallest = {source: max(row["documents"] for row in rows if row["source"] == source) for source in sources}
    values = [
        {
            "low": row["low"], "high": row["low"] + bin, "base": place + 1,
            "top": place + 1 - 0.85 * row["documents"] / tallest[row["source"]],
        }
        for row in rows
        for place in (sources.index(row["source"]),)
    ]  # fmt: skip
    names = [display.name(source, LABEL_CHARACTERS) for source in sources]
    labels = [{"at": place + 0.75, "label": text} for place, text in enumerate(names)]
    y = {"type": "quantitative", "axis": None, "scale": {"domain": [0, len(sources)], "reverse": True, "nice": False}}
    spec = {
        "width": 420,
        "height": ROW * len(sources),
        "padding": {"left": 4 + 6.2 * max(map(len, names), default=0), "right": 14, "top": 2, "bottom": 2},
        "layer": [
            {
                "data": {"values": values},
                "mark": {"type": "rect", "color": KEPT},
                "encoding": {
                    "x": {"field": "low", "type": "quantitative", "scale": {"domain": [0, 5], "nice": False},
                          "axis": {"title": dimension, "tickCount": 6, "domain": False}},
                    "x2": {"field": "high"},
                    "y": {"field": "base", **y},
                    "y2": {"field": "top"},
                },
            },
            {
                "data": {"values": labels},
                "mark": {"type": "text", "align": "right", "x": -8, "fontSize": 11.5, "color": "var(--ink)"},
                "encoding": {"y": {"field": "at", **y}, "text": {"field": "label"}},
            },
        ],
    }  # fmt: skip
    return draw(
        spec,
        f"{dimension} by source",
        f"Documents by {dimension} in bins of {bin} of a level, for each of {len(sources)} sources. "
        "The table below holds mean and standard deviation.",
    )
