"""The analysis pages: one self-contained HTML file each, looks and filters of the curation report."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader
from markupsafe import Markup

from curation.pipeline.shards import write_atomic
from curation.report.render import environment
from quality.analysis import charts
from quality.analysis.agreement import CROSS, RETEST, Agreement, KindAgreement
from quality.analysis.charts import Dot, Line
from quality.analysis.export import as_json
from quality.analysis.findings import Validation
from quality.analysis.resampling import Interval
from quality.analysis.verdict import listed
from quality.rubric.rubric import DIMENSIONS

AGREEMENT, VALIDATION = "agreement", "validation"


def write(folder: Path, name: str, found: Any, html: str) -> Path:
    """NAME.json and NAME.html in the folder, each whole or not at all; the path of the page."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / f"{name}.json", as_json(found))
    write_atomic(folder / f"{name}.html", html.encode())
    return folder / f"{name}.html"


def render(template: str, title: str, chapters: Sequence[tuple[str, str]], **values: Any) -> str:
    """A page of `analysis.html.j2`'s frame; chapters are (anchor, heading)."""
    style = Markup(_source("style.css") + _source("analysis.css"))
    page = _environment().get_template(template)
    return page.render(style=style, title=title, chapters=chapters, primary=DIMENSIONS, listed=listed, **values)


def agreement_page(made: Agreement) -> str:
    """The page of `quality agreement`."""
    chapters = [("gates", "Gates")]
    chapters += [("retest" if one.kind == RETEST else "cross", one.kind.capitalize()) for one in made.kinds]
    chapters += [("scale", "Use of the scale"), *([("drift", "Drift")] if made.drift else [])]
    documents = {one.kind: one.documents for one in made.kinds}
    shown = [one for one in made.usage if one.judge == "all judges" or one.dimension in DIMENSIONS]
    whole = [one for one in made.usage if one.judge == "all judges"]
    return render(
        "agreement.html.j2", "Agreement of quality labels",
        [*chapters, ("third", "For a third judge"), ("reading", "How to read this")],
        made=made, verdict=agreement_verdict(made), retest=documents.get(RETEST, 0), cross=documents.get(CROSS, 0),
        kinds=[(one, _kind_chart(one)) for one in made.kinds], usage=shown[:120],
        more_usage=len(made.usage) > len(shown[:120]),
        usage_chart=charts.levels([(one.dimension.replace("_", " "), one.shares) for one in whole], "Use of the scale"),
        foot=f"Agreement version {made.version}, seed {made.seed}.",
    )  # fmt: skip


def agreement_verdict(made: Agreement) -> str:
    """One sentence: how many gates hold, which fail, what was not measured."""
    failed = [
        f"{gate.subject.replace('_', ' ')} ({gate.name}, {gate.kind})" for gate in made.gates if gate.result == "fail"
    ]
    passed = [gate for gate in made.gates if gate.result == "pass"]
    missing = sorted({gate.kind for gate in made.gates} - {gate.kind for gate in made.gates if gate.pairs})
    said = f"{len(passed)} of {len(passed) + len(failed)} measured gates hold."
    if failed:
        said += f" Not: {', '.join(failed)}."
    unsure = sum(not gate.sure for gate in passed)
    if unsure:
        said += f" {unsure} of them only just: the interval reaches below the gate."
    if missing:
        said += f" Not measured, for want of documents judged so: {', '.join(missing)}."
    return said if passed or failed else "No document was judged twice, so agreement is not known."


def _kind_chart(kind: KindAgreement) -> Markup | None:
    rows = [Dot(name.replace("_", " "), one.qwk) for name, one in kind.scores.items()]
    rows.append(Dot("category (kappa)", kind.category.kappa))
    return charts.dots(rows, f"Agreement, {kind.kind}", "QWK, and kappa of the category", domain=(0.5, 1))


def validation_page(made: Validation) -> str:
    """The page of `quality validate`."""
    matrix = {pair: one for one in made.correlations for pair in ((one.first, one.second), (one.second, one.first))}
    rule = made.drop_one
    best: dict[int, int] = {}
    shown = []
    for one in rule.candidates:
        best[len(one.kept)] = best.get(len(one.kept), 0) + 1
        if best[len(one.kept)] <= 3 or one.admissible or (rule.asked and one.kept == rule.asked.kept):
            shown.append(one)
    if rule.asked and all(one.kept != rule.asked.kept for one in shown):
        shown.append(rule.asked)
    chapters = [
        ("rule", "The rule"), ("correlations", "Correlations"), ("components", "Components"),
        ("source", "Just the source?"), ("reading", "How to read this"),
    ]  # fmt: skip
    return render(
        "validation.html.j2", "Validation of quality dimensions", chapters, made=made, matrix=matrix,
        shown=sorted(shown, key=lambda one: len(one.kept)), controls=list(made.correlations[0].partial),
        scree=_scree(made), source_chart=_source_chart(made),
        foot=f"Validation version {made.version}, seed {made.seed}.",
    )  # fmt: skip


def _scree(made: Validation) -> Markup:
    found = made.components
    series = [
        Line(label, colour, [(i + 1, value, value, value) for i, value in enumerate(values)])
        for label, colour, values in (
            ("eigenvalue", charts.GOOD, found.eigenvalues),
            ("by chance", charts.PLAIN, found.chance),
        )
    ]
    return charts.lines(series, "Eigenvalues", "component", "eigenvalue")


def _source_chart(made: Validation) -> Markup | None:
    rows = [
        Dot(one.dimension.replace("_", " "), one.by_source or Interval(*[float("nan")] * 3)) for one in made.explained
    ]
    return charts.dots(rows, "Variance between sources", "share of variance between sources", domain=(0, 1))


@cache
def _environment() -> Environment:
    base = environment()
    loader = ChoiceLoader([PackageLoader("quality.analysis"), base.loader])  # type: ignore[list-item]
    made = base.overlay(loader=loader)
    made.filters = {**base.filters, "fixed": fixed}
    return made


def fixed(value: float, digits: int = 2) -> str:
    """A number with so many digits after the point, a true minus sign, and no minus before zero."""
    shown = f"{value:.{digits}f}"
    return shown.removeprefix("-") if not float(shown) else shown.replace("-", "−")


def _source(template: str) -> str:
    loader = _environment().loader
    assert loader is not None
    return loader.get_source(_environment(), template)[0]
