"""What a tagger is, and its prediction.

For a text with n-gram outputs L (one per score and category, `features.score`), standardised style Z
and category probabilities p, a score head computes

    s = L + bias,   t = a₀ + a₁·s + Z·a + Σ_c p_c·offset_c,   P(level ≥ j) = σ(slope·t − θ_j)

(ridge, stacked with style, offset per category shrunk by n/(n+200), cumulative link) and its value is
the expected level Σ_j P(level ≥ j); the interval is value ± the conformal radius, cut to the scale.
Category: softmax of temperature × (L + bias).  QUALITY.md 5; reference/quality_mixing §3.2, §3.5.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from quality.features.scoring import Scorer
from quality.features.space import FeatureSpace
from quality.rubric.rubric import SOLID
from quality.student.arithmetic import Array, rows_dot, sigmoid, softmax

STYLE_LIMIT = 4.0  # standard deviations; a text unlike all training texts must not run off the scale
LOW_CATEGORY = 0.4  # reference §5: documents to send back to the judge
FORMAT = 1  # of the stored arrays


@dataclass(frozen=True)
class ScoreHead:
    """One score dimension; arrays are float64."""

    name: str
    levels: int  # the scale is 0 … levels − 1
    bias: float
    stack: Array  # [2 + S]: intercept, n-gram score, style
    offsets: Array  # [C], empty without categories
    slope: float
    cuts: Array  # θ, [levels − 1], rising
    radius: float  # half the conformal interval, in levels


@dataclass(frozen=True)
class CategoryHead:
    """The categories, in the rubric's order."""

    names: tuple[str, ...]
    bias: Array  # float64[C]
    temperature: float  # the logits are multiplied by it


@dataclass(frozen=True)
class Prediction:
    """Per score dimension float32[n]: `value` (expected level), `lo`, `hi`, `p_solid` = P(level ≥ 3), and
    `level` int8[n]; `category_p` float32[n, C]; `low_confidence` bool[n]: an unfamiliar text (its known share is
    below `StudentModel.least_known`, or nothing of it is known), or no category with probability 0.4."""

    value: dict[str, Array]
    lo: dict[str, Array]
    hi: dict[str, Array]
    level: dict[str, Array]
    p_solid: dict[str, Array]
    category_p: Array
    low_confidence: Array


@dataclass(frozen=True)
class StudentModel:
    """A trained tagger; `half` has a row for each bucket that training kept, all others are unknown."""

    space: FeatureSpace
    kept: Array  # int32[R], buckets, rising
    half: Array  # float16[R, k], as stored; columns: the score heads, then the categories
    idf: Array  # float32[R]
    style_mean: Array  # float64[S]
    style_scale: Array  # float64[S]
    scores: tuple[ScoreHead, ...]
    category: CategoryHead | None
    least_known: float  # of a text's n-grams; nine in ten held-out training texts have more
    trained: Array = field(repr=False)  # uint64[n], hash64 of the training documents' ids, rising
    card: dict[str, Any] = field(repr=False)

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Names of the score heads."""
        return tuple(head.name for head in self.scores)

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the categories; empty for a model without."""
        return () if self.category is None else self.category.names

    @cached_property
    def scorer(self) -> Scorer:
        """The linear part, laid out for the kernel."""
        return Scorer(self.space, self.half.astype(np.float32), self.idf, self.kept)

    @property
    def arrays(self) -> dict[str, Array]:
        """What is stored and hashed, by name."""
        out = {
            "kept": self.kept,
            "weights": self.half,
            "idf": self.idf,
            "style_mean": self.style_mean,
            "style_scale": self.style_scale,
            "least_known": np.array([self.least_known]),
            "trained": self.trained,
        }
        for head in self.scores:
            out[f"{head.name}.stack"] = head.stack
            out[f"{head.name}.offsets"] = head.offsets
            out[f"{head.name}.cuts"] = head.cuts
            out[f"{head.name}.numbers"] = np.array([head.bias, head.slope, head.radius])
        if self.category is not None:
            out["category.bias"] = self.category.bias
            out["category.temperature"] = np.array([self.category.temperature])
        return {name: np.ascontiguousarray(array) for name, array in out.items()}

    @cached_property
    def hash(self) -> str:
        """SHA-256 of arrays and names, 32 hex digits: everything that a prediction depends on (not the card)."""
        space, levels = self.space, [head.levels for head in self.scores]
        names = [FORMAT, space.word_bits, space.char_bits, space.version, list(self.dimensions), levels]
        digest = hashlib.sha256(orjson.dumps([*names, list(self.categories)]))
        for name, array in sorted(self.arrays.items()):
            digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()[:32]


def predict(model: StudentModel, texts: pa.LargeStringArray) -> Prediction:
    """Tags of n texts; a row depends on its text alone.  A null is read as the empty text."""
    found = model.scorer.score_and_style(texts)
    z = standardise(found.style, model.style_mean, model.style_scale)
    unfamiliar = (found.known < model.least_known) | (found.known == 0.0)
    return apply_outputs(model.scores, model.category, found.scores.astype(np.float64), z, unfamiliar)


def apply_outputs(
    scores: tuple[ScoreHead, ...], category: CategoryHead | None, outputs: Array, z: Array, unfamiliar: Array
) -> Prediction:
    """Heads on n-gram outputs float64[n, k] and standardised style float64[n, S]; unfamiliar: bool[n]."""
    first = len(scores)
    p = np.zeros((len(z), 0))
    if category is not None:
        p = softmax((outputs[:, first:] + category.bias) * category.temperature)
    made = [apply_score(head, outputs[:, i] + head.bias, z, p) for i, head in enumerate(scores)]
    names = [head.name for head in scores]
    unsure = p.max(axis=1) < LOW_CATEGORY if p.shape[1] else np.zeros(len(z), dtype=bool)

    def column(index: int) -> dict[str, Array]:
        return dict(zip(names, (m[index] for m in made), strict=True))

    return Prediction(column(0), column(1), column(2), column(3), column(4), p.astype(np.float32), unfamiliar | unsure)


def apply_score(head: ScoreHead, ngram: Array, z: Array, p: Array) -> tuple[Array, Array, Array, Array, Array]:
    """value, lo, hi, level, p_solid of one head."""
    t = stacked(head.stack, ngram, z)
    if len(head.offsets):
        t += rows_dot(p, head.offsets)
    above = at_least(t, head.slope, head.cuts)  # [n, levels − 1]
    value = rows_dot(above, np.ones(above.shape[1]))
    top = head.levels - 1.0
    lo, hi = np.clip(value - head.radius, 0.0, top), np.clip(value + head.radius, 0.0, top)
    level = (above > 0.5).sum(axis=1).astype(np.int8)
    solid = above[:, min(SOLID, head.levels - 1) - 1]
    single = np.float32
    return value.astype(single), lo.astype(single), hi.astype(single), level, solid.astype(single)


def stacked(stack: Array, ngram: Array, z: Array) -> Array:
    """a₀ + a₁·ngram + Z·a, float64[n]."""
    return np.asarray(stack[0] + stack[1] * ngram + rows_dot(z, stack[2:]))


def at_least(t: Array, slope: float, cuts: Array) -> Array:
    """P(level ≥ j), j = 1 …: float64[n, levels − 1]."""
    return sigmoid(slope * t[:, None] - cuts[None, :])


def standardise(style: Array, mean: Array, scale: Array) -> Array:
    """(style − mean) / scale, cut at ±4."""
    return np.clip((np.asarray(style, dtype=np.float64) - mean) / scale, -STYLE_LIMIT, STYLE_LIMIT)
