"""Does the drop-one answer hang on how it was computed?  The same rule with other predictors and another scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quality.analysis.arrays import NAN, Floats
from quality.analysis.correlations import Sample, dummies, explained, reliability
from quality.analysis.drop_one import ENOUGH, subsets
from quality.analysis.metrics import pearson

Design = Callable[[tuple[int, ...]], Floats]


@dataclass(frozen=True)
class Variant:
    """One way to compute: all smallest admissible sets, and how the rule's and the asked set fare.

    A set fares as the dropped dimension that it predicts worst: R² / reliability, and its name.
    """

    name: str
    kept: list[tuple[str, ...]]
    rule: float
    rule_worst: str
    asked: float
    asked_worst: str


def variants(
    one: Sample, rule: Sequence[str], asked: Sequence[str], category: NDArray[np.object_] | None
) -> list[Variant]:  # fmt: skip
    """Every variant that the data allow."""
    ranks = one.ranks
    reliable = reliability(ranks, one.twice)
    steps = [dummies(one.levels[:, i]) for i in range(len(one.names))]
    raw = reliability(one.levels, _levels_twice(one))
    made = [
        _variant("levels instead of ranks", one, one.levels, raw, lambda kept: one.levels[:, kept], rule, asked),
        _variant(
            "kept levels as steps, not a line", one, ranks, reliable,
            lambda kept: np.concatenate([steps[i] for i in kept], 1), rule, asked,
        ),
    ]  # fmt: skip
    if category is not None:
        subject = dummies(category.astype(str))
        made.append(
            _variant(
                "the category predicts too", one, ranks, reliable,
                lambda kept: np.concatenate([ranks[:, kept], subject], 1), rule, asked,
            )
        )  # fmt: skip
    if len(one.twice) > len(one.names) + 2:
        made.append(_across(one, reliable, rule, asked))
    return made


def _levels_twice(one: Sample) -> Floats:
    """The repeated judgements as levels: ranks of one dimension stand for its levels one to one."""
    found = np.empty_like(one.twice)
    for k in range(len(one.names)):
        ranks, first = np.unique(one.ranks[:, k], return_index=True)
        found[:, :, k] = np.interp(one.twice[:, :, k], ranks, one.levels[first, k])
    return found


def _variant(
    name: str, one: Sample, targets: Floats, reliable: Floats, design: Design, rule: Sequence[str], asked: Sequence[str]
) -> Variant:  # fmt: skip
    def found(kept: tuple[int, ...]) -> Floats:
        return explained(targets, design(kept)) / np.where(reliable > 0, reliable, np.nan)

    return _answer(name, one, found, rule, asked)


def _across(one: Sample, reliable: Floats, rule: Sequence[str], asked: Sequence[str]) -> Variant:
    """Kept dimensions of one pass predict the dropped one of the other: errors that a pass shares do not help."""

    def found(kept: tuple[int, ...]) -> Floats:
        design = np.concatenate([np.ones((len(one.ranks), 1)), one.ranks[:, kept]], 1)
        fitted, *_ = np.linalg.lstsq(design, one.ranks, rcond=None)
        shares = []
        for k in range(len(one.names)):
            sides = [
                (np.concatenate([np.ones((len(one.twice), 1)), one.twice[:, a][:, kept]], 1) @ fitted[:, k],
                 one.twice[:, 1 - a, k])
                for a in (0, 1)
            ]  # fmt: skip
            shares.append(pearson(np.concatenate([s[0] for s in sides]), np.concatenate([s[1] for s in sides])) ** 2)
        # Both sides come from the pairs, so the ceiling is the pairs' own repeatability.
        own = [pearson(one.twice[:, :, k].T.ravel(), one.twice[:, ::-1, k].T.ravel()) for k in range(len(one.names))]
        return np.array(shares) / np.where(np.array(own) > 0, own, np.nan)

    return _answer(f"one pass predicts the other ({len(one.twice)} documents)", one, found, rule, asked)


def _answer(
    name: str, one: Sample, found: Callable[[tuple[int, ...]], Floats], rule: Sequence[str], asked: Sequence[str]
) -> Variant:  # fmt: skip
    k = len(one.names)

    def worst(kept: tuple[int, ...]) -> tuple[float, str]:
        dropped = [i for i in range(k) if i not in kept]
        if not dropped:
            return 1.0, ""
        values = found(kept)[dropped]
        if np.isnan(values).any():
            return NAN, one.names[dropped[int(np.argmax(np.isnan(values)))]]
        return float(values.min()), one.names[dropped[int(values.argmin())]]

    least: list[tuple[str, ...]] = []
    for kept in subsets(k):
        if least and len(kept) > len(least[0]):
            break
        if worst(kept)[0] >= ENOUGH:
            least.append(tuple(one.names[i] for i in kept))
    chosen = [tuple(i for i, dimension in enumerate(one.names) if dimension in names) for names in (rule, asked)]
    return Variant(name, least, *worst(chosen[0]), *worst(chosen[1]))
