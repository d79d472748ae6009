"""Training: n-gram heads, stacked with style on out-of-fold scores, calibrated, with conformal intervals.

Everything after the n-gram heads is fitted on scores that their texts did not train.  The conformal radius and
the card's figures come from a second, outer split through the whole procedure (cross-conformal, Vovk 2015), so
they are honest with few labels.  A model for texts of sources that no label is from is calibrated on whole
sources held out too.  The result has the same bytes on every machine (`arithmetic`, `linear`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import hash64
from quality.features.hashing import Csr, document_frequency, hashed_features, known_share
from quality.features.scoring import style_features
from quality.features.space import FeatureSpace
from quality.student import calibrate
from quality.student.arithmetic import Array, log, softmax, total
from quality.student.folds import folds_of, group_folds
from quality.student.linear import gram, logistic, narrow_ridge, product, ridge, weights_of
from quality.student.model import (
    CategoryHead,
    Prediction,
    ScoreHead,
    StudentModel,
    apply_outputs,
    stacked,
    standardise,
)
from quality.student.training_set import TrainingSet

NGRAM_SCALE = 3.0  # beside standardised style the n-gram score is the better feature: penalised 9 times less
INNER_SEED, OUTER_SEED = 1, 2
DOCUMENTS, SOURCES = "documents", "sources"
FEWEST_ORIGINS = 3  # so that two are left when one is held out
DEFAULT_SPACE = FeatureSpace()


@dataclass(frozen=True)
class FitOptions:
    """Sizes and penalties; the defaults were chosen by cross-validation (docs/quality-student.md)."""

    space: FeatureSpace = DEFAULT_SPACE
    fewest: int = 2  # documents that a bucket must occur in
    ridge: float = 0.3
    logistic: float = 0.03
    stack: float = 30.0
    folds: int = 5
    coverage: float = 0.9
    seed: int = 0
    calibrate: str = DOCUMENTS  # held out to calibrate: documents, or (sources) whole sources too, the wider counts


@dataclass(frozen=True)
class Prepared:
    """Texts as numbers, shared by all folds: nothing here has seen a label."""

    counts: Csr  # by bucket
    features: Csr  # weighted rows over `kept`
    kept: Array
    idf: Array
    gram: Array  # float64[n, n]
    style_mean: Array
    style_scale: Array
    z: Array  # float64[n, S]


@dataclass(frozen=True)
class Heads:
    """Heads fitted on the rows `index`: n-gram weights are Xᵀ·alpha."""

    index: Array
    alpha: Array  # float64[len(index), k]
    scores: tuple[ScoreHead, ...]
    category: CategoryHead | None


DEFAULTS = FitOptions()


def fit(data: TrainingSet, options: FitOptions = DEFAULTS) -> tuple[StudentModel, dict[str, Prediction]]:
    """The model (card still empty) and the prediction of every training text by a model of the folds without it:
    `documents` held out and, where options.calibrate says so, `sources`.

    UsageError: calibration on sources with fewer than three origins of texts.
    """
    prepared = prepare(data, options)
    everything = np.arange(len(data.ids))
    outer = {DOCUMENTS: folds_of(data.groups, options.folds, options.seed + OUTER_SEED)}
    if options.calibrate == SOURCES:
        if len(set(data.origins)) < FEWEST_ORIGINS:
            raise UsageError(
                f"the texts have {len(set(data.origins))} sources: too few to hold whole ones out",
                "calibrate on documents, or label texts of more sources",
            )
        outer[SOURCES] = group_folds(data.origins, options.folds)
    shares = {kind: _known_shares(prepared.counts, fold, options) for kind, fold in outer.items()}
    least = float(np.sort(shares[DOCUMENTS])[int((1.0 - options.coverage) * len(everything))])
    found = {}
    for kind, fold in outer.items():
        parts = []
        for number in range(int(fold.max()) + 1):
            heads = fit_heads(prepared, data, everything[fold != number], options)
            held = everything[fold == number]
            parts.append((held, _predict(heads, prepared, held, shares[kind][held] < least)))
        found[kind] = in_order(parts)
    heads = fit_heads(prepared, data, everything, options)
    scores = tuple(
        replace(head, radius=_radius(head.name, found, data, everything, options.coverage)) for head in heads.scores
    )
    half = weights_of(*prepared.features, heads.alpha, len(prepared.kept)).astype(np.float16)
    model = StudentModel(
        options.space, prepared.kept, half, prepared.idf, prepared.style_mean, prepared.style_scale, scores,
        heads.category, least, np.array(sorted(hash64(name) for name in data.ids), dtype=np.uint64), {},
    )  # fmt: skip
    return model, {kind: _with_intervals(kind, found, data, fold, options.coverage) for kind, fold in outer.items()}


def _known_shares(counts: Csr, fold: Array, options: FitOptions) -> Array:
    """Of each text, the share of its features' occurrences that a model of the other folds has a row for."""
    shares = np.zeros(len(fold))
    document = np.repeat(np.arange(len(fold)), np.diff(counts.indptr))
    for number in range(int(fold.max()) + 1):
        rest = counts.indices[fold[document] != number]
        frequency = np.bincount(rest, minlength=options.space.buckets)
        shares[fold == number] = known_share(counts, frequency >= options.fewest)[fold == number]
    return shares


def _radius(name: str, found: dict[str, Prediction], data: TrainingSet, rows: Array, coverage: float) -> float:
    """Half the interval of a score from the residuals of `rows`: the wider of what documents and sources ask."""
    residual = {kind: (data.scores[name] - one.value[name])[rows] for kind, one in found.items()}
    radius = calibrate.conformal_radius(residual[DOCUMENTS], coverage)
    if SOURCES in residual:
        origins = [data.origins[i] for i in rows]
        radius = max(radius, calibrate.origin_radius(residual[SOURCES], origins, coverage))
    return radius


def _with_intervals(
    kind: str, found: dict[str, Prediction], data: TrainingSet, fold: Array, coverage: float
) -> Prediction:
    """found[kind] with the intervals that each fold's texts would have got from the residuals of the other folds."""
    lo, hi = {}, {}
    for name, values in found[kind].value.items():
        rows = [np.flatnonzero(fold != number) for number in range(int(fold.max()) + 1)]
        radius = np.array([_radius(name, found, data, some, coverage) for some in rows])[fold]
        lo[name] = np.clip(values - radius, 0.0, data.levels - 1.0).astype(np.float32)
        hi[name] = np.clip(values + radius, 0.0, data.levels - 1.0).astype(np.float32)
    return replace(found[kind], lo=lo, hi=hi)


def prepare(data: TrainingSet, options: FitOptions) -> Prepared:
    """Features, their weighting (definition: `features.hashing`) and the Gram matrix."""
    n = len(data.ids)
    features = hashed_features(data.texts, options.space)
    frequency = document_frequency(features, options.space)
    kept = np.flatnonzero(frequency >= options.fewest).astype(np.int32)
    idf = (log((1.0 + n) / (1.0 + frequency[kept])) + 1.0).astype(np.float32)
    weighted = _weighted(features, kept, idf)
    style = style_features(data.texts).astype(np.float32).astype(np.float64)  # libm's last bits are rounded away
    mean, scale = np.zeros(style.shape[1]), np.ones(style.shape[1])
    for column in range(style.shape[1]):
        mean[column] = total(style[:, column]) / n
        spread = np.sqrt(total((style[:, column] - mean[column]) ** 2) / n)
        scale[column] = spread if spread > 1e-9 else 1.0
    return Prepared(
        features, weighted, kept, idf, gram(*weighted, len(kept)), mean, scale, standardise(style, mean, scale)
    )  # fmt: skip


def _weighted(features: Csr, kept: Array, idf: Array) -> Csr:
    """`features.hashing.weighted` with sums and logarithms that are the same everywhere; values float64."""
    at = np.minimum(np.searchsorted(kept, features.indices), len(kept) - 1)
    known = kept[at] == features.indices
    n = len(features.indptr) - 1
    document = np.repeat(np.arange(n), np.diff(features.indptr))[known]
    values = (1.0 + log(features.counts[known])) * idf[at[known]].astype(np.float64)
    norms = np.sqrt(np.bincount(document, values * values, minlength=n))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(document, minlength=n))]).astype(np.int64)
    return Csr(indptr, at[known].astype(np.int32), values / norms[document])


def fit_heads(prepared: Prepared, data: TrainingSet, index: Array, options: FitOptions) -> Heads:
    """All heads from the rows `index`."""
    inner = folds_of([data.groups[i] for i in index], options.folds, options.seed + INNER_SEED)
    k = np.ascontiguousarray(prepared.gram[np.ix_(index, index)])
    weight, z = data.weight[index], prepared.z[index]
    alphas: list[Array] = []
    category, p = None, np.zeros((len(index), 0))
    if data.names:
        far = group_folds([data.origins[i] for i in index], options.folds) if options.calibrate == SOURCES else None
        alpha, category, p = _fit_category(k, data, index, inner, far, options)
    made = []
    for name, values in data.scores.items():
        a, head = _fit_score(name, data.levels, k, values[index], weight, z, p, inner, options)
        alphas.append(a[:, None])
        made.append(head)
    if data.names:
        alphas.append(alpha)
    return Heads(index, np.ascontiguousarray(np.concatenate(alphas, axis=1)), tuple(made), category)


def _fit_category(
    k: Array, data: TrainingSet, index: Array, inner: Array, far: Array | None, options: FitOptions
) -> tuple[Array, CategoryHead, Array]:
    """Coefficients, head, and out-of-fold probabilities float64[n, C].

    far: folds of whole sources; the temperature is then the flatter of theirs and that of the folds `inner`.
    """
    target = np.zeros((len(index), len(data.names)))
    target[np.arange(len(index)), data.category[index]] = 1.0
    weight = data.weight[index]
    constant = k + 1.0  # a feature that is 1 in every text: the bias
    logits = _crossed_logits(constant, target, weight, inner, options.logistic)
    factor = calibrate.temperature(logits, target, weight)
    if far is not None and far.max() > 0:
        crossed = _crossed_logits(constant, target, weight, far, options.logistic)
        factor = min(factor, calibrate.temperature(crossed, target, weight))
    alpha = logistic(constant, target, weight, options.logistic)
    bias = np.array([total(alpha[:, c]) for c in range(alpha.shape[1])])
    return alpha, CategoryHead(data.names, bias, factor), softmax(logits * factor)


def _crossed_logits(k: Array, target: Array, weight: Array, fold: Array, penalty: float) -> Array:
    """Logits float64[n, C] of each text from the folds without it."""
    logits = np.zeros_like(target)
    for number in range(int(fold.max()) + 1):
        a, b = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        alpha = logistic(np.ascontiguousarray(k[np.ix_(a, a)]), target[a], weight[a], penalty)
        logits[b] = product(np.ascontiguousarray(k[np.ix_(b, a)]), alpha)
    return logits


def _fit_score(
    name: str, levels: int, k: Array, y: Array, weight: Array, z: Array, p: Array, inner: Array, options: FitOptions
) -> tuple[Array, ScoreHead]:
    """Coefficients and head (its radius still 0) of one score."""
    ngram = np.zeros(len(y))
    for fold in range(options.folds):
        a, b = np.flatnonzero(inner != fold), np.flatnonzero(inner == fold)
        alpha, bias = ridge(np.ascontiguousarray(k[np.ix_(a, a)]), y[a], weight[a], options.ridge)
        ngram[b] = product(np.ascontiguousarray(k[np.ix_(b, a)]), alpha[:, None])[:, 0] + bias
    t = np.zeros(len(y))
    for fold in range(options.folds):
        a, b = inner != fold, inner == fold
        t[b] = stacked(_fit_stack(ngram[a], z[a], y[a], weight[a], options.stack), ngram[b], z[b])
    offsets = np.zeros(0)
    if p.shape[1]:
        offsets = calibrate.category_offsets(y - t, p, weight)
        for c in range(p.shape[1]):
            t += p[:, c] * offsets[c]
    slope, cuts = calibrate.cumulative_link(t, y, weight, levels)
    alpha, bias = ridge(k, y, weight, options.ridge)
    stack = _fit_stack(ngram, z, y, weight, options.stack)
    return alpha, ScoreHead(name, levels, bias, stack, offsets, slope, cuts, 0.0)


def _fit_stack(ngram: Array, z: Array, y: Array, weight: Array, penalty: float) -> Array:
    """Ridge of y on (n-gram score, style): float64[2 + S], intercept first."""
    slopes, intercept = narrow_ridge(np.column_stack([NGRAM_SCALE * ngram, z]), y, weight, penalty)
    slopes[0] *= NGRAM_SCALE
    return np.concatenate([[intercept], slopes])


def _predict(heads: Heads, prepared: Prepared, rows: Array, unfamiliar: Array) -> Prediction:
    """The heads on other rows of the same texts, through the Gram matrix."""
    outputs = product(np.ascontiguousarray(prepared.gram[np.ix_(rows, heads.index)]), heads.alpha)
    return apply_outputs(heads.scores, heads.category, outputs, prepared.z[rows], unfamiliar)


def in_order(parts: list[tuple[Array, Prediction]]) -> Prediction:
    """The folds' predictions in the order of the training set."""
    back = np.argsort(np.concatenate([rows for rows, _ in parts]), kind="stable")

    def joined(field: str) -> dict[str, Array]:
        first = getattr(parts[0][1], field)
        return {name: np.concatenate([getattr(part, field)[name] for _, part in parts])[back] for name in first}

    return Prediction(
        joined("value"), joined("lo"), joined("hi"), joined("level"), joined("p_solid"),
        np.concatenate([part.category_p for _, part in parts])[back],
        np.concatenate([part.low_confidence for _, part in parts])[back],
    )  # fmt: skip
