"""Which benchmarks and metrics tell anything at this scale: `curate ab screen`, before any experiment uses them.

From runs of a baseline arm and of an arm that is obviously different (more tokens, or spoilt documents), for every
benchmark and metric: Δ_obvious/σ_seed, the paper's criterion for its metric (MiniMax-01 §4.1.3), and the tests of early
signal that FineWeb's ablations ask for in words: above chance, rising with training, stable order of models
(reference, experiments §4.3).  A screen chooses what is measured; it is never evidence for a mix, so its runs belong to
no later verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray
from scipy import stats

from curation.pipeline.errors import UsageError
from proxy_model.evaluate.metrics import METRICS, ItemScores, chance, item_scores, weighted_mean
from proxy_model.evaluate.table import read_table
from proxy_model.experiment.scores import LOWER_IS_BETTER, RunScores, score_matrix
from proxy_model.experiment.screen_result import Line, Screen, or_zero

SCORES = "scores.parquet"
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Scores of one run at some tokens before its end."""

    arm: str
    run: int
    tokens: int
    table: pa.Table


HEAD = ["benchmark", "items", "Δ/σ", "Δ", "σ", "over chance", "signal", "why"]


def screen(
    runs: Sequence[RunScores], baseline: str, obvious: str, checkpoints: Sequence[Checkpoint] = (),
    metrics: Sequence[str] = METRICS,
) -> Screen:  # fmt: skip
    """Raises UsageError: fewer than two runs of both arms together beyond one each, other items, unusable items."""
    chosen = [run for run in runs if run.arm in (baseline, obvious)]
    matrix = score_matrix(chosen, "bpb", baseline, truncated="drop")  # checks runs and items
    counts = (matrix.runs_per_arm[0], matrix.runs_per_arm[1])
    if sum(counts) < 3:
        raise UsageError(
            "one run of each arm shows no spread between runs", "train a second run of the baseline: curate ab aa"
        )
    ordered = sorted(chosen, key=lambda run: (run.arm != baseline, run.run))
    scored = [_usable(run.table) for run in ordered]
    before = _series(ordered, checkpoints)
    lines = [
        _line(benchmark, metric, scored, counts, before)
        for benchmark in matrix.benchmarks
        for metric in metrics
        if np.isfinite(_values(scored[0], benchmark, metric)).all()
    ]
    suite = [_suite(metric, scored, counts, before, lines) for metric in dict.fromkeys(one.metric for one in lines)]
    best = max(suite, key=lambda one: (one.benchmark == "suite", or_zero(one.ratio))).metric
    tokens = {one.tokens for one in checkpoints}
    return Screen((baseline, obvious), counts, len(tokens), tuple(lines), tuple(suite), best)


def screen_folder(folder: Path, baseline: str, obvious: str) -> Screen:
    """The finished runs of two arms of an experiment's folder, `runs/<arm>-<k>/`; excluded ones are left out.

    Scores of earlier checkpoints are `runs/<arm>-<k>/checkpoints/<tokens>.scores.parquet` where there are any.
    """
    runs, checkpoints = [], []
    for path in sorted(folder.glob("runs/*/run.json")):
        record = orjson.loads(path.read_bytes())
        if record["arm"] not in (baseline, obvious) or record.get("excluded"):
            continue
        runs.append(RunScores(record["arm"], record["number"], record["items"], read_table(path.parent / SCORES)))
        for earlier in sorted(path.parent.glob(f"checkpoints/*.{SCORES}")):
            tokens = int(earlier.name.partition(".")[0])
            checkpoints.append(Checkpoint(record["arm"], record["number"], tokens, read_table(earlier)))
    for arm in (baseline, obvious):
        if all(run.arm != arm for run in runs):
            raise UsageError(f"{folder} has no finished run of {arm}", "curate ab run CONFIG trains and scores them")
    return screen(runs, baseline, obvious, checkpoints)


def _usable(table: pa.Table) -> ItemScores:
    table = table.filter(pa.array([not cut for cut in table["truncated"].to_pylist()], pa.bool_()))
    return item_scores(table.sort_by([("benchmark", "ascending"), ("item", "ascending"), ("choice", "ascending")]))


def _series(runs: Sequence[RunScores], checkpoints: Sequence[Checkpoint]) -> list[list[ItemScores]]:
    """Of each run its scores at the tokens at which every run has some, in order; empty lists without."""
    if not checkpoints:
        return [[] for _ in runs]
    tables = {(one.arm, one.run, one.tokens): one.table for one in checkpoints}
    tokens = sorted({one.tokens for one in checkpoints})
    for run in runs:
        if lacking := [t for t in tokens if (run.arm, run.run, t) not in tables]:
            raise UsageError(
                f"run {run.run} of {run.arm} has no scores at {lacking[0]:,} tokens",
                "score the same checkpoints of every run",
            )
    return [[_usable(tables[run.arm, run.run, t]) for t in tokens] for run in runs]


def _values(scores: ItemScores, benchmark: str, metric: str) -> Floats:
    return np.asarray(scores.values[metric][scores.benchmark == benchmark], np.float64)


def _mean(scores: ItemScores, benchmark: str, metric: str) -> float:
    """Gain-oriented: negative bits per byte."""
    here = scores.benchmark == benchmark
    sign = -1 if metric in LOWER_IS_BETTER else 1
    return sign * float(np.average(scores.values[metric][here], weights=scores.weight[here]))


def _line(
    benchmark: str, metric: str, scored: Sequence[ItemScores], counts: tuple[int, int],
    before: Sequence[Sequence[ItemScores]],
) -> Line:  # fmt: skip
    means = np.array([_mean(one, benchmark, metric) for one in scored])
    first = scored[0]
    here = first.benchmark == benchmark
    table = np.stack([one.values[metric][here] for one in scored])
    guess = float(np.average(chance(metric, first.options[here], first.kind[here]), weights=first.weight[here]))
    item_error = _item_error(scored, benchmark, metric, counts)
    earlier = np.array([[_mean(one, benchmark, metric) for one in some] for some in before])
    share = _item_share(table, first.weight[here], first.cluster[here], counts, means)
    return _assembled(benchmark, metric, int(here.sum()), means, counts, guess, item_error, share, earlier)


def _item_error(scored: Sequence[ItemScores], benchmark: str, metric: str, counts: tuple[int, int]) -> float:
    """Standard error over items of the better arm's mean."""
    means = np.array([_mean(one, benchmark, metric) for one in scored])
    better = slice(0, counts[0]) if means[: counts[0]].mean() >= means[counts[0] :].mean() else slice(counts[0], None)
    here = scored[0].benchmark == benchmark
    values = np.mean([one.values[metric][here] for one in scored[better]], axis=0)
    return weighted_mean(values, scored[0].weight[here], scored[0].cluster[here])[1]


def _suite(
    metric: str, scored: Sequence[ItemScores], counts: tuple[int, int], before: Sequence[Sequence[ItemScores]],
    lines: Sequence[Line],
) -> Line:  # fmt: skip
    """Equal weights over the benchmarks that have the metric."""
    some = [one for one in lines if one.metric == metric]
    names = [one.benchmark for one in some]
    means = np.array([np.mean([_mean(one, name, metric) for name in names]) for one in scored])
    earlier = np.array([[np.mean([_mean(one, name, metric) for name in names]) for one in some] for some in before])
    whole = len(names) == len({one.benchmark for one in lines})
    item_error = float(np.linalg.norm([_item_error(scored, name, metric, counts) for name in names])) / len(names)
    return _assembled(
        "suite" if whole else f"suite of {len(names)}", metric, sum(one.items for one in some), means, counts,
        float(np.mean([one.chance for one in some])), item_error, float("nan"), earlier,
    )  # fmt: skip


def _assembled(
    benchmark: str, metric: str, items: int, means: Floats, counts: tuple[int, int], guess: float, item_error: float,
    item_share: float, earlier: Floats,
) -> Line:  # fmt: skip
    a, b = counts
    sign = -1 if metric in LOWER_IS_BETTER else 1
    base, other = means[:a], means[a:]
    sigma = float(np.sqrt((base.var() * a + other.var() * b) / (a + b - 2)))
    error = float(np.sqrt(1 / a + 1 / b))
    delta = float(other.mean() - base.mean())
    ratio = abs(delta) / sigma if sigma > 0 else float("nan")
    p = float(2 * stats.t.sf(ratio / error, a + b - 2)) if sigma > 0 else float("nan")
    best, k = (base, a) if base.mean() >= other.mean() else (other, b)
    spread = float(np.hypot(item_error, sigma / np.sqrt(k)))
    above = (float(best.mean()) - sign * guess) / spread if spread > 0 else float("nan")
    trend, steady = _early(earlier, means, a)
    return Line(
        benchmark, metric, items, sign * float(base.mean()), sign * float(other.mean()), guess, above, delta, sigma,
        ratio,         error, p, item_share, trend, steady,
    )  # fmt: skip


def _item_share(table: Floats, weight: Floats, cluster: NDArray[Any], counts: tuple[int, int], means: Floats) -> float:
    """Share of the variance between runs that comes from single items: mean squared error of run × item noise / S²."""
    rows = []
    for arm in (slice(0, counts[0]), slice(counts[0], None)):
        centred = table[arm] - table[arm].mean(0)
        rows += [weighted_mean(one, weight, cluster)[1] ** 2 for one in centred if len(table[arm]) > 1]
    df = sum(counts) - 2
    total = sum(float(means[arm].var()) * len(means[arm]) for arm in (slice(0, counts[0]), slice(counts[0], None))) / df
    noise = sum(rows) / df if rows else 0.0
    return float(np.clip(noise / total, 0, 1)) if total > 0 else float("nan")


def _early(earlier: Floats, final: Floats, first: int) -> tuple[float, float]:
    """(Page's p that scores rise until the end, share of pairs of runs in final order at the later checkpoints)."""
    if earlier.size == 0:
        return float("nan"), float("nan")
    path = np.column_stack([earlier, final])
    trend = float(stats.page_trend_test(path).pvalue) if min(path.shape) >= 2 and path.shape[1] >= 3 else float("nan")
    order = np.sign(final[None, first:] - final[:first, None])
    late = earlier[:, earlier.shape[1] // 2 :]
    same = [np.sign(late[None, first:, c] - late[:first, None, c]) == order for c in range(late.shape[1])]
    return trend, float(np.mean(same))
