"""What a tagger must beat: the commonest label, length alone, style alone; convex and calibrated like the heads."""

from __future__ import annotations

import numpy as np

from quality.features.style import STYLE_NAMES
from quality.student import calibrate
from quality.student.arithmetic import Array, softmax, total
from quality.student.linear import logistic, narrow_ridge, product
from quality.student.model import Prediction, ScoreHead, apply_score, standardise
from quality.student.training_set import TrainingSet

BASELINES = ("majority", "length", "style")
PENALTY = 1.0


def baseline(name: str, train: TrainingSet, style: Array, held: Array) -> Prediction:
    """Trained on `train` with raw statistics `style` float64[n, S], for texts with statistics `held`."""
    columns = {"majority": [], "length": [STYLE_NAMES.index("log_chars")], "style": list(range(len(STYLE_NAMES)))}[name]
    x, y = np.ascontiguousarray(style[:, columns]), np.ascontiguousarray(held[:, columns])
    n = len(x)
    mean = np.array([total(x[:, c]) / n for c in range(x.shape[1])])
    sd = np.array([np.sqrt(total((x[:, c] - mean[c]) ** 2) / n) for c in range(x.shape[1])])
    a, b = standardise(x, mean, np.where(sd > 1e-9, sd, 1.0)), standardise(y, mean, np.where(sd > 1e-9, sd, 1.0))
    parts = {head: _score(head, train, values, a, b) for head, values in train.scores.items()}
    value, lo, hi, level, solid = (dict(zip(parts, c, strict=True)) for c in zip(*parts.values(), strict=True))
    p = _categories(train, a, b) if train.names else np.zeros((len(b), 0))
    return Prediction(value, lo, hi, level, solid, p.astype(np.float32), np.zeros(len(b), dtype=bool))


def _score(name: str, train: TrainingSet, y: Array, a: Array, b: Array) -> tuple[Array, ...]:
    slopes, intercept = narrow_ridge(a, y, train.weight, PENALTY)
    stack = np.concatenate([[intercept, 0.0], slopes])
    t = intercept + product(a, slopes[:, None])[:, 0]
    slope, cuts = calibrate.cumulative_link(t, y, train.weight, train.levels)
    head = ScoreHead(name, train.levels, 0.0, stack, np.zeros(0), slope, cuts, 0.0)
    return apply_score(head, np.zeros(len(b)), b, np.zeros((len(b), 0)))


def _categories(train: TrainingSet, a: Array, b: Array) -> Array:
    target = np.zeros((len(a), len(train.names)))
    target[np.arange(len(a)), train.category] = 1.0
    alpha = logistic(product(a, np.ascontiguousarray(a.T)) + 1.0, target, train.weight, PENALTY)
    return softmax(product(product(b, np.ascontiguousarray(a.T)) + 1.0, alpha))
