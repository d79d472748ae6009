"""Writes `<experiment>/report.html`: one file, no script, no network; all numbers from the experiment's records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader
from markupsafe import Markup

import proxy_model.experiment.report.charts as charts
import proxy_model.experiment.report.curves as curves
import proxy_model.experiment.report.words as words
from curation.pipeline.shards import write_atomic
from curation.report.render import environment
from proxy_model.experiment.report.charts import Row
from proxy_model.experiment.report.decision_accuracy import COIN, OVERALL, SOURCE
from proxy_model.experiment.report.exaggeration import LOW_POWER, Exaggeration, exaggeration, sampling_of
from proxy_model.experiment.report.record import Comparison, Experiment, looks_of, read_experiment
from proxy_model.experiment.report.sensitivity import Reading, guesses, load_runs, readings
from proxy_model.experiment.report.tables import (
    HOLM,
    benchmark_rows,
    cost_rows,
    lock_rows,
    robustness_row,
    run_rows,
    target_rows,
    text_rows,
    variance_shares,
)
from proxy_model.experiment.report.units import chance, p_value

REPORT = "report.html"
NATS = "log_acc_norm2"


def write_report(folder: Path | str) -> Path:
    """The path of the page.  Raises UsageError where the folder has no verdict."""
    path = Path(folder) / REPORT
    write_atomic(path, report_page(read_experiment(Path(folder))).encode())
    return path


def report_page(experiment: Experiment) -> str:
    """The page as HTML."""
    scores = load_runs(experiment.folder, experiment.runs)
    comparisons = [_comparison(experiment, one, scores) for one in experiment.comparisons]
    chapters = [("result", "Result"), ("runs", "Runs")]
    if any(one["forest"] for one in comparisons):
        chapters.append(("benchmarks", "By benchmark"))
    drawn = _curves(experiment)
    texts = text_rows(experiment)
    chapters += [("curves", "Learning curves")] if drawn else []
    chapters += [("texts", "Held-out text")] if texts or experiment.raw.get("guardrails") else []
    chapters += [("health", "Health checks")] if experiment.raw.get("health") else []
    chapters += [("robustness", "How sure is it?")] if any(one["verdict"] for one in comparisons) else []
    chapters += [("sensitivity", "Other choices")] if any(one["sensitivity"] for one in comparisons) else []
    chapters += [("contamination", "Contamination")] if experiment.raw.get("contamination") else []
    chapters += [
        ("target", "What it says of larger models"),
        ("cost", "Cost"),
        ("lock", "Lock"),
        ("reading", "How to read this"),
    ]
    return page_environment().get_template("report.html.j2").render(
        style=Markup(page_source("style.css") + page_source("ab.css")), experiment=experiment, raw=experiment.raw,
        unit=experiment.unit, headline=words.headline(experiment), comparisons=comparisons, chapters=chapters,
        dots=_dots(experiment), table=run_rows(experiment), curves=drawn, texts=texts,
        several=len(comparisons) > 1, target=target_rows(experiment), cost=cost_rows(experiment),
        lock=lock_rows(experiment),
        looks=looks_of(experiment.folder),
        overall=OVERALL, source=SOURCE, coin=COIN, holm=HOLM,
    )  # fmt: skip


def _comparison(experiment: Experiment, one: Comparison, scores: Sequence[Any]) -> dict[str, Any]:
    """Everything that is said of one candidate."""
    verdict, unit = one.verdict, experiment.unit
    made: dict[str, Any] = {
        "baseline": one.baseline, "candidate": one.candidate, "verdict": verdict,
        "bar": None, "forest": None, "sensitivity": None, "readings": [], "tiles": [], "shares": [], "type_m": None,
    }  # fmt: skip
    if verdict is None:
        return made
    low, high = verdict["ci"]
    digits = unit.digits((high - low) / 2)
    found = (
        readings(scores, one.baseline, one.candidate, experiment.raw["metric"], experiment.weights) if scores else []
    )
    made |= {
        "bar": charts.verdict_bar(
            unit, one.baseline, one.candidate, verdict["estimate"], low, high, verdict["mde_achieved"],
            experiment.hypothesis.get("margin"),
        ),
        "tiles": _tiles(experiment, verdict, digits, found),
        "shares": variance_shares(verdict),
        "forest": _forest(experiment, verdict),
        "rows": benchmark_rows(experiment, verdict),
        "readings": found,
        "sensitivity": _sensitivity(found),
        "type_m": _type_m(experiment, verdict),
        "robustness": [robustness_row(unit, one) for one in verdict["robustness"]],
        "few": words.few(verdict),
        "chance": guesses(scores[0], experiment.raw["metric"]) if scores else {},
    }  # fmt: skip
    return made


def _tiles(
    experiment: Experiment, verdict: Mapping[str, Any], digits: int, found: Sequence[Reading]
) -> list[tuple[str, str, str]]:
    """(what, number, note)."""
    unit = experiment.unit
    low, high = verdict["ci"]
    seen = verdict["mde_achieved"]
    sigma = verdict["sigma_seed"]
    tiles = [
        ("Difference", unit.signed(verdict["estimate"], digits, named=True),
         f"95 % interval {unit.interval(low, high, digits)}"),
        ("In σ_seed", words.in_sigma(verdict["estimate"], sigma),
         f"σ_seed {unit.plain(sigma, unit.digits(sigma), named=True)}: how far one run falls from another by its seed"),
    ]  # fmt: skip
    nats = next((one for one in found if one.name == f"metric {NATS}"), None)
    if nats is not None:
        own = nats.unit.digits((nats.high - nats.low) / 2)
        tiles.append(
            (
                "In nats",
                nats.unit.signed(nats.estimate, own),
                f"log_acc_norm2, {nats.unit.interval(nats.low, nats.high, own)}",
            )
        )
    plain = "p, no difference" if experiment.hypothesis.get("two_sided") else "p, not better"
    power = 100 * experiment.hypothesis.get("power", 0.8)
    kind = {"non_inferiority": "p of worse than the margin", "equivalence": "p of a difference beyond the margin"}
    tiles += [
        (kind.get(experiment.hypothesis.get("kind", ""), plain), p_value(verdict["p"]),
         f"compared with {p_value(verdict['level'])}; {verdict['df']:.3g} degrees of freedom"),
        ("Could have seen", unit.plain(seen, unit.digits(seen), named=True),
         f"differences from here on are found in {power:.0f} % of such experiments"),
    ]  # fmt: skip
    if verdict.get("e_value") is not None:
        tiles.append(("e-value", f"{verdict['e_value']:.3g}", "runs may be added at any time; a claim needs 1/level"))
    if verdict.get("conditional_power") is not None:
        tiles.append(
            ("At the last look", chance(verdict["conditional_power"]), "chance to find the planned effect by then")
        )
    return tiles


def _type_m(experiment: Experiment, verdict: Mapping[str, Any]) -> tuple[Exaggeration, bool] | None:
    """(what a claim would overstate, whether to warn), at the planned effect, else at half the measured one."""
    planned = experiment.planned
    effect = float(planned) if planned else abs(float(verdict["estimate"])) / 2
    prior = experiment.raw.get("prior")
    items = (experiment.locked.get("primary") or {}).get("units", "random")
    sampling = sampling_of(verdict, float(prior["df"]) if prior else 0.0, items)
    if not effect > 0 or not sampling.variance > 0 or not sampling.run_df > 0:
        return None
    found = exaggeration(effect, sampling, float(verdict["level"]))
    return found, found.power < (LOW_POWER if planned else LOW_POWER / 2)


def _forest(experiment: Experiment, verdict: Mapping[str, Any]) -> Markup | None:
    if not verdict["per_benchmark"]:
        return None
    unit, factor = experiment.unit, experiment.unit.factor
    rows = [
        Row(
            one["benchmark"], one["estimate"] * factor, one["ci"][0] * factor, one["ci"][1] * factor,
            unit.signed(one["estimate"], unit.digits((one["ci"][1] - one["ci"][0]) / 2)), strong=one["holm"] <= HOLM,
        )
        for one in sorted(verdict["per_benchmark"], key=lambda one: -one["estimate"])
    ]  # fmt: skip
    low, high = (one * factor for one in verdict["ci"])
    claimed = bool(verdict.get("claims")) and verdict["label"] in ("superior", "inferior")
    digits = unit.digits((high - low) / 2 / factor)
    rows.append(
        Row("whole suite", verdict["estimate"] * factor, low, high, unit.signed(verdict["estimate"], digits),
            strong=claimed, total=True)
    )  # fmt: skip
    return charts.forest(rows, "Difference by benchmark", f"difference, {unit.name}")


def _sensitivity(found: Sequence[Reading]) -> Markup | None:
    rows = [
        Row(
            one.name, one.in_sigma, _scaled(one.low, one), _scaled(one.high, one),
            f"p {p_value(one.p)}", strong=one.locked, total=one.locked,
        )
        for one in found
    ]  # fmt: skip
    return (
        charts.forest(rows, "The same runs, read otherwise", "difference in σ_seed of that reading") if rows else None
    )


def _scaled(value: float, one: Reading) -> float:
    """In σ_seed of the reading."""
    return value * one.in_sigma / one.estimate if one.estimate else math.nan


def _dots(experiment: Experiment) -> Markup | None:
    if any(run.get("weighted") is None for run in experiment.runs) or not experiment.runs:
        return None
    scores = [[run["weighted"] for run in experiment.runs_of(arm)] for arm in experiment.arms]
    out = [
        [run["weighted"] for run in experiment.excluded if run["arm"] == arm and run.get("weighted") is not None]
        for arm in experiment.arms
    ]
    return charts.run_dots(experiment.unit, experiment.arms, scores, out)


def _curves(experiment: Experiment) -> dict[str, Any] | None:
    held = curves.held_out(experiment.folder, experiment.runs, experiment.arms)
    loss = curves.training_loss(experiment.folder, experiment.runs, experiment.arms)
    if not held and not loss:
        return None
    return {
        "held": curves.draw(held, "Held-out text while training", "bits per byte") if held else None,
        "loss": curves.draw(loss, "Training loss", "nats a token") if loss else None,
    }


@cache
def page_environment() -> Environment:
    base = environment()
    loader = ChoiceLoader([PackageLoader("proxy_model.experiment.report"), base.loader])  # type: ignore[list-item]
    made = base.overlay(loader=loader)
    made.filters = {**base.filters, "chance": chance, "p": p_value}
    return made


def page_source(template: str) -> str:
    loader = page_environment().loader
    assert loader is not None
    return loader.get_source(page_environment(), template)[0]
