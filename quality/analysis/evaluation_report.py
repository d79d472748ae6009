"""The page of a student's evaluation, from `evaluation.evaluate_arrays`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from markupsafe import Markup

from quality.analysis import charts
from quality.analysis.charts import Dot, Line
from quality.analysis.evaluated import ScoreEvaluation, StudentEvaluation
from quality.analysis.metrics import MIN_GROUP
from quality.analysis.pages import render, write
from quality.rubric.rubric import SOLID

EVALUATION = "evaluation"
MAX_FOREST = 30
SERIES = (
    ("judged", charts.GOOD),
    ("student", charts.BAD),
    ("quarantined", "var(--quarantined)"),
    ("chance", charts.PLAIN),
)


def write_evaluation(made: StudentEvaluation, folder: Path | str) -> Path:
    """evaluation.json and evaluation.html in the folder; the path of the page."""
    return write(Path(folder), EVALUATION, made, evaluation_page(made))


def evaluation_page(made: StudentEvaluation) -> str:
    """The page as HTML."""
    chapters = [
        ("skill", "Against baselines"),
        *((one.name, one.name.replace("_", " ").capitalize()) for one in made.scores),
    ]
    if made.category:
        chapters.append(("category", "Category"))
    learning, keys = _learning(made)
    if learning:
        chapters.append(("learning", "More labels?"))
    return render(
        "evaluation.html.j2", f"{made.title} · evaluation", [*chapters, ("reading", "How to read this")],
        made=made, verdict=evaluation_verdict(made), skill_chart=_skill(made), solid=SOLID, min_group=MIN_GROUP,
        scores=[(one, _curve(one), _forest(one), _usage(one)) for one in made.scores],
        learning=learning, learning_keys=keys, foot=f"Evaluation version {made.version}, seed {made.seed}.",
    )  # fmt: skip


def evaluation_verdict(made: StudentEvaluation) -> str:
    """What the student reaches, against its best baseline and the judge."""
    said = []
    for one in made.scores:
        text = f"{one.name.replace('_', ' ').capitalize()}: QWK {one.student.qwk}"
        others = [base for base in one.baselines if not np.isnan(base.qwk.value)]
        if others:
            best = max(others, key=lambda base: base.qwk.value)
            text += f", {best.name} alone {best.qwk.value:.2f}"
        if one.ceiling is not None:
            text += f", the judge against itself {one.ceiling:.2f}"
        said.append(text + ".")
    if made.category:
        said.append(f"Category: macro-F1 {made.category.macro_f1}, accuracy {made.category.accuracy}.")
    return " ".join(said)


def _skill(made: StudentEvaluation) -> Markup | None:
    rows = []
    for one in made.scores:
        name = one.name.replace("_", " ")
        rows.append(Dot(f"{name}: student", one.student.qwk))
        rows += [Dot(f"{name}: {base.name}", base.qwk, charts.PLAIN) for base in one.baselines]
    return charts.dots(rows, "QWK of the student and of baselines", "QWK against the judge", domain=(0, 1))


def _curve(one: ScoreEvaluation) -> Markup:
    return charts.calibration(one.curve, f"Calibration of {one.name}", len(one.shares_judged) - 1)


def _usage(one: ScoreEvaluation) -> Markup:
    rows = [("judged", one.shares_judged), ("student", one.shares_student)]
    return charts.levels(rows, f"Levels of {one.name}")


def _forest(one: ScoreEvaluation) -> Markup | None:
    rows = [Dot(f"{name.replace('_', ' ')} ({n})", found) for name, n, found in one.by_category[:MAX_FOREST]]
    mean = one.student.within_category.value
    marks = [] if np.isnan(mean) else [mean]
    return charts.dots(
        rows, f"{one.name} within categories", "Spearman within the category", marks=marks, domain=(0, 1)
    )


def _learning(made: StudentEvaluation) -> tuple[Markup | None, list[tuple[str, str]]]:
    """The curves, and (metric, CSS class) of the legend; at most as many metrics as there are colours."""
    metrics = list(dict.fromkeys(one.metric for one in made.learning))[: len(SERIES)]
    if not metrics:
        return None, []
    series = [
        Line(metric, colour, [(one.labels, *one.value) for one in sorted(made.learning, key=lambda p: p.labels)
                              if one.metric == metric])
        for metric, (_, colour) in zip(metrics, SERIES, strict=False)
    ]  # fmt: skip
    keys = [(metric, css) for metric, (css, _) in zip(metrics, SERIES, strict=False)]
    return charts.lines(series, "Learning curve", "labels", "value", logarithmic=True), keys
