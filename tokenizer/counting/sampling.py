"""How much of each language and domain to count, when there is more text than a vocabulary needs.

Training gains nothing measurable beyond some 120–200 GB (arXiv 2502.20273), so a budget is drawn, from every
language × domain by a hash of the document's id: never a prefix, whose first shards may hold one language.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import Purpose, derive_seed, hash64

DEFAULT_BUDGET = 150_000_000_000  # bytes of text
DEFAULT_ALPHA = 0.5  # small strata are kept whole long before large ones


def sampling_rates(
    sizes: Mapping[Any, int], budget: int = DEFAULT_BUDGET, *, alpha: float = DEFAULT_ALPHA
) -> dict[Any, float]:
    """The share of each stratum's documents to keep, so that about `budget` bytes are drawn in all.

    sizes: bytes of text by stratum, e.g. (language, domain).  A stratum's part is proportional to
    size^alpha (1: all alike, 0: equal parts) and at most all of it; what full strata leave goes to the others.
    """
    if budget <= 0 or not 0 <= alpha <= 1:
        raise UsageError(f"budget must be positive and alpha in [0, 1], not {budget} and {alpha}")
    names = [name for name, size in sizes.items() if size > 0]
    size = np.array([sizes[name] for name in names], np.float64)
    if size.sum() <= budget:
        return dict.fromkeys(sizes, 1.0)
    # Part i is min(size_i, level · size_i^alpha): strata fill in ascending order of size^(1 - alpha).
    order = np.argsort(size ** (1 - alpha), kind="stable")
    part, left = size.copy(), float(budget)
    open_ = np.cumsum((size**alpha)[order][::-1])[::-1]  # of the strata not yet full
    for k, i in enumerate(order):
        level = left / open_[k]
        if level * size[i] ** alpha < size[i]:
            part[order[k:]] = level * size[order[k:]] ** alpha
            break
        left -= size[i]
    rates = dict(zip(names, (part / size).tolist(), strict=True))
    return {name: rates.get(name, 1.0) for name in sizes}


def sample_keep(ids: Sequence[str], rates: Sequence[float] | NDArray[np.float64], seed: int) -> NDArray[np.bool_]:
    """Of n documents by id, which to count: each with the probability of its stratum, rates float[n].

    A document's fate depends on its id, its rate and the seed alone, and a higher rate keeps all that a lower one does.
    """
    salt = derive_seed(seed, Purpose.SAMPLE, "tokenizer")
    drawn = np.fromiter((hash64(one, salt) for one in ids), np.uint64, len(ids))
    return (drawn >> np.uint64(11)).astype(np.float64) * 2.0**-53 < np.asarray(rates, np.float64)
