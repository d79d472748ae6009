"""From the score tables of finished runs to one matrix of runs × units, or a refusal that says what is wrong.

A unit is a cluster of items (items of one passage), its value the weighted mean of the metric over them; unit weights
are W_b·Σw_i/Σ_b w_i and sum to 1.  Every run must have scored the same items of the same item files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from proxy_model.evaluate.metrics import METRICS, ItemScores, item_scores
from proxy_model.experiment.statistics.components import Layout

LOWER_IS_BETTER = frozenset({"bpb"})
CLOZE = "cloze"


@dataclass(frozen=True, eq=False)
class RunScores:
    """One run's ScoreTable; items: digest of the item files it was scored on (and of how they were asked)."""

    arm: str
    run: int
    items: str
    table: pa.Table


@dataclass(frozen=True, eq=False)
class ScoreMatrix:
    """y: float64 [runs, units]; rows by arm, the baseline first, then by run number; units by benchmark and name.

    arms; runs: (arm, run) of each row; benchmarks; benchmark: int [units]; unit: names [units]; weight: float64
    [units], sum 1; items: items in the units; dropped: truncated items left out of every run.
    """

    arms: tuple[str, ...]
    runs: tuple[tuple[str, int], ...]
    benchmarks: tuple[str, ...]
    benchmark: NDArray[np.int64]
    unit: tuple[str, ...]
    weight: NDArray[np.float64]
    y: NDArray[np.float64]
    metric: str
    items: int
    dropped: int = 0

    @property
    def runs_per_arm(self) -> tuple[int, ...]:
        return tuple(sum(arm == name for arm, _ in self.runs) for name in self.arms)

    @property
    def sign(self) -> int:
        """−1 where smaller is better (bits per byte), so that sign·(candidate − baseline) > 0 is a gain."""
        return -1 if self.metric in LOWER_IS_BETTER else 1

    def layout(self) -> Layout:
        return Layout(self.runs_per_arm, self.benchmark, self.weight)

    def only(self, *arms: str) -> ScoreMatrix:
        """The rows of these arms, in this order."""
        rows = [i for name in arms for i, (arm, _) in enumerate(self.runs) if arm == name]
        return ScoreMatrix(
            arms, tuple(self.runs[i] for i in rows), self.benchmarks, self.benchmark, self.unit, self.weight,
            self.y[rows], self.metric, self.items, self.dropped,
        )  # fmt: skip


def score_matrix(
    runs: Sequence[RunScores],
    metric: str,
    baseline: str,
    expected: Mapping[str, int] | None = None,
    weights: Mapping[str, float] | None = None,
    truncated: Literal["refuse", "drop"] = "refuse",
    unit: Literal["cluster", "item"] = "cluster",
) -> ScoreMatrix:
    """expected: planned runs of each arm; weights: of each benchmark, sum 1, default all alike.

    Raises UsageError for a missing or duplicated run, scores from different item files, arms with different items,
    weights that do not sum to 1, truncated items (unless dropped, then in every run), a choice of one, an item without
    its one gold option, and a metric that has no finite value for some item.
    """
    if metric not in METRICS:
        raise UsageError(f"unknown metric {metric!r}", f"one of {', '.join(METRICS)}")
    arms = _arms(runs, baseline, expected)
    ordered = sorted(runs, key=lambda r: (arms.index(r.arm), r.run))
    _one_item_file(ordered)
    tables = [_checked(run) for run in ordered]
    cut = sorted(set().union(*(_truncated(table) for table in tables)))
    if cut and truncated == "refuse":
        raise UsageError(
            f"{len(cut)} items were truncated to fit the context, such as {cut[0][1]} of {cut[0][0]}",
            "drop them in all arms (truncated: drop), or evaluate with a longer context",
        )
    scored = [item_scores(_without(table, cut)) for table in tables]
    for run, found in zip(ordered[1:], scored[1:], strict=True):
        _same_items(ordered[0], scored[0], run, found)
    for run, found in zip(ordered, scored, strict=True):
        _finite(run, found, metric)
    values = np.stack([found.values[metric] for found in scored])
    return _assembled(arms, ordered, scored[0], values, metric, weights, unit, len(cut))


def _arms(runs: Sequence[RunScores], baseline: str, expected: Mapping[str, int] | None) -> tuple[str, ...]:
    arms = tuple(dict.fromkeys([baseline, *(expected or ()), *(run.arm for run in runs)]))
    seen = [(run.arm, run.run) for run in runs]
    for arm, run in seen:
        if seen.count((arm, run)) > 1:
            raise UsageError(f"run {run} of arm {arm} stands there twice", "give each run once")
    counts = {arm: sum(name == arm for name, _ in seen) for arm in arms}
    for arm in arms:
        if counts[arm] == 0:
            raise UsageError(f"no run of arm {arm}: there are {', '.join(sorted({n for n, _ in seen})) or 'no runs'}")
        if expected is not None and counts[arm] != expected.get(arm, 0):
            have = ", ".join(str(run) for name, run in sorted(seen) if name == arm)
            raise UsageError(
                f"arm {arm} has {counts[arm]} runs ({have}), planned are {expected.get(arm, 0)}",
                "finish the missing runs; a verdict on fewer or more runs than planned is another experiment",
            )
    if len(arms) < 2:
        raise UsageError(f"only arm {baseline} has runs: a comparison needs a candidate")
    return arms


def _one_item_file(runs: Sequence[RunScores]) -> None:
    for run in runs:
        if run.items != runs[0].items:
            raise UsageError(
                f"scores from different item files: run {run.run} of {run.arm} has {run.items}, "
                f"run {runs[0].run} of {runs[0].arm} has {runs[0].items}",
                "evaluate all runs on the same item files in the same way",
            )


def _checked(run: RunScores) -> pa.Table:
    """The table sorted by benchmark, item, choice; refused where an item cannot be scored."""
    place = f"run {run.run} of {run.arm}"
    if run.table.num_rows == 0:
        raise UsageError(f"{place}: the score table is empty")
    table = run.table.sort_by([("benchmark", "ascending"), ("item", "ascending"), ("choice", "ascending")])
    benchmark, item = table["benchmark"].to_pylist(), table["item"].to_pylist()
    names = list(zip(benchmark, item, strict=True))
    new = np.array([True, *(a != b for a, b in pairwise(names))])
    starts = np.flatnonzero(new)
    options = np.diff(np.append(starts, len(names)))
    gold = np.add.reduceat(np.asarray(table["gold"].to_pylist(), bool).astype(np.int64), starts)
    choice = np.asarray(table["choice"].to_pylist(), np.int64)
    kind = np.asarray(table["kind"].to_pylist(), object)[starts]

    def refuse(bad: NDArray[Any], what: str, remedy: str) -> None:
        if bad.any():
            first = names[starts[int(np.flatnonzero(bad)[0])]]
            raise UsageError(f"{place}: {what}: {int(bad.sum())} items, such as {first[1]} of {first[0]}", remedy)

    again = np.add.reduceat(np.concatenate(([0], (choice[1:] == choice[:-1]) & ~new[1:])).astype(np.int64), starts)
    refuse(again > 0, "a choice stands there twice", "an item's id must be unique in its benchmark")
    refuse((options < 2) & (kind != CLOZE), "a choice of one", "leave items with a single option out of the item file")
    lost = ~np.isfinite(np.asarray(table["log_likelihood"].to_pylist(), np.float64))
    refuse(
        np.add.reduceat(lost.astype(np.int64), starts) > 0,
        "a log-likelihood that is not finite",
        "evaluate the run anew",
    )
    refuse(gold != 1, "an item without its one gold option", "correct the item file")
    return table


def _truncated(table: pa.Table) -> set[tuple[str, str]]:
    hit = table.filter(table["truncated"])
    return set(zip(hit["benchmark"].to_pylist(), hit["item"].to_pylist(), strict=True))


def _without(table: pa.Table, items: list[tuple[str, str]]) -> pa.Table:
    if not items:
        return table
    out = set(items)
    names = zip(table["benchmark"].to_pylist(), table["item"].to_pylist(), strict=True)
    kept = table.filter(pa.array([name not in out for name in names]))
    if kept.num_rows == 0:
        raise UsageError("every item was truncated", "evaluate with a longer context")
    return kept


def _same_items(first: RunScores, a: ItemScores, other: RunScores, b: ItemScores) -> None:
    places = f"run {first.run} of {first.arm} and run {other.run} of {other.arm}"
    left, right = (list(zip(s.benchmark, s.item, strict=True)) for s in (a, b))
    if left != right:
        alone = sorted(set(left) ^ set(right))
        raise UsageError(
            f"{places} have different items: {len(alone)} stand in only one, such as {alone[0][1]} of {alone[0][0]}",
            "evaluate both on the same items",
        )
    for name, x, y in (
        ("clusters", a.cluster, b.cluster),
        ("weights", a.weight, b.weight),
        ("options", a.options, b.options),
    ):
        if not np.array_equal(x, y):
            where = left[int(np.flatnonzero(x != y)[0])]
            raise UsageError(f"{places} have different {name} of item {where[1]} of {where[0]}", "evaluate both anew")


def _finite(run: RunScores, scores: ItemScores, metric: str) -> None:
    bad = np.flatnonzero(~np.isfinite(scores.values[metric]))
    if len(bad):
        raise UsageError(
            f"run {run.run} of {run.arm}: {metric} has no finite value for {len(bad)} items, such as "
            f"{scores.item[bad[0]]} of {scores.benchmark[bad[0]]} ({scores.kind[bad[0]]})",
            "leave that benchmark out of this metric's suite (bpb and the accuracies have values for cloze items)",
        )


def _assembled(
    arms: tuple[str, ...],
    runs: Sequence[RunScores],
    scores: ItemScores,
    values: NDArray[np.float64],
    metric: str,
    weights: Mapping[str, float] | None,
    unit: str,
    dropped: int,
) -> ScoreMatrix:
    benchmarks = tuple(sorted(set(scores.benchmark.tolist())))
    share = _shares(benchmarks, weights)
    names = scores.cluster if unit == "cluster" else scores.item
    keys = sorted(set(zip(scores.benchmark.tolist(), names.tolist(), strict=True)))
    place = {key: i for i, key in enumerate(keys)}
    owner = np.array([place[key] for key in zip(scores.benchmark.tolist(), names.tolist(), strict=True)])
    mass = np.bincount(owner, scores.weight)
    y = np.stack([np.bincount(owner, row * scores.weight) / mass for row in values])
    benchmark = np.array([benchmarks.index(name) for name, _ in keys], np.int64)
    weight = share[benchmark] * mass / np.bincount(benchmark, mass)[benchmark]
    return ScoreMatrix(
        arms, tuple((run.arm, run.run) for run in runs), benchmarks, benchmark, tuple(name for _, name in keys),
        weight / weight.sum(), y, metric, len(scores.item), dropped,
    )  # fmt: skip


def _shares(benchmarks: tuple[str, ...], weights: Mapping[str, float] | None) -> NDArray[np.float64]:
    if weights is None:
        return np.full(len(benchmarks), 1 / len(benchmarks))
    if set(weights) != set(benchmarks):
        wrong = sorted(set(weights) ^ set(benchmarks))
        raise UsageError(f"weights and scores name different benchmarks: {', '.join(wrong)}")
    share = np.array([weights[name] for name in benchmarks], np.float64)
    if not np.isfinite(share).all() or share.min() <= 0 or abs(share.sum() - 1) > 1e-6:
        raise UsageError(
            f"weights of the benchmarks must be positive and sum to 1, they sum to {share.sum():.6g}",
            "divide each by their sum",
        )
    return share
