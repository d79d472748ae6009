"""From labelled texts and a backbone to a tagger.

Frozen backbone: vectors once, heads on them; every document is also predicted by heads of the folds without it, and
those predictions calibrate and give the figures (cross-conformal, as tier 0).  Trained backbone: one fold is held out
for that, and the model that did not see it is the result: training five more would cost five times as much.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

import proxy_model.heads.calibrate as calibrate
from curation.pipeline.errors import UsageError
from proxy_model.heads.calibrate import HeldOut
from proxy_model.heads.features import packed_features
from proxy_model.heads.linear import Pairs, best_penalty, fit_categories, fit_ordinal, standardiser
from proxy_model.heads.model import HeadsSpec, RewardHeads
from proxy_model.heads.ordinal import level_targets, ordinal_nats
from proxy_model.heads.pool import POOLINGS, Pooling
from proxy_model.heads.tagger import Tagger, assembled
from proxy_model.heads.texts import Reader, strings
from proxy_model.heads.tune import Targets, tune
from proxy_model.model import ProxyLM
from quality.student.calibrate import conformal_radius
from quality.student.folds import folds_of
from quality.student.model import Prediction
from quality.student.training_set import FEWEST, TrainingSet

INNER_FOLDS, INNER_SEED, OUTER_SEED = 3, 1, 2
Note = Callable[[str], None]


@dataclass(frozen=True)
class HeadsOptions:
    """Raises UsageError for values out of range."""

    backbone: Literal["frozen", "train"] = "frozen"
    pooling: Pooling = "last"
    max_tokens: int = 1024  # of a document, its end token included
    folds: int = 5
    coverage: float = 0.9
    seed: int = 0
    epochs: int = 3  # of a trained backbone
    lr: float = 3e-4

    def __post_init__(self) -> None:
        demands = [
            (self.backbone in ("frozen", "train"), f"backbone is {self.backbone!r}", "choose frozen or train"),
            (self.pooling in POOLINGS, f"pooling is {self.pooling!r}", f"choose {', '.join(POOLINGS)}"),
            (2 <= self.max_tokens <= 1 << 20, f"max_tokens is {self.max_tokens}", "choose 2 to 1048576"),
            (2 <= self.folds <= 20, f"{self.folds} folds", "choose 2 to 20"),
            (0.0 < self.coverage < 1.0, f"coverage is {self.coverage}", "choose a share such as 0.9"),
            (0 <= self.seed < 1 << 32, f"seed is {self.seed}", "choose 0 or a positive number below 2^32"),
            (1 <= self.epochs <= 1000, f"{self.epochs} epochs", "choose 1 to 1000"),
            (0.0 < self.lr <= 1.0, f"lr is {self.lr}", "choose for example 3e-4"),
        ]
        for holds, message, remedy in demands:
            if not holds:
                raise UsageError(message, remedy)


@dataclass(frozen=True)
class Fitted:
    """The tagger (its card still empty), and what was said of documents that were held out: `rows` int64 [m]."""

    tagger: Tagger
    rows: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    held_out: Prediction


@dataclass(frozen=True)
class Labelled:
    """A training set as tensors, float64; levels [D] of [n, L]; category int64 [n] (empty: none)."""

    data: TrainingSet
    levels: tuple[Tensor, ...]
    category: Tensor
    weight: Tensor
    pairs: Mapping[int, Pairs]


def fit_tagger(
    data: TrainingSet, model: ProxyLM, reader: Reader, options: HeadsOptions, *,
    pairs: Mapping[int, Pairs] | None = None, note: Note = lambda text: None,
) -> Fitted:  # fmt: skip
    """Raises UsageError for fewer labels than training needs; `model` is left as it is."""
    if len(data.ids) < FEWEST:
        raise UsageError(f"{len(data.ids)} labelled documents are too few to train on", f"label at least {FEWEST}")
    labelled = Labelled(
        data,
        tuple(level_targets(torch.from_numpy(y.copy()), data.levels) for y in data.scores.values()),
        torch.from_numpy(data.category.copy()),
        torch.from_numpy(data.weight.copy()),
        pairs or {},
    )
    sequences = reader.encode(strings(data.texts))
    fold = torch.from_numpy(folds_of(data.groups, options.folds, options.seed + OUTER_SEED))
    every = torch.arange(len(fold))
    note(f"{sum(map(len, sequences)):,} tokens of {len(sequences):,} documents")
    if options.backbone == "frozen":
        vectors = packed_features(model, sequences, options.pooling)
        note("vectors made")
        parts = [_held_out(fit_heads(vectors, labelled, every[fold != k]), vectors, every[fold == k])
                 for k in fold.unique().tolist()]  # fmt: skip
        heads, groups = fit_heads(vectors, labelled, every), fold
    else:
        model = copy.deepcopy(model)
        rest, held = every[fold != 0], every[fold == 0]
        vectors = packed_features(model, sequences, options.pooling)
        heads = fit_heads(vectors, labelled, rest)
        chosen = Targets(
            tuple(one[rest].float() for one in labelled.levels),
            labelled.category[rest] if data.names else labelled.category,
            labelled.weight[rest].float(),
        )
        some = {d: one.inside(rest, len(every)) for d, one in labelled.pairs.items()}
        tune(model, heads, [sequences[i] for i in rest.tolist()], chosen, pooling=options.pooling, pairs=some,
             epochs=options.epochs, lr=options.lr, seed=options.seed, note=note)  # fmt: skip
        after = packed_features(model, [sequences[i] for i in held.tolist()], options.pooling)
        vectors = vectors.clone()
        vectors[held] = after
        parts = [_held_out(heads, vectors, held)]
        halves = folds_of([data.groups[i] for i in held.tolist()], 2, options.seed + OUTER_SEED)
        groups = torch.full_like(every, -1)
        groups[held] = torch.from_numpy(halves)
    rows, found = _calibrated(heads, parts, labelled, groups, options.coverage)
    return Fitted(Tagger(model, heads, reader, options.pooling, {}), rows, found)


def fit_heads(vectors: Tensor, labelled: Labelled, index: Tensor) -> RewardHeads:
    """Heads on the rows `index` of vectors [n, F], penalties chosen on folds of them; not calibrated."""
    data = labelled.data
    names = tuple(data.scores)
    heads = RewardHeads(HeadsSpec(vectors.shape[1], names, data.levels, data.names)).float()
    x = vectors[index].double()
    heads.mean, heads.scale = (one.float() for one in standardiser(x))
    x = (x - heads.mean.double()) / heads.scale.double()
    inner = torch.from_numpy(folds_of([data.groups[i] for i in index.tolist()], INNER_FOLDS, INNER_SEED))
    weight = labelled.weight[index]
    with torch.no_grad():
        cuts = []
        for d in range(len(names)):
            pairs = labelled.pairs[d].inside(index, len(vectors)) if d in labelled.pairs else None
            slopes, found = _score(x, labelled.levels[d][index], weight, inner, pairs)
            heads.score[d] = slopes.float()
            cuts.append(found)
        heads.set_cuts(torch.stack(cuts).float())
        if data.names:
            target = torch.nn.functional.one_hot(labelled.category[index], len(data.names)).double()
            slopes, bias = _categories(x, target, weight, inner)
            heads.category.copy_(slopes)
            heads.bias.copy_(bias)
    return heads


def _score(x: Tensor, target: Tensor, weight: Tensor, inner: Tensor, pairs: Pairs | None) -> tuple[Tensor, Tensor]:
    def nats(train: Tensor, held: Tensor, penalty: float) -> Tensor:
        some = pairs.inside(train, len(x)) if pairs is not None else None
        slopes, cuts = fit_ordinal(x[train], target[train], weight[train], penalty, some)
        return (weight[held] * ordinal_nats(x[held] @ slopes, cuts, target[held])).sum()

    return fit_ordinal(x, target, weight, best_penalty(len(x), inner, nats), pairs)


def _categories(x: Tensor, target: Tensor, weight: Tensor, inner: Tensor) -> tuple[Tensor, Tensor]:
    def nats(train: Tensor, held: Tensor, penalty: float) -> Tensor:
        slopes, bias = fit_categories(x[train], target[train], weight[train], penalty)
        log_p = torch.log_softmax(x[held] @ slopes.t() + bias, dim=1)
        return -(weight[held] * (target[held] * log_p).sum(1)).sum()

    return fit_categories(x, target, weight, best_penalty(len(x), inner, nats))


@torch.no_grad()
def _held_out(heads: RewardHeads, vectors: Tensor, rows: Tensor) -> HeldOut:
    scores, logits = heads(vectors[rows])
    return HeldOut(rows, scores.double(), heads.cuts.double(), logits.double())


def _calibrated(
    heads: RewardHeads, parts: list[HeldOut], labelled: Labelled, groups: Tensor, coverage: float
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.int64]], Prediction]:
    """Set factors and radii of `heads` from the parts; the held-out rows, rising, and what is said of them.

    groups: int64 [n]; a row's interval comes from the residuals of the other groups.
    """
    data, n = labelled.data, len(labelled.weight)
    factors = [
        calibrate.score_factor(parts, d, labelled.levels[d], labelled.weight) for d in range(len(labelled.levels))
    ]
    heads.factor = torch.tensor(factors, dtype=torch.float32)
    p = torch.zeros(n, len(data.names), dtype=torch.float64)
    if data.names:
        factor = calibrate.category_factor(parts, labelled.category, labelled.weight)
        heads.category_factor = torch.tensor([factor], dtype=torch.float32)
        for part in parts:
            p[part.rows] = torch.softmax(part.logits * factor, dim=1)
    rows = torch.cat([part.rows for part in parts]).sort().values
    above = calibrate.above_of(parts, factors, n)[rows].numpy()
    y = np.stack([values[rows.numpy()] for values in data.scores.values()], axis=1)
    residual, group = y - above.sum(axis=2), groups[rows].numpy()
    dimensions = range(y.shape[1])
    heads.radius = torch.tensor([conformal_radius(residual[:, d], coverage) for d in dimensions], dtype=torch.float32)
    half = np.zeros_like(residual)
    for one in np.unique(group):
        others = group != one if (group != one).any() else group == one
        half[group == one] = [conformal_radius(residual[others, d], coverage) for d in dimensions]
    blank = np.array([not text.strip() for text in strings(data.texts.take(rows.numpy()))], dtype=bool)
    return rows.numpy(), assembled(above, p[rows].numpy(), half, heads, blank)


def with_card(tagger: Tagger, card: dict[str, object]) -> Tagger:
    """The same tagger with a card."""
    return replace(tagger, card=card)
