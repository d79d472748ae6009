"""Natural duplication: how often a document stood in the crawl, as a weight of its copies.

After global dedup one document stands for its whole cluster.  `fineweb2` is the published table of
FineWeb2's rehydration, `log2` a smooth one of the same range (1 + log₂ n); both send very large clusters,
which are boilerplate, back to 1.  `none` weighs every document 1.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Duplicates = Literal["none", "log2", "fineweb2"]

LARGE = 1_000  # documents: from here on a cluster weighs 1 again
UNITS = 1 << 20  # weights and scores are summed as whole numbers of 1/UNITS: exact in any order
# From this many documents on: this weight (FineWeb2, rehydration by cluster size).
FINEWEB2 = ((1, 1), (2, 2), (3, 3), (5, 5), (100, 8), (LARGE, 1))


def weight_units(rule: Duplicates) -> NDArray[np.int64]:
    """int64[LARGE + 1]: weights of clusters of 0, 1, …, LARGE (or more) documents, in 1/UNITS."""
    weights = np.ones(LARGE + 1)
    if rule == "log2":
        weights[1:LARGE] = [1 + math.log2(n) for n in range(1, LARGE)]
    elif rule == "fineweb2":
        for least, weight in FINEWEB2:
            weights[least:] = weight
    return np.rint(weights * UNITS).astype(np.int64)


def natural_weights(duplicate_count: NDArray[np.int64], rule: Duplicates) -> NDArray[np.float64]:
    """m of each document, float64[n]; counts below 1 weigh 1."""
    weights: NDArray[np.float64] = weight_units(rule)[np.clip(duplicate_count, 0, LARGE)] / UNITS
    return weights
