"""The page of a screening of benchmarks: screen.json and screen.html."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
from markupsafe import Markup

import proxy_model.experiment.report.charts as charts
from curation.pipeline.shards import write_atomic
from proxy_model.experiment.report.page import page_environment, page_source
from proxy_model.experiment.report.units import unit_of
from proxy_model.experiment.screen_result import ABOVE, LEVEL, NOISE, STEADY, USEFUL, Line, Screen

JSON, PAGE = "screen.json", "screen.html"
MARKS = {"use": "✓ use", "weak": "~ weak", "noise": "✕ noise"}
CLASSES = {"use": "ok", "weak": "unsure", "noise": "bad"}


def write_screen(made: Screen, folder: Path | str) -> Path:
    """Both files in the folder; the path of the page."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / JSON, orjson.dumps(made.to_json(), option=orjson.OPT_INDENT_2) + b"\n")
    write_atomic(folder / PAGE, screen_page(made).encode())
    return folder / PAGE


def screen_page(made: Screen) -> str:
    """The page as HTML."""
    lines = made.of(made.best)
    metrics = [one.metric for one in made.suite]
    headings = ("Result", "Benchmarks", "Metrics", "All pairs", "How to read this")
    chapters = list(zip(("result", "benchmarks", "metrics", "all", "reading"), headings, strict=True))
    table = {(one.benchmark, one.metric): one for one in made.lines}
    return page_environment().get_template("screen.html.j2").render(
        style=Markup(page_source("style.css") + page_source("ab.css")), made=made, lines=lines, metrics=metrics,
        chapters=chapters, verdict=verdict(made), chart=_bars(lines), metric_chart=_metric_bars(made), table=table,
        unit=unit_of(made.best), marks=MARKS, classes=CLASSES, suite=_best_suite(made), isnan=np.isnan,
        limits={"useful": USEFUL, "noise": NOISE, "above": ABOVE, "level": LEVEL, "steady": STEADY},
    )  # fmt: skip


def verdict(made: Screen) -> str:
    """One line: how many benchmarks tell the arms apart."""
    found = [one.signal for one in made.of(made.best)]
    said = f"{found.count('use')} of {len(found)} benchmarks tell these two arms apart clearly at this scale"
    weak, noise = found.count("weak"), found.count("noise")
    rest = [f"{n} {word}" for n, word in ((weak, "weakly"), (noise, "not at all")) if n]
    return f"{said}{', ' if rest else ''}{', '.join(rest)}."


def _best_suite(made: Screen) -> Line:
    return next(one for one in made.suite if one.metric == made.best)


def _bars(lines: list[Line]) -> Markup:
    rows = [
        (one.benchmark, 0.0 if np.isnan(one.ratio) else one.ratio, MARKS[one.signal], one.signal == "use")
        for one in lines
    ]
    return charts.bars(rows, "Benchmarks by Δ/σ_seed", "Δ_obvious / σ_seed", marks=(NOISE, USEFUL))


def _metric_bars(made: Screen) -> Markup:
    ranked = sorted(made.suite, key=lambda one: -one.ratio if one.ratio == one.ratio else 0.0)
    rows = [
        (one.metric if one.benchmark == "suite" else f"{one.metric} ({one.benchmark})",
         0.0 if np.isnan(one.ratio) else one.ratio, f"{one.ratio:.1f} ± {one.ratio_error:.1f}", one.metric == made.best)
        for one in ranked
    ]  # fmt: skip
    return charts.bars(rows, "Metrics by Δ/σ_seed of the suite", "Δ_obvious / σ_seed of the suite mean")
