"""What the dimensions have in common: rank correlations, raw and corrected, components, and what explains them.

Everything is computed on mid-ranks over all documents, so the spacing of the levels cannot matter.  Reliability of
one judgement is 1 − ½E(Δrank)² / Var(rank) over documents judged twice by one family; a correlation is corrected for
it by Spearman's formula ρ / √(r·r′) (1904).  Source: reference §2.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quality.analysis.arrays import NAN, Floats, codes, midranks
from quality.analysis.metrics import variance_share
from quality.analysis.resampling import Interval, percentiles, resamples


@dataclass(frozen=True)
class Sample:
    """Ranks of the documents and of the twice-judged: ranks[n, k], twice[m, 2, k], pair_of[m] = document of a pair."""

    names: tuple[str, ...]
    levels: Floats  # [n, k], one judgement a document
    ranks: Floats  # [n, k], mid-ranks / n
    twice: Floats  # [m, 2, k], on the same scale
    pair_of: NDArray[np.intp]


def sample(names: Sequence[str], levels: Floats, twice: Floats, pair_of: NDArray[np.intp]) -> Sample:
    """Put levels[n, k] and repeated levels[m, 2, k] on one rank scale per dimension."""
    if np.isnan(levels).any() or np.isnan(twice).any():
        raise ValueError("NaN among the levels: leave such documents out first")
    n = len(levels)
    ranks, again = np.empty_like(levels), np.empty_like(twice)
    for k in range(levels.shape[1]):
        ranks[:, k] = midranks(levels[:, k]) / n
        ordered = np.sort(levels[:, k])
        below = np.searchsorted(ordered, twice[:, :, k], "left")
        upto = np.searchsorted(ordered, twice[:, :, k], "right")
        again[:, :, k] = (below + upto + 1) / (2 * n)
    return Sample(tuple(names), levels, ranks, again, pair_of)


def correlation(columns: Floats) -> Floats:
    """Correlation matrix [k, k] of columns[n, k]; NaN where a column is constant."""
    centred = columns - columns.mean(0)
    scale = np.sqrt((centred**2).sum(0))
    scale = np.where(scale > 1e-12, scale, np.nan)
    found: Floats = np.clip(centred.T @ centred / np.outer(scale, scale), -1, 1)
    return found


def reliability(columns: Floats, twice: Floats) -> Floats:
    """[k]: share of the variance of one judgement that a second one reproduces; NaN without pairs or variance."""
    variance = columns.var(0)
    if not len(twice):
        return np.full(columns.shape[1], NAN)
    noise = ((twice[:, 0] - twice[:, 1]) ** 2).mean(0) / 2
    found: Floats = np.clip(1 - noise / np.where(variance > 1e-12, variance, np.nan), 0, 1)
    return found


def corrected(matrix: Floats, reliable: Floats) -> Floats:
    """Correlations of error-free scores; may exceed 1 where errors of one judgement are shared (halo)."""
    scale = np.sqrt(np.outer(reliable, reliable))
    found: Floats = matrix / np.where(scale > 0, scale, np.nan)
    np.fill_diagonal(found, 1.0)
    return found


def passes(one: Sample) -> tuple[Floats, Floats]:
    """Correlations [k, k] over the documents judged twice: both scores of one pass, and one score of each pass.

    Where the first are higher, errors of a pass are shared by its scores (halo).  Both passes stand once on each
    side; NaN for fewer than 3 documents.
    """
    k = len(one.names)
    if len(one.twice) < 3:
        return np.full((k, k), NAN), np.full((k, k), NAN)
    left = np.concatenate([one.twice[:, 0], one.twice[:, 1]])
    right = np.concatenate([one.twice[:, 1], one.twice[:, 0]])
    both = correlation(np.concatenate([left, right], 1))
    return both[:k, :k], both[:k, k:]


@dataclass(frozen=True)
class Components:
    """Principal components of the rank correlations; `chance` is the 95th centile with columns shuffled (Horn 1965)."""

    shares: list[float]  # of the variance
    eigenvalues: list[float]
    chance: list[float]
    kept: int  # leading eigenvalues above chance
    loadings: list[list[float]]  # [component][dimension], first two


def components(ranks: Floats, seed: int, draws: int = 200) -> Components:
    """PCA and parallel analysis of ranks[n, k]; columns must vary."""
    values, vectors = np.linalg.eigh(correlation(ranks))
    values, vectors = values[::-1], vectors[:, ::-1]
    generator = np.random.Generator(np.random.PCG64(seed))
    shuffled = [np.linalg.eigvalsh(correlation(generator.permuted(ranks, axis=0)))[::-1] for _ in range(draws)]
    chance = np.quantile(shuffled, 0.95, axis=0)
    above = values > chance
    kept = len(values) if above.all() else int(np.argmin(above))
    loadings = (vectors * np.sqrt(np.maximum(values, 0))).T[:2]
    loadings *= np.where(loadings.sum(1, keepdims=True) < 0, -1, 1)
    return Components(
        (values / len(values)).tolist(), values.tolist(), chance.tolist(), kept, np.asarray(loadings).tolist()
    )


def dummies(groups: ArrayLike) -> Floats:
    """Indicator columns [n, groups − 1] of nominal groups, the first left out."""
    (g,), names = codes(groups)
    made: Floats = (g[:, None] == np.arange(1, len(names))).astype(np.float64)
    return made


def residuals(columns: Floats, controls: Floats) -> Floats:
    """What least squares on controls[n, c] and a constant leaves of columns[n, k]."""
    design = np.concatenate([np.ones((len(columns), 1)), controls], 1)
    fitted, *_ = np.linalg.lstsq(design, columns, rcond=None)
    left: Floats = columns - design @ fitted
    left[:, (left**2).sum(0) < 1e-12 * np.maximum((columns**2).sum(0), 1e-300)] = 0  # rounding is no information
    return left


def partial_correlation(columns: Floats, controls: Floats) -> Floats:
    """Correlation matrix of the columns once controls are taken out of each."""
    return correlation(residuals(columns, controls))


def explained(columns: Floats, controls: Floats) -> Floats:
    """[k]: adjusted R² of each column on the controls and a constant; NaN for a constant column or too few rows."""
    y, x = columns - columns.mean(0), controls - controls.mean(0)
    spread = np.sqrt((x**2).sum(0))
    x = x / np.where(spread > 1e-9, spread, 1)
    values, vectors = np.linalg.eigh(x.T @ x)  # small: controls × controls, and its rank tells collinear ones
    used = values > 1e-10 * len(values)
    fitted = ((vectors[:, used].T @ (x.T @ y)) ** 2 / values[used, None]).sum(0)
    total = (y**2).sum(0)
    n, free = len(columns), len(columns) - 1 - int(used.sum())
    if free < 1:
        return np.full(columns.shape[1], NAN)
    found: Floats = 1 - (1 - fitted / np.where(total > 1e-12, total, np.nan)) * (n - 1) / free
    return found


def between_groups(column: Floats, groups: ArrayLike, seed: int, replicates: int) -> Interval:
    """ε² of the groups with its interval; draws with replacement raise ε², so their mean excess is taken off."""
    (g,), names = codes(groups)
    value = variance_share(column, g)[1]
    drawn = np.array(
        [_epsilon(column[rows], g[rows], len(names)) for rows in resamples(len(g), seed=seed, n=replicates)]
    )
    if np.isnan(value) or np.isnan(drawn).all():
        return Interval(value, NAN, NAN)
    lo, hi = percentiles(drawn)
    excess = float(np.nanmean(drawn)) - value
    return Interval(value, lo - excess, min(1.0, hi - excess))


def _epsilon(column: Floats, g: NDArray[np.intp], size: int) -> float:
    """ε² as `variance_share` gives it, without its checks: called for every resample."""
    centred = column - column.mean()
    sizes = np.bincount(g, minlength=size)
    present = sizes > 0
    between = float((np.bincount(g, centred, minlength=size)[present] ** 2 / sizes[present]).sum())
    total, n, k = float(centred @ centred), len(column), int(present.sum())
    return 1 - (1 - between / total) * (n - 1) / (n - k) if total > 0 and n > k else NAN
