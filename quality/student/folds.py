"""Folds that depend on the documents' names alone: not on their order, nor on any random generator's version."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from curation.pipeline.hashing import hash64
from quality.student.arithmetic import Array


def folds_of(names: Sequence[str], folds: int, seed: int) -> Array:
    """int64[n]: fold of each document; the distinct names are dealt out in the order of their hash."""
    unique = sorted(set(names), key=lambda name: (hash64(name, seed), name))
    place = {name: i % folds for i, name in enumerate(unique)}
    return np.array([place[name] for name in names], dtype=np.int64)


def group_folds(groups: Sequence[str], folds: int) -> Array:
    """int64[n]: whole groups in a fold; the largest group goes first, each into the smallest fold so far."""
    sizes: dict[str, int] = {}
    for group in groups:
        sizes[group] = sizes.get(group, 0) + 1
    load = [0] * min(folds, len(sizes))
    place: dict[str, int] = {}
    for group in sorted(sizes, key=lambda g: (-sizes[g], g)):
        place[group] = load.index(min(load))
        load[place[group]] += sizes[group]
    return np.array([place[group] for group in groups], dtype=np.int64)
