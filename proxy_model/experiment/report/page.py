"""Writes `<experiment>/report.html`: one file, no script, no network; all numbers from the experiment's records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import ChoiceLoader, Environment, PackageLoader
from markupsafe import Markup

from curation.pipeline.shards import write_atomic
from curation.report.render import environment
from proxy_model.experiment.report import charts, curves, words
from proxy_model.experiment.report.charts import Row
from proxy_model.experiment.report.decision_accuracy import COIN, OVERALL, SOURCE, known
from proxy_model.experiment.report.exaggeration import LOW_POWER, Exaggeration, exaggeration
from proxy_model.experiment.report.record import Comparison, Experiment, looks_of, read_experiment
from proxy_model.experiment.report.sensitivity import Reading, load_runs, readings
from proxy_model.experiment.report.units import chance, p_value, plus

REPORT = "report.html"
HOLM = 0.05
NATS = "log_acc_norm2"
BITS = 4  # decimals of bits per byte


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
    texts = _texts(experiment)
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
        dots=_dots(experiment), table=_run_table(experiment), curves=drawn, texts=texts,
        several=len(comparisons) > 1, target=_target(experiment), cost=_cost(experiment), lock=_lock(experiment),
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
        "rows": _benchmarks(experiment, verdict),
        "readings": found,
        "sensitivity": _sensitivity(found),
        "type_m": _type_m(experiment, verdict),
        "robustness": [_line(unit, one) for one in verdict["robustness"]],
        "few": words.few(verdict),
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


def variance_shares(verdict: Mapping[str, Any]) -> list[tuple[str, str, float, str]]:
    """(CSS class, what, share, what reduces it) of the variance of the difference."""
    parts = verdict["components"]
    a, b = verdict["runs"]
    share, units = np.asarray(parts["share"], float), np.asarray(parts["units"], float)
    contrast = 1 / a + 1 / b
    values = [
        contrast * float(parts["sigma_s2"]),
        contrast * float((share**2 * np.asarray(parts["sigma_e2"], float) / units).sum()),
        float((share**2 * np.asarray(parts["tau2"], float) / units).sum()),
    ]
    total = sum(values) or 1.0
    told = (
        ("run", "luck of the run", "the seed moves all items together; only more runs help"),
        (
            "both",
            "luck of run and item",
            "single items that one run gets and another does not; more runs or more items help",
        ),
        ("item", "choice of items", "items differ in what the mixes do to them; only more items help"),
    )
    return [(css, what, value / total, helps) for (css, what, helps), value in zip(told, values, strict=True)]


def standard_error(verdict: Mapping[str, Any]) -> float:
    """√V of the default test, from the stored components."""
    parts = verdict["components"]
    a, b = verdict["runs"]
    share, units = np.asarray(parts["share"], float), np.asarray(parts["units"], float)
    run = (1 / a + 1 / b) * verdict["sigma_seed"] ** 2
    return math.sqrt(run + float((share**2 * np.asarray(parts["tau2"], float) / units).sum()))


def _type_m(experiment: Experiment, verdict: Mapping[str, Any]) -> tuple[Exaggeration, bool] | None:
    """(what a claim would overstate, whether to warn), at the planned effect, else at half the measured one."""
    planned = experiment.planned
    effect = float(planned) if planned else abs(float(verdict["estimate"])) / 2
    error = standard_error(verdict)
    if not effect > 0 or not error > 0:
        return None
    found = exaggeration(effect, error, max(float(verdict["df"]), 1.0), float(verdict["level"]))
    return found, found.power < (LOW_POWER if planned else LOW_POWER / 2)


def _benchmarks(experiment: Experiment, verdict: Mapping[str, Any]) -> list[dict[str, Any]]:
    unit = experiment.unit
    made = []
    for one in verdict["per_benchmark"]:
        digits = unit.digits((one["ci"][1] - one["ci"][0]) / 2)
        means = [_mean_of(experiment.runs_of(arm), one["benchmark"]) for arm in experiment.arms]
        made.append(
            {
                "name": one["benchmark"], "weight": one["weight"], "units": one["units"],
                "means": [unit.plain(mean, digits) for mean in means],
                "estimate": unit.signed(one["estimate"], digits),
                "ci": unit.interval(one["ci"][0], one["ci"][1], digits),
                "p": p_value(one["p"]), "holm": p_value(one["holm"]), "told_apart": one["holm"] <= HOLM,
                "target": known(one["benchmark"]),
            }
        )  # fmt: skip
    return made


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


def _run_table(experiment: Experiment) -> list[dict[str, Any]]:
    values = [run["weighted"] for run in experiment.runs if run.get("weighted") is not None]
    digits = experiment.unit.digits(float(np.std(values)) / 10 if len(values) > 1 else None)
    return [
        {
            "name": f"{run['arm']}-{run['number']}", "weighted": experiment.unit.plain(run.get("weighted"), digits),
            "bpb": (run.get("bpb") or {}).get("all"), "loss": run.get("loss"), "spikes": run.get("spikes"),
            "tokens": run.get("tokens"), "excluded": run.get("excluded"),
        }
        for run in experiment.raw["runs"]
    ]  # fmt: skip


def _curves(experiment: Experiment) -> dict[str, Any] | None:
    held = curves.held_out(experiment.folder, experiment.runs, experiment.arms)
    loss = curves.training_loss(experiment.folder, experiment.runs, experiment.arms)
    if not held and not loss:
        return None
    return {
        "held": curves.draw(held, "Held-out text while training", "bits per byte") if held else None,
        "loss": curves.draw(loss, "Training loss", "nats a token") if loss else None,
    }


def _texts(experiment: Experiment) -> list[dict[str, Any]]:
    """Mean bits per byte of every source by arm, and the difference of each candidate."""
    names = sorted({name for run in experiment.runs for name in run.get("bpb") or {}}, key=lambda n: (n != "all", n))
    shown = [name for name in names if name == "all" or name.startswith("source:")]
    rows = []
    for name in shown:
        means = [
            _mean([run["bpb"][name] for run in experiment.runs_of(arm) if name in (run.get("bpb") or {})])
            for arm in experiment.arms
        ]
        first = means[0]
        rows.append(
            {
                "name": "all text" if name == "all" else name.removeprefix("source:"),
                "means": ["–" if one is None else f"{one:.{BITS}f}" for one in means],
                "differences": [
                    "–" if one is None or first is None else plus(one - first, BITS) for one in means[1:]
                ],
            }
        )  # fmt: skip
    return rows


def _target(experiment: Experiment) -> list[tuple[str, float]]:
    """(benchmark, decision accuracy) of the suite's benchmarks that have a published figure."""
    names = dict.fromkeys(name for run in experiment.runs for name in run.get("scores") or {})
    return [(name, share) for name in names if (share := known(name)) is not None]


def _cost(experiment: Experiment) -> list[tuple[str, str]]:
    cost = experiment.raw.get("cost") or {}
    named = {
        "runs": ("training runs", "{:,.0f}"), "tokens": ("tokens trained on", "{:,.0f}"),
        "flops": ("floating-point operations", "{:.3g}"), "gpu_hours": ("GPU hours", "{:,.3g}"),
        "cpu_hours": ("CPU hours", "{:,.3g}"), "evaluation_hours": ("hours of evaluation", "{:,.3g}"),
        "seconds": ("seconds", "{:,.0f}"), "train_seconds": ("seconds of training", "{:,.0f}"),
    }  # fmt: skip
    return [
        (named[key][0], named[key][1].format(value)) if key in named else (str(key).replace("_", " "), str(value))
        for key, value in cost.items()
        if value is not None
    ]


def _lock(experiment: Experiment) -> list[tuple[str, str]]:
    """What was fixed before the first run, in short."""
    content = experiment.locked
    runs = content.get("runs")
    counts = (content.get("items") or {}).get("counts") or {}
    rows = [
        ("hash", str(experiment.raw["lock"])),
        ("locked", str((experiment.lock or {}).get("created") or "–")),
        ("runs", ", ".join(f"{arm} {k}" for arm, k in runs.items()) if isinstance(runs, Mapping) else str(runs or "–")),
        ("metric", str(experiment.raw["metric"])),
        ("items", f"{sum(counts.values()):,} of {len(counts)} benchmarks" if counts else "–"),
        ("hypothesis", str(experiment.hypothesis.get("kind", "–")).replace("_", "-")),
        ("level", p_value(experiment.hypothesis.get("alpha"))),
        ("differs between runs", ", ".join(content.get("randomize") or []) or "–"),
        ("code", str((content.get("code") or {}).get("source") or "–")),
    ]  # fmt: skip
    return [(key, value) for key, value in rows if value != "–"]


def _line(unit: Any, one: Mapping[str, Any]) -> dict[str, Any]:
    """A robustness line; differences in the unit, everything else as a probability or ratio."""
    value = one["value"]
    if value is None:
        shown = "–"
    elif "gain" in one["name"]:
        shown = unit.signed(value, unit.digits(value), named=True)
    elif "ratio" in one["name"]:
        shown = f"{value:.2f}"
    else:
        shown = f"p {p_value(value)}"
    return {"name": one["name"], "shown": shown, "note": one["note"], "warning": "not valid" in one["note"]}


def _mean_of(runs: Sequence[Mapping[str, Any]], benchmark: str) -> float | None:
    return _mean([run["scores"][benchmark] for run in runs if benchmark in (run.get("scores") or {})])


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


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
