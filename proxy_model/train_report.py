"""The page of a training run: learning curve, rate, held-out text against baselines, experts, what went wrong, cost.

From the Parquet files of the run's folder alone, so that it can be written again at any time.
"""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from jinja2 import ChoiceLoader, Environment, PackageLoader
from markupsafe import Markup

from curation.pipeline.errors import UsageError
from curation.pipeline.shards import write_atomic
from curation.report import figures
from curation.report.render import environment
from proxy_model.baselines import BASELINES
from proxy_model.config import from_json, params
from proxy_model.train.log import NAMES
from proxy_model.train.loop import CONFIG

REPORT = "report.html"
POINTS = 400  # of a curve: more are averaged
COLOURS = (figures.KEPT, figures.REMOVED, "var(--quarantined)", "var(--quiet)")


def write_report(folder: Path) -> Path:
    """Write `<folder>/report.html`.  Raises UsageError for a folder without a run."""
    path = folder / REPORT
    write_atomic(path, report_page(folder).encode())
    return path


def report_page(folder: Path) -> str:
    """The page as HTML."""
    try:
        described = json.loads((folder / CONFIG).read_text())
        tables = {name: pq.read_table(folder / f"{name}.parquet").to_pylist() for name in NAMES}
    except FileNotFoundError as error:
        raise UsageError(f"{error.filename} is not there", "name the folder of a run of `curate proxy train`") from None
    steps, sources = tables["steps"], tables["sources"]
    base = json.loads((folder / BASELINES).read_text()) if (folder / BASELINES).exists() else []
    kept = [one for one in steps if not one["skipped"]]
    held = [one for one in sources if one["set"] == "held_out"]
    last = max((one["step"] for one in held), default=-1)
    final = [one for one in held if one["step"] == last]
    config = from_json(described["identity"]["model"])
    return _environment().get_template("training.html.j2").render(
        style=Markup(_source("style.css")), name=folder.name, described=described, config=config,
        params=params(config), steps=steps, verdict=_verdict(final, base),
        loss=_curve([("loss", COLOURS[0], [(s["tokens"], s["loss"]) for s in kept])], "Loss", "tokens", "nats a token"),
        rate=_curve([("lr", COLOURS[0], [(s["tokens"], s["lr"]) for s in steps])], "Learning rate", "tokens", "rate"),
        held=_held_curve(held), held_keys=_sources_of(held), final=_final_rows(final, base), bases=base,
        experts=_experts(tables["experts"], config.experts),
        seconds=sum(s["batch_tokens"] / s["tokens_per_s"] for s in steps),
        speed=float(np.median([s["tokens_per_s"] for s in steps])) if steps else None,
        mfu=_median([s["mfu"] for s in steps]), spikes=sum(s["spike"] for s in steps),
        skipped=sum(s["skipped"] for s in steps), clipped=sum(s["clipped"] for s in steps),
        dropped=sum(s["dropped"] or 0 for s in steps), troubled=[s for s in steps if s["spike"] or s["skipped"]][:50],
        tokens=steps[-1]["tokens"] if steps else 0,
    )  # fmt: skip


def _verdict(final: list[dict[str, Any]], base: list[dict[str, Any]]) -> str:
    whole = next((one for one in final if one["kind"] == "all"), None)
    if whole is None:
        return "No text is held out, so nothing can be said about it."
    said = f"{whole['bits_per_byte']:.3f} bits per byte on held-out text"
    others = [(one["name"], _of(one, "all", "")) for one in base]
    told = [f"{name} {value:.3f}" for name, value in others if value is not None]
    return said + (f"; {', '.join(told)}." if told else ".")


def _of(base: dict[str, Any], kind: str, name: str) -> float | None:
    return next((s["bits_per_byte"] for s in base["scores"] if (s["kind"], s["name"]) == (kind, name)), None)


def _final_rows(final: list[dict[str, Any]], base: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**one, "shown": one["name"] or "all", "bases": [_of(b, one["kind"], one["name"]) for b in base]}
        for one in final
        if one["bytes"]
    ]


def _sources_of(held: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(label, colour) of the lines of the held-out curve: all, then the first sources."""
    names = sorted({one["name"] for one in held if one["kind"] == "source"})
    return list(zip(["all", *(names if len(names) > 1 else [])], COLOURS, strict=False))


def _held_curve(held: list[dict[str, Any]]) -> Markup | None:
    series = []
    for label, colour in _sources_of(held):
        points = [
            (one["tokens"], one["bits_per_byte"])
            for one in held
            if (one["kind"] == "all" if label == "all" else (one["kind"], one["name"]) == ("source", label))
        ]
        series.append((label, colour, points))
    return (
        _curve(series, "Held-out text", "tokens", "bits per byte")
        if len({p for _, _, s in series for p in s}) > 1
        else None
    )


def _curve(series: list[tuple[str, str, list[tuple[float, float]]]], title: str, across: str, up: str) -> Markup | None:
    values = [
        {"line": i, "x": x, "y": y, "colour": colour}
        for i, (_, colour, points) in enumerate(series)
        for x, y in _thinned(points)
    ]
    if not values:
        return None
    dots: dict[str, Any] | bool = {"size": 30, "filled": True} if len(values) < 60 else False
    spec = {
        "width": 560, "height": 220, "data": {"values": values},
        "padding": {"left": 4, "right": 14, "top": 6, "bottom": 2},
        "mark": {"type": "line", "strokeWidth": 1.6, "point": dots},
        "encoding": {
            "x": {"field": "x", "type": "quantitative",
                  "axis": {"title": across, "format": "~s", "grid": False, "tickCount": 6}},
            "y": {"field": "y", "type": "quantitative", "scale": {"zero": False},
                  "axis": {"title": up, "tickCount": 5, "domain": False, "format": ".3~g"}},
            "color": {"field": "colour", "type": "nominal", "scale": None},
            "detail": {"field": "line", "type": "nominal"},
        },
    }  # fmt: skip
    ends = "; ".join(f"{label} from {points[0][1]:.4g} to {points[-1][1]:.4g}" for label, _, points in series if points)
    return figures.draw(spec, title, f"{up} against {across}: {ends}.")


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Finite points; many are averaged in groups."""
    good = [one for one in points if math.isfinite(one[1])]
    size = -(-len(good) // POINTS) or 1
    groups = [good[i : i + size] for i in range(0, len(good), size)]
    return [(g[-1][0], float(np.mean([y for _, y in g]))) for g in groups]


def _experts(rows: list[dict[str, Any]], experts: int) -> list[dict[str, Any]]:
    """Of the last look: per layer and source the shares of the experts, their spread against an even load, entropy."""
    last = max((one["step"] for one in rows), default=-1)
    made: dict[tuple[int, str], dict[str, Any]] = {}
    for one in rows:
        if one["step"] != last:
            continue
        row = made.setdefault(
            (one["layer"], one["source"]),
            {"layer": one["layer"], "source": one["source"], "tokens": one["tokens"], "entropy": one["entropy"],
             "chosen": [0] * experts, "dropped": 0},
        )  # fmt: skip
        row["chosen"][one["expert"]] = one["chosen"]
        row["dropped"] += one["dropped"]
    for row in made.values():
        whole = max(1, sum(row["chosen"]))
        row["shares"] = [one / whole for one in row["chosen"]]
        row["heat"] = [
            min(1.0, share * experts / 3) for share in row["shares"]
        ]  # full colour: three times an even share
        row["evenness"] = row["entropy"] / math.log(experts) if experts > 1 else 1.0
    return [made[key] for key in sorted(made)]


def _median(values: list[float | None]) -> float | None:
    known = [one for one in values if one is not None]
    return float(np.median(known)) if known else None


@cache
def _environment() -> Environment:
    base = environment()
    return base.overlay(loader=ChoiceLoader([PackageLoader("proxy_model"), base.loader]))  # type: ignore[list-item]


def _source(template: str) -> str:
    loader = _environment().loader
    assert loader is not None
    return loader.get_source(_environment(), template)[0]
