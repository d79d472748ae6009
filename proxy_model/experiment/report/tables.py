"""Tables of an experiment's page: rows of plain values, from its records alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from proxy_model.experiment.report.decision_accuracy import known
from proxy_model.experiment.report.record import Experiment
from proxy_model.experiment.report.units import Unit, p_value, plus

HOLM = 0.05
BITS = 4  # decimals of bits per byte


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


def benchmark_rows(experiment: Experiment, verdict: Mapping[str, Any]) -> list[dict[str, Any]]:
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


def run_rows(experiment: Experiment) -> list[dict[str, Any]]:
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


def text_rows(experiment: Experiment) -> list[dict[str, Any]]:
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


def target_rows(experiment: Experiment) -> list[tuple[str, float]]:
    """(benchmark, decision accuracy) of the suite's benchmarks that have a published figure."""
    names = dict.fromkeys(name for run in experiment.runs for name in run.get("scores") or {})
    return [(name, share) for name in names if (share := known(name)) is not None]


def cost_rows(experiment: Experiment) -> list[tuple[str, str]]:
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


def lock_rows(experiment: Experiment) -> list[tuple[str, str]]:
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


def robustness_row(unit: Unit, one: Mapping[str, Any]) -> dict[str, Any]:
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
