"""Which dimensions may be dropped: keep the smallest set from which every other is predicted well enough.

Well enough: the adjusted R² of the dropped dimension on the kept ones is at least 85 % of its reliability, the most
that any predictor could reach (reference §2.5).  All sets are tried; among the smallest admissible ones the best is
the one whose worst-predicted dimension is predicted best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from quality.analysis.arrays import NAN, Floats
from quality.analysis.correlations import Sample, reliability
from quality.analysis.resampling import Interval, percentiles, resamples

ENOUGH = 0.85


@dataclass(frozen=True)
class Candidate:
    """A set of kept dimensions: R² / reliability of each dropped one, and how often a resample admits the set."""

    kept: tuple[str, ...]
    ratios: dict[str, Interval]
    worst: Interval  # the least of them; 1 where nothing is dropped
    admissible: bool
    admitted: float  # share of resamples in which it is admissible


@dataclass(frozen=True)
class DropOne:
    """The rule's answer.  `sizes[k]`: share of resamples whose smallest admissible set has k dimensions."""

    enough: float
    decided: bool  # False: reliability is not known, nothing may be dropped
    kept: tuple[str, ...]
    dropped: tuple[str, ...]
    candidates: list[Candidate]  # by size, then best first; the best ten of each size
    asked: Candidate | None  # the set that the design proposes to keep
    sizes: dict[str, float]


def subsets(count: int) -> list[tuple[int, ...]]:
    """All non-empty sets of 0…count−1, smaller first."""
    return [one for size in range(1, count + 1) for one in combinations(range(count), size)]


def _ratios(moments: Floats, reliable: Floats, kept: Sequence[int], n: int) -> Floats:
    """[draws, k] from centred second moments [draws, k, k]: adjusted R² over reliability; NaN for the kept ones."""
    k = moments.shape[1]
    found = np.full((len(moments), k), NAN)
    dropped = [one for one in range(k) if one not in kept]
    if not dropped:
        return found
    cross = moments[:, kept][:, :, dropped]
    coefficients = np.linalg.pinv(moments[:, kept][:, :, kept], rcond=1e-10, hermitian=True) @ cross
    total = moments[:, dropped, dropped]
    explained = (cross * coefficients).sum(1) / np.where(total > 1e-12, total, np.nan)
    free = n - 1 - len(kept)
    adjusted = 1 - (1 - explained) * (n - 1) / free if free > 0 else np.full_like(explained, NAN)
    found[:, dropped] = adjusted / np.where(reliable[:, dropped] > 0, reliable[:, dropped], np.nan)
    return found


def drop_one(one: Sample, asked: Sequence[str], *, seed: int, replicates: int = 1000) -> DropOne:
    """Apply the rule to the ranks, with a bootstrap over documents that redraws reliability too."""
    k, n = len(one.names), len(one.ranks)
    moments, reliable = _draws(one, seed, replicates)
    sets = subsets(k)
    tables = {kept: _ratios(moments, reliable, kept, n) for kept in sets}
    worst = {kept: _worst(tables[kept], kept) for kept in sets}
    passing = {kept: values >= ENOUGH for kept, values in worst.items()}  # NaN is not

    def candidate(kept: tuple[int, ...]) -> Candidate:
        table, least = tables[kept], worst[kept]
        dropped = [i for i in range(k) if i not in kept]
        return Candidate(
            kept=tuple(one.names[i] for i in kept),
            ratios={one.names[i]: Interval(float(table[0, i]), *percentiles(table[1:, i])) for i in dropped},
            worst=Interval(float(least[0]), *percentiles(least[1:])),
            admissible=bool(passing[kept][0]),
            admitted=float(passing[kept][1:].mean()) if replicates else NAN,
        )

    smallest = np.full(len(moments), k)
    for kept in reversed(sets):
        smallest = np.where(passing[kept], len(kept), smallest)
    decided = not np.isnan(reliable[0]).any()
    best = max((s for s in sets if len(s) == smallest[0]), key=lambda s: (passing[s][0], np.nan_to_num(worst[s][0])))
    chosen = best if decided else tuple(range(k))
    shown = [
        kept
        for size in range(1, k)
        for kept in sorted((s for s in sets if len(s) == size), key=lambda s: -np.nan_to_num(worst[s][0]))[:10]
    ]
    wanted = tuple(i for i, name in enumerate(one.names) if name in asked)
    return DropOne(
        enough=ENOUGH,
        decided=decided,
        kept=tuple(one.names[i] for i in chosen),
        dropped=tuple(one.names[i] for i in range(k) if i not in chosen),
        candidates=[candidate(kept) for kept in shown],
        asked=candidate(wanted) if 0 < len(wanted) < k else None,
        sizes={str(size): float((smallest[1:] == size).mean()) for size in range(1, k + 1)} if replicates else {},
    )


def _worst(table: Floats, kept: Sequence[int]) -> Floats:
    """[draws]: the least ratio of the dropped dimensions, NaN where one is undefined; 1 where none is dropped."""
    dropped = [one for one in range(table.shape[1]) if one not in kept]
    worst: Floats = table[:, dropped].min(1) if dropped else np.ones(len(table))
    return worst


def _draws(one: Sample, seed: int, replicates: int) -> tuple[Floats, Floats]:
    """Second moments [1 + replicates, k, k] and reliabilities [1 + replicates, k]; the first is the sample itself.

    A document that is drawn brings its pair along, so reliability and R² vary together.
    """
    n, k = one.ranks.shape
    moments, reliable = np.empty((1 + replicates, k, k)), np.empty((1 + replicates, k))
    pair = np.full(n, -1)
    pair[one.pair_of] = np.arange(len(one.pair_of))
    draws = [np.arange(n), *resamples(n, seed=seed, n=replicates)]
    for row, drawn in enumerate(draws):
        columns = one.ranks[drawn]
        centred = columns - columns.mean(0)
        moments[row] = centred.T @ centred
        pairs = pair[drawn]
        reliable[row] = reliability(columns, one.twice[pairs[pairs >= 0]])
    return moments, reliable
