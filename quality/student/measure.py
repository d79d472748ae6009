"""All figures of one set of predictions against labels: QUALITY.md's list, with bootstrap intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from quality.analysis.arrays import NAN
from quality.analysis.evaluation import whole_levels
from quality.analysis.metrics import (
    Interval,
    auroc,
    bootstrap,
    cohen_kappa,
    ece,
    ece_interval,
    macro_f1,
    qwk,
    spearman,
    within_group_spearman,
    within_one,
)
from quality.rubric.rubric import SOLID
from quality.student.arithmetic import Array
from quality.student.model import Prediction
from quality.student.training_set import TrainingSet

RESAMPLES = 500


@dataclass(frozen=True)
class ScoreFigures:
    """One score dimension.  Intervals are [value, lo, hi] at 95 %; ECEs are of P(level ≥ 3) and of the value in
    levels; `ece_chance` is what perfect probabilities would show on as few documents."""

    qwk: Interval
    spearman: Interval
    within_category_spearman: Interval
    within_one: float
    rmse: float
    ece: Interval
    ece_chance: float
    value_ece: float
    auroc_solid: float
    coverage: float
    interval_width: float


@dataclass(frozen=True)
class CategoryFigures:
    """The category: accuracy (and where confidence is not low), F1 over labels that occur, kappa, calibration of the
    top probability."""

    accuracy: float
    accuracy_confident: float
    macro_f1: float
    kappa: float
    ece: Interval
    ece_chance: float


@dataclass(frozen=True)
class Figures:
    """n documents, and the share of them that the tagger itself calls low in confidence."""

    n: int
    low_confidence: float
    scores: dict[str, ScoreFigures]
    category: CategoryFigures | None


def measure(data: TrainingSet, found: Prediction, *, seed: int = 0, resamples: int = RESAMPLES) -> Figures:
    """Figures of predictions for the documents of `data`, row by row."""
    groups = data.category if data.names else np.zeros(len(data.ids), dtype=np.int64)
    scores = {name: _score(name, y, data.levels, found, groups, seed, resamples) for name, y in data.scores.items()}
    category = _category(data, found, seed, resamples) if data.names else None
    return Figures(len(data.ids), float(np.mean(found.low_confidence)), scores, category)


def _score(name: str, y: Array, levels: int, found: Prediction, groups: Array, seed: int, n: int) -> ScoreFigures:
    value, level = found.value[name].astype(np.float64), found.level[name].astype(np.float64)
    judged = whole_levels(y, levels)
    solid = (y >= min(SOLID, levels - 1)).astype(np.float64)
    p = found.p_solid[name].astype(np.float64)
    calibration = ece_interval(p, solid, seed=seed, n=n)
    lo, hi = found.lo[name], found.hi[name]
    given = bool((hi > lo).any())  # a baseline has no intervals
    return ScoreFigures(
        bootstrap(lambda a, b: qwk(a, b, levels), judged, level, seed=seed, n=n),
        bootstrap(spearman, y, value, seed=seed, n=n),
        bootstrap(within_group_spearman, y, value, groups, seed=seed, n=n),
        within_one(judged, level),
        float(np.sqrt(np.mean((y - value) ** 2))),
        Interval(*calibration[:3]),
        calibration.chance,
        ece(value, y),
        auroc(solid, p),
        float(np.mean((y >= lo) & (y <= hi))) if given else NAN,
        float(np.mean(hi - lo)) if given else NAN,
    )


def _category(data: TrainingSet, found: Prediction, seed: int, n: int) -> CategoryFigures:
    top = found.category_p.argmax(axis=1)
    right = (top == data.category).astype(np.float64)
    calibration = ece_interval(np.minimum(found.category_p.max(axis=1), 1.0), right, seed=seed, n=n)
    return CategoryFigures(
        float(right.mean()), float(right[~found.low_confidence].mean()) if (~found.low_confidence).any() else NAN,
        macro_f1(data.category, top), cohen_kappa(data.category, top), Interval(*calibration[:3]), calibration.chance,
    )  # fmt: skip


def rounded(value: Any, digits: int = 4) -> Any:
    """Dataclasses, intervals and floats as JSON values; NaN becomes null."""
    if isinstance(value, Interval):
        return [rounded(v, digits) for v in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: rounded(getattr(value, name), digits) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {key: rounded(v, digits) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(v, digits) for v in value]
    if isinstance(value, float | np.floating):
        return None if np.isnan(value) else round(float(value), digits)
    return value
