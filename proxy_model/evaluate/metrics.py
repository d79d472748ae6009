"""Metrics of a ScoreTable: each a number per item, then weighted means per benchmark and per group.

Symbols: L_i log-likelihood in nats of option i of an item, b_i UTF-8 bytes and c_i characters of the option without
the joining space, g the gold option, C the number of options.

acc             1 if argmax_i L_i = g                                   lm_eval/api/task.py (also the two below)
acc_norm        1 if argmax_i L_i / c_i = g: *characters*, as lm-evaluation-harness normalises
acc_bytes       1 if argmax_i L_i / b_i = g
log_acc_norm2   log softmax_i(L_i / b_i) at g, in nats; chance is -ln C   MiniMax-01 §4.1.3, reading R1 (reference,
                experiments §1); base 2 would be a softer temperature, not the same metric
norm_prob_byte  exp(log_acc_norm2): DataDecide's norm_correct_prob_per_byte; chance is 1 / C
root_softmax    softmax_i(exp(L_i / b_i)) at g: reading R2; chance is 1 / C
bpb             -L_g / (b_g ln 2): bits per byte of the gold option; smaller is better

Ties go to the first option, as numpy's argmax.  context_choice items (WinoGrande) score the same words in every
context: no length enters, L_i stands where L_i / b_i does, also in root_softmax.  cloze items have one option: acc,
acc_norm and acc_bytes are 1 where greedy decoding writes the answer (LAMBADA), metrics over options are NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

METRICS = ("acc", "acc_norm", "acc_bytes", "log_acc_norm2", "norm_prob_byte", "root_softmax", "bpb")
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ItemScores:
    """One row an item, in the table's order; arrays of one length.  `values[metric]`: NaN where it has no meaning."""

    benchmark: NDArray[Any]
    item: NDArray[Any]
    cluster: NDArray[Any]
    weight: Floats
    options: NDArray[np.int64]
    kind: NDArray[Any]
    values: dict[str, Floats]


@dataclass(frozen=True)
class Estimate:
    """A weighted mean over items.

    `standard_error` treats clusters of items as drawn at random (Liang-Zeger); it knows nothing of the noise of
    training, which another seed would show.  `chance`: the value of a guess, NaN where there is none.
    """

    benchmark: str
    metric: str
    value: float
    standard_error: float
    chance: float
    items: int
    clusters: int


def item_scores(table: pa.Table) -> ItemScores:
    """All metrics of every item.  Rows of an item stand together; raises ValueError where an item has no one gold."""
    columns = {
        name: table[name].combine_chunks().to_numpy(zero_copy_only=False)
        for name in ("log_likelihood", "gold", "bytes", "chars", "greedy", "weight")
    }
    names = {name: _strings(table[name]) for name in ("benchmark", "item", "cluster", "kind")}
    n = table.num_rows
    new = np.ones(n, bool)
    new[1:] = (names["item"][1:] != names["item"][:-1]) | (names["benchmark"][1:] != names["benchmark"][:-1])
    starts = np.flatnonzero(new)
    options = np.diff(np.append(starts, n))
    gold = np.asarray(columns["gold"], bool)
    if n and (np.add.reduceat(gold.astype(np.int64), starts) != 1).any():
        raise ValueError("an item with no gold option, or with more than one")
    owner = np.repeat(np.arange(len(starts)), options)
    right = np.flatnonzero(gold)
    kind = names["kind"][starts]
    values = _values(columns, kind, starts, owner, right)
    return ItemScores(
        names["benchmark"][starts], names["item"][starts], names["cluster"][starts],
        np.asarray(columns["weight"], np.float64)[starts], options, kind, values,
    )  # fmt: skip


def _values(
    columns: Mapping[str, Any], kind: NDArray[Any], starts: NDArray[np.int64], owner: NDArray[np.int64],
    right: NDArray[np.int64],
) -> dict[str, Floats]:  # fmt: skip
    if not len(starts):
        return {metric: np.empty(0) for metric in METRICS}
    nats = np.asarray(columns["log_likelihood"], np.float64)
    unscaled = (kind == "context_choice")[owner]
    length = np.where(unscaled, 1.0, columns["bytes"].astype(np.float64))
    per_byte = nats / length
    per_char = nats / np.where(unscaled, 1.0, columns["chars"].astype(np.float64))
    cloze = kind == "cloze"
    greedy = np.asarray(columns["greedy"], bool)[right]

    def hit(scores: Floats) -> Floats:
        return np.where(cloze, greedy, _first_best(scores, starts, owner) == right).astype(np.float64)

    logs = _log_softmax(per_byte, starts, owner)[right]
    with np.errstate(under="ignore"):  # an option of probability 0 is 0
        roots = np.exp(_log_softmax(np.exp(per_byte), starts, owner)[right])
        probability = np.exp(logs)
    several = np.where(cloze, np.nan, 0.0)
    return {
        "acc": hit(nats),
        "acc_norm": hit(per_char),
        "acc_bytes": hit(per_byte),
        "log_acc_norm2": logs + several,
        "norm_prob_byte": probability + several,
        "root_softmax": roots + several,
        "bpb": -nats[right] / (columns["bytes"].astype(np.float64)[right] * np.log(2.0)),
    }


def _first_best(scores: Floats, starts: NDArray[np.int64], owner: NDArray[np.int64]) -> NDArray[np.int64]:
    """Row of the first greatest score of each item."""
    best = scores == np.maximum.reduceat(scores, starts)[owner]
    rows = np.where(best, np.arange(len(scores)), len(scores))
    return np.asarray(np.minimum.reduceat(rows, starts), np.int64)


def _log_softmax(scores: Floats, starts: NDArray[np.int64], owner: NDArray[np.int64]) -> Floats:
    shifted = scores - np.maximum.reduceat(scores, starts)[owner]
    with np.errstate(under="ignore"):
        total = np.add.reduceat(np.exp(shifted), starts)
    return np.asarray(shifted - np.log(total)[owner], np.float64)


def _strings(column: pa.ChunkedArray) -> NDArray[Any]:
    plain = column.combine_chunks()
    if pa.types.is_dictionary(plain.type):
        plain = plain.dictionary_decode()
    return np.asarray(plain.to_numpy(zero_copy_only=False), dtype=object)


def chance(metric: str, options: NDArray[np.int64], kind: NDArray[Any]) -> Floats:
    """Value of a guess by item: 1/C for accuracies and probabilities, -ln C for log_acc_norm2, NaN for bpb."""
    guess = 1.0 / options
    if metric == "bpb":
        return np.full(len(options), np.nan)
    if metric == "log_acc_norm2":
        return np.where(kind == "cloze", np.nan, np.log(guess))
    nothing = 0.0 if metric.startswith("acc") else np.nan
    return np.where(kind == "cloze", nothing, guess)


def estimates(scores: ItemScores, metrics: Sequence[str] = METRICS) -> list[Estimate]:
    """Every metric of every benchmark, in the order of the table; benchmarks without a value are left out."""
    found = []
    for benchmark in dict.fromkeys(scores.benchmark.tolist()):
        here = scores.benchmark == benchmark
        for metric in metrics:
            use = here & ~np.isnan(scores.values[metric])
            if not use.any():
                continue
            value, error, clusters = weighted_mean(scores.values[metric][use], scores.weight[use], scores.cluster[use])
            guess = np.average(chance(metric, scores.options[use], scores.kind[use]), weights=scores.weight[use])
            found.append(Estimate(benchmark, metric, value, error, float(guess), int(use.sum()), clusters))
    return found


def weighted_mean(values: Floats, weights: Floats, clusters: NDArray[Any]) -> tuple[float, float, int]:
    """(mean, standard error, number of clusters).

    m = Σ w x / Σ w.  SE² = G/(G-1) · Σ_g (Σ_{i in g} w_i (x_i - m))² / (Σ w)², G clusters: for one item a cluster and
    equal weights, the standard error s/√n.  NaN for one cluster.
    """
    total = weights.sum()
    mean = float((weights * values).sum() / total)
    names, place = np.unique(clusters.astype(str), return_inverse=True)
    groups = len(names)
    if groups < 2:
        return mean, float("nan"), groups
    sums = np.bincount(place, weights * (values - mean), minlength=groups)
    return mean, float(np.sqrt(groups / (groups - 1) * (sums**2).sum()) / total), groups


def group_means(found: Sequence[Estimate], groups: Mapping[str, str]) -> list[Estimate]:
    """Equal-weight means of the benchmarks of each group; SE = √(Σ SE²) / n, benchmarks being independent.

    Pooling item errors as if the mean were over items understates it 3.5 times (reference, experiments §0.9).
    """
    made = []
    for group, metric in dict.fromkeys((groups[e.benchmark], e.metric) for e in found if e.benchmark in groups):
        some = [e for e in found if groups.get(e.benchmark) == group and e.metric == metric]
        n = len(some)
        made.append(
            Estimate(
                group,
                metric,
                sum(e.value for e in some) / n,
                float(np.sqrt(sum(e.standard_error**2 for e in some)) / n),
                sum(e.chance for e in some) / n,
                sum(e.items for e in some),
                sum(e.clusters for e in some),
            )
        )
    return made
