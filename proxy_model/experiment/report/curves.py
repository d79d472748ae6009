"""Learning curves of the arms: mean of the runs, band from the lowest to the highest.  Descriptive, never tested.

Held-out text is the same for every arm; training loss is not comparable between arms, whose texts differ, and is only
shown where nothing was held out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from markupsafe import Markup
from numpy.typing import NDArray

from curation.report import figures
from curation.text import display
from proxy_model.experiment.report.charts import LABEL, arm_mark

POINTS = 80  # of a curve
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """tokens [n], and mean, lowest and highest value over an arm's runs at them."""

    arm: str
    tokens: Floats
    mean: Floats
    low: Floats
    high: Floats
    runs: int


def training_loss(folder: Path, runs: Sequence[Mapping[str, Any]], arms: Sequence[str]) -> list[Curve]:
    """Nats a token, averaged within steps of equal tokens."""
    return _curves(folder, runs, arms, _losses)


def held_out(folder: Path, runs: Sequence[Mapping[str, Any]], arms: Sequence[str]) -> list[Curve]:
    """Bits per byte of all held-out text; empty with fewer than two looks."""
    found = _curves(folder, runs, arms, _held)
    return found if all(len(one.tokens) > 1 for one in found) else []


def draw(curves: Sequence[Curve], title: str, up: str) -> Markup:
    """Lines told apart by dash and by a name at their end."""
    values, ends, specs = [], [], []
    for number, one in enumerate(curves):
        for x, y, low, high in zip(one.tokens, one.mean, one.low, one.high, strict=True):
            values.append({"line": number, "x": float(x), "y": float(y), "low": float(low), "high": float(high)})
        ends.append({"x": float(one.tokens[-1]), "y": float(one.mean[-1]), "text": display.name(one.arm, 18)})
    ends = _apart(ends, values)
    x = {"field": "x", "type": "quantitative", "scale": {"nice": False},
         "axis": {"title": "tokens", "format": "~s", "grid": False, "tickCount": 6}}  # fmt: skip
    y = {
        "type": "quantitative",
        "scale": {"zero": False},
        "axis": {"title": up, "tickCount": 5, "domain": False, "format": ".3~g"},
    }
    for number, _ in enumerate(curves):
        colour, _shape, dash = arm_mark(number)
        own = {"data": {"values": [one for one in values if one["line"] == number]}}
        specs += [
            {**own, "mark": {"type": "area", "color": colour, "opacity": 0.16},
             "encoding": {"x": x, "y": {"field": "low", **y}, "y2": {"field": "high"}}},
            {**own, "mark": {"type": "line", "color": colour, "strokeWidth": 1.8, "strokeDash": dash},
             "encoding": {"x": x, "y": {"field": "y", **y}}},
        ]  # fmt: skip
    specs.append(
        {"data": {"values": ends},
         "mark": {"type": "text", "align": "left", "dx": 8, "fontSize": 11.5, "color": "var(--ink)"},
         "encoding": {"x": x, "y": {"field": "y", **y}, "text": {"field": "text"}}}
    )  # fmt: skip
    right = 16 + 7 * max(len(str(one["text"])) for one in ends)
    spec = {"width": 520, "height": 230, "padding": {"left": 4, "right": right, "top": 8, "bottom": 2}, "layer": specs}
    said = "; ".join(f"{display.name(one.arm, LABEL)} ends at {one.mean[-1]:.4g}" for one in curves)
    return figures.draw(spec, title, f"{up} against tokens: {said}. Bands reach from the lowest to the highest run.")


def _apart(ends: list[dict[str, Any]], values: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Names moved up and down until none hides another."""
    span = max(one["high"] for one in values) - min(one["low"] for one in values) or 1.0
    gap = 0.07 * span
    ordered = sorted(ends, key=lambda one: float(one["y"]))
    for before, after in pairwise(ordered):
        after["y"] = max(after["y"], before["y"] + gap)
    return ordered


def _curves(folder: Path, runs: Sequence[Mapping[str, Any]], arms: Sequence[str], read: Any) -> list[Curve]:
    made = []
    for arm in arms:
        found = [read(folder / "runs" / f"{run['arm']}-{run['number']}") for run in runs if run["arm"] == arm]
        some = [one for one in found if one is not None and len(one[0])]
        if not some:
            return []
        grid = some[0][0]
        table = np.stack([np.interp(grid, x, y) for x, y in some])
        made.append(Curve(arm, grid, table.mean(0), table.min(0), table.max(0), len(some)))
    return made


def _losses(folder: Path) -> tuple[Floats, Floats] | None:
    path = folder / "steps.parquet"
    if not path.exists():
        return None
    table = pq.read_table(path, columns=["tokens", "loss", "skipped"])
    keep = ~table["skipped"].to_numpy() & np.isfinite(table["loss"].to_numpy())
    tokens, loss = (table[name].to_numpy()[keep].astype(np.float64) for name in ("tokens", "loss"))
    parts = np.array_split(np.arange(len(tokens)), min(POINTS, max(1, len(tokens))))
    return np.array([tokens[part].mean() for part in parts]), np.array([loss[part].mean() for part in parts])


def _held(folder: Path) -> tuple[Floats, Floats] | None:
    path = folder / "sources.parquet"
    if not path.exists():
        return None
    rows = [
        (one["tokens"], one["bits_per_byte"])
        for one in pq.read_table(path).to_pylist()
        if (one["set"], one["kind"]) == ("held_out", "all") and one["bytes"]
    ]
    if not rows:
        return None
    found = np.array(sorted(rows), np.float64)
    return found[:, 0], found[:, 1]
