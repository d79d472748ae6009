"""What a plan is made from before there is a budget: names, prior, tilt, and what may be taken."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from mixing.inventory.cells import NO_BUCKET, Cells
from mixing.plan.capacity import Supply
from mixing.plan.config import PlanConfig, caps_between
from mixing.plan.prior import log_prior
from mixing.plan.tilt import Tilt, effective_share, tilt
from mixing.plan.waterfill import Array


@dataclass(frozen=True, eq=False)
class Names:
    """Sources and categories of the cells, numbered."""

    sources: list[str]
    source: NDArray[np.int64]
    categories: list[str]
    category: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Setting:
    """log_b: float64[n], the prior; target: the tilted shares; supply: before any relaxation."""

    cells: Cells
    config: PlanConfig
    names: Names
    log_b: Array
    target: Tilt
    supply: Supply

    @property
    def r_star(self) -> Array:
        """R of each cell."""
        return by_bucket(self.cells, self.config.r_star, min(self.config.r_star))

    @property
    def mean_document(self) -> Array:
        """Tokens of each cell's mean document."""
        mean: Array = self.cells.tokens / np.maximum(self.cells.documents, 1)
        return mean

    @property
    def fold_groups(self) -> NDArray[np.int64]:
        """Within what the tokens of a small cell may move: the category; with ceilings its source, too."""
        if not self.config.ceilings:
            return self.names.category
        return self.names.category * len(self.names.sources) + self.names.source


def prepare(cells: Cells, config: PlanConfig) -> Setting:
    """Everything that does not depend on the budget.

    Raises UsageError for names that the cells do not have, when nothing may be taken, and for ceilings
    that leave no source for the rest of a budget.
    """
    config.check(cells)
    names = _names(cells)
    log_b = log_prior(cells, config)
    target = tilt(log_b, cells.score, config.kl) if config.preset == "tilted" else _untilted(log_b)
    supply = _supply(cells, config, names, np.exp(log_b), target.log_q > -np.inf)
    return Setting(cells, config, names, log_b, target, supply)


def _names(cells: Cells) -> Names:
    sources, source = np.unique(np.array(cells.source), return_inverse=True)
    categories, category = np.unique(np.array(cells.category), return_inverse=True)
    return Names(sources.tolist(), source.astype(np.int64), categories.tolist(), category.astype(np.int64))


def _untilted(log_b: Array) -> Tilt:
    return Tilt(log_b, 0.0, 0.0, effective_share(log_b, log_b))


def by_bucket(cells: Cells, values: tuple[float, ...], without: float) -> Array:
    """One number a cell, from those of buckets 0–4, and `without` for cells without a bucket."""
    bucket = np.asarray(cells.bucket, np.int64)
    if bucket.max() >= len(values):
        raise UsageError(f"bucket {bucket.max()} in the documents", f"buckets are 0 to {len(values) - 1}")
    return np.where(bucket == NO_BUCKET, without, np.array(values)[np.maximum(bucket, 0)])


def _supply(cells: Cells, config: PlanConfig, names: Names, prior: Array, weighted: NDArray[np.bool_]) -> Supply:
    caps = config.caps or ((math.inf,) * 5 if config.soft_caps else caps_between())
    cap = by_bucket(cells, caps, min(caps) if config.untagged_cap is None else config.untagged_cap)
    if isinstance(config.floors, Mapping):
        floors = np.array([config.floors.get(name, 0.0) for name in names.categories])
    else:
        floors = config.floors * np.bincount(names.category, weights=prior, minlength=len(names.categories))
    ceilings = np.array([config.ceilings.get(name, math.inf) for name in names.sources])
    unique = np.asarray(cells.tokens, np.float64)
    named = isinstance(config.floors, Mapping)
    supply = Supply(unique, cap, weighted, names.source, names.category, ceilings, floors, named)
    if not np.where(weighted, supply.limit, 0).any():
        raise UsageError(
            "mix: not one token may be taken", "a cap above 0, and a weight above 0 for a source with documents"
        )
    if np.isfinite(ceilings).all() and ceilings.sum() < 1 - 1e-9:
        raise UsageError(
            f"mix.ceilings: every source has one, and they add to {ceilings.sum():.4g}", "at least 1 in sum"
        )
    return supply
