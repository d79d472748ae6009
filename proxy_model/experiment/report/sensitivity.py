"""The same runs by other weights and other metrics: what the verdict owes to choices that were fixed beforehand.

Descriptive: the locked metric and weights decide.  Computed from the runs' scores.parquet with the default test,
without the noise registry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curation.pipeline.errors import UsageError
from proxy_model.evaluate.metrics import METRICS, chance, item_scores
from proxy_model.evaluate.table import header_of, read_table
from proxy_model.experiment.report.units import Unit, unit_of
from proxy_model.experiment.scores import RunScores, ScoreMatrix, score_matrix
from proxy_model.experiment.statistics.components import Layout, moments
from proxy_model.experiment.statistics.crossed import Crossed, crossed


@dataclass(frozen=True)
class Reading:
    """One way to read the runs; estimate and CI95 of the gain in `unit`; sd: of the suite mean between runs."""

    name: str
    unit: Unit
    estimate: float
    low: float
    high: float
    p: float
    in_sigma: float
    locked: bool = False


def load_runs(folder: Path, runs: Sequence[Mapping[str, Any]]) -> list[RunScores]:
    """scores.parquet of each run; empty where any is missing."""
    made = []
    for run in runs:
        path = folder / "runs" / f"{run['arm']}-{run['number']}" / "scores.parquet"
        if not path.exists():
            return []
        table = read_table(path)
        made.append(RunScores(run["arm"], run["number"], str(header_of(table).get("items", "")), table))
    return made


def guesses(run: RunScores, metric: str) -> dict[str, float]:
    """Score of a guess by benchmark; empty for a metric that has none."""
    scores = item_scores(run.table)
    values = chance(metric, scores.options, scores.kind)
    found = {}
    for name in dict.fromkeys(scores.benchmark.tolist()):
        here = scores.benchmark == name
        found[name] = float(np.average(values[here], weights=scores.weight[here]))
    return {name: value for name, value in found.items() if np.isfinite(value)}


def readings(
    runs: Sequence[RunScores], baseline: str, candidate: str, metric: str, weights: Mapping[str, float] | None
) -> list[Reading]:
    """The locked reading first, then other weights, then other metrics; those that items cannot have are left out."""
    some = [run for run in runs if run.arm in (baseline, candidate)]
    if min(sum(run.arm == arm for run in some) for arm in (baseline, candidate)) < 2:
        return []
    main = score_matrix(some, metric, baseline, weights=weights, truncated="drop")
    out = [_reading("as locked", main, main.layout(), locked=True)]
    for name, share in _weightings(main):
        if not np.allclose(share, main.layout().share, rtol=1e-6):
            out.append(_reading(name, main, _reweighted(main, share)))
    for other in METRICS:
        if other != metric:
            try:
                matrix = score_matrix(some, other, baseline, weights=weights, truncated="drop")
            except UsageError:  # a metric without a value for these items
                continue
            out.append(_reading(f"metric {other}", matrix, matrix.layout()))
    return [one for one in out if np.isfinite(one.p)]


def result_of(matrix: ScoreMatrix, layout: Layout) -> tuple[Crossed, float]:
    """(test, standard deviation of the suite mean between runs of one arm)."""
    found = moments(matrix.y * matrix.sign, layout)
    return crossed(found), float(np.sqrt(found.run_variance))


def _reading(name: str, matrix: ScoreMatrix, layout: Layout, locked: bool = False) -> Reading:
    result, sd = result_of(matrix, layout)
    low, high = (float(one) for one in result.interval())
    estimate = float(result.estimate)
    in_sigma = estimate / sd if sd > 0 else float("nan")
    return Reading(name, unit_of(matrix.metric), estimate, low, high, float(result.p_greater()), in_sigma, locked)


def _weightings(matrix: ScoreMatrix) -> list[tuple[str, np.ndarray]]:
    counts = np.bincount(matrix.benchmark).astype(np.float64)
    found = [("equal weights", np.full(len(counts), 1 / len(counts))), ("weights by items", counts / counts.sum())]
    for i, name in enumerate(matrix.benchmarks if len(counts) > 1 else ()):
        share = matrix.layout().share.copy()
        share[i] = 0.0
        found.append((f"without {name}", share / share.sum()))
    return found


def _reweighted(matrix: ScoreMatrix, share: np.ndarray) -> Layout:
    """The layout with other weights of benchmarks; weight 0 keeps a trace of 1e-10."""
    own = matrix.layout()
    share = np.maximum(share, 1e-10)
    weight = matrix.weight * (share / own.share)[matrix.benchmark]
    return Layout(own.runs, own.benchmark, weight / weight.sum())
