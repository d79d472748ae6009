"""Evaluation: a tagger as it is, or its training repeated with documents or whole sources held out.

`random`: folds of documents by the hash of their ids; `source`: folds of whole sources (the kinder question is how
well it does on more of the same, the harder how well on texts from elsewhere); `model`: the given model on labelled
documents that it was not trained on.  Beside every figure stand the baselines and the judge's own repeatability.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import hash64
from quality.analysis.metrics import bootstrap, cohen_kappa, qwk, within_group_spearman
from quality.features.scoring import style_features
from quality.rubric.rubric import DIMENSIONS
from quality.student.arithmetic import Array
from quality.student.baselines import BASELINES, baseline
from quality.student.fit import DEFAULTS, FitOptions, fit, in_order
from quality.student.folds import folds_of, group_folds
from quality.student.measure import RESAMPLES, Figures, measure
from quality.student.model import Prediction, StudentModel, predict
from quality.student.training_set import FEWEST, TrainingSet

SPLITS = ("random", "source", "model")
GAIN = 0.03  # within-category Spearman that a dearer tagger must add (reference §3.3: tier 0 costs 1/1000)
SEED = 3
Note = Callable[[str], None]
Told = Callable[[TrainingSet, dict[str, Prediction]], None]


@dataclass(frozen=True)
class SplitFigures:
    """One split: the tagger and its baselines on the same held-out documents."""

    tagger: Figures
    baselines: dict[str, Figures]


@dataclass(frozen=True)
class Ceiling:
    """The judge's agreement with itself on the documents that were judged twice."""

    documents: int
    qwk: dict[str, float]
    category_kappa: float


@dataclass(frozen=True)
class CurvePoint:
    """Trained on `documents` of them, measured on one random fold."""

    documents: int
    figures: Figures


@dataclass(frozen=True)
class Adoption:
    """Gain in within-category Spearman with its 95 % interval by paired bootstrap, and the verdict."""

    gain: float
    lo: float
    hi: float
    adopted: bool


def evaluate_split(
    data: TrainingSet, split: str, *, model: StudentModel | None = None, options: FitOptions = DEFAULTS,
    folds: int = 5, resamples: int = RESAMPLES, note: Note = lambda text: None, told: Told | None = None,
) -> SplitFigures:  # fmt: skip
    """One of SPLITS.  UsageError for `model` without a model, or with one that has seen (nearly) all documents.

    told: called with the held-out documents and the predictions of tagger and baselines for them, row by row.
    """
    if split == "model":
        return _as_it_is(model, data, resamples, told)
    if split == "random":
        fold = folds_of(data.groups, folds, SEED)
    elif split == "source":
        fold = group_folds(data.sources, folds)
    else:
        raise UsageError(f"no split {split!r}", f"choose of {', '.join(SPLITS)}")
    if fold.max() == 0:
        raise UsageError("all documents have one source: nothing can be held out by source", "use the random split")
    style = style_features(data.texts)
    parts: dict[str, list[tuple[Array, Prediction]]] = {name: [] for name in ("tagger", *BASELINES)}
    for number in range(int(fold.max()) + 1):
        held, rest = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        train = data.take(rest)
        if len(rest) < FEWEST:
            raise UsageError(f"holding out fold {number} leaves {len(rest)} documents", f"at least {FEWEST} are needed")
        trained, _ = fit(train, options)
        parts["tagger"].append((held, predict(trained, data.texts.take(pa.array(held)))))
        for name in BASELINES:
            parts[name].append((held, baseline(name, train, style[rest], style[held])))
        note(f"{split}: fold {number + 1} of {int(fold.max()) + 1}, {len(held)} documents held out")
    predictions = {name: in_order(found) for name, found in parts.items()}
    if told is not None:
        told(data, predictions)
    made = {name: measure(data, found, resamples=resamples) for name, found in predictions.items()}
    return SplitFigures(made.pop("tagger"), made)


def _as_it_is(
    model: StudentModel | None, data: TrainingSet, resamples: int, told: Told | None
) -> SplitFigures:  # fmt: skip
    if model is None:
        raise UsageError("the split `model` needs a model", "give one, or choose the splits random and source")
    _check_same_targets(model, data)
    keys = np.array([hash64(name) for name in data.ids], dtype=np.uint64)
    unseen = np.flatnonzero(~np.isin(keys, model.trained))
    if len(unseen) < FEWEST:
        raise UsageError(
            f"the model was trained on {len(data.ids) - len(unseen)} of these {len(data.ids)} documents: "
            f"{len(unseen)} are left to measure on",
            f"give at least {FEWEST} labelled documents that it has not seen, or choose the splits random and source",
        )
    held = data.take(unseen)
    found = predict(model, held.texts)
    if told is not None:
        told(held, {"tagger": found})
    return SplitFigures(measure(held, found, resamples=resamples), {})


def _check_same_targets(model: StudentModel, data: TrainingSet) -> None:
    levels = {head.name: head.levels for head in model.scores}
    if model.categories != data.names or any(levels.get(name) != data.levels for name in data.scores):
        raise UsageError("model and labels have different scores, levels or categories", "use labels by its rubric")


def learning_curve(
    data: TrainingSet,
    options: FitOptions = DEFAULTS,
    *,
    folds: int = 5,
    resamples: int = RESAMPLES,
    note: Note = lambda text: None,
) -> list[CurvePoint]:
    """Figures on one random fold after training on 1/8, 1/4, 1/2 and all of the rest (nested samples)."""
    fold = folds_of(data.groups, folds, SEED)
    held, rest = data.take(np.flatnonzero(fold == 0)), np.flatnonzero(fold != 0)
    rank = np.argsort(np.argsort([hash64(data.ids[i], SEED + 1) for i in rest], kind="stable"))
    points = []
    for part in (8, 4, 2, 1):
        size = len(rest) // part
        if size < max(FEWEST, len(data.names)):
            continue
        train = data.take(rest[rank < size])
        if any(np.ptp(values) == 0 for values in train.scores.values()):
            continue
        trained, _ = fit(train, options)
        points.append(CurvePoint(size, measure(held, predict(trained, held.texts), resamples=resamples)))
        note(f"learning curve: {size} documents")
    return points


def repeatability(tables: Sequence[pa.Table]) -> Ceiling | None:
    """First against second judgement of every document with two; None where fewer than 20 have."""
    first: dict[str, dict[str, Any]] = {}
    pairs = []
    for row in sorted((r for t in tables for r in t.to_pylist()), key=lambda r: (r["doc_id"], r["judge"])):
        if row["doc_id"] not in first:
            first[row["doc_id"]] = row
        elif first[row["doc_id"]]["judge"] != row["judge"] and not first[row["doc_id"]].get("paired"):
            pairs.append((first[row["doc_id"]], row))
            first[row["doc_id"]]["paired"] = True
    if len(pairs) < 20:
        return None
    return Ceiling(
        len(pairs),
        {name: qwk([a[name] for a, _ in pairs], [b[name] for _, b in pairs]) for name in DIMENSIONS},
        cohen_kappa([str(a["category"]) for a, _ in pairs], [str(b["category"]) for _, b in pairs]),
    )


def adopt(tier0: Array, tier1: Array, truth: Array, category: Array, *, seed: int = 0, n: int = 1000) -> Adoption:
    """Whether the dearer tagger replaces the cheap one: values float[n] of both on the same held-out documents.

    Adopted if it gains at least 0.03 within-category Spearman and the paired bootstrap's interval lies above 0.
    """

    def gain(a: Array, b: Array, y: Array, groups: Array) -> float:
        return within_group_spearman(y, b, groups) - within_group_spearman(y, a, groups)

    found = bootstrap(gain, tier0, tier1, truth, category, seed=seed, n=n)
    return Adoption(*found, bool(found.value >= GAIN and found.lo > 0.0))
