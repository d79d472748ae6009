"""Pseudo-random 64-bit keys of fragments: the only randomness of packing.

A bijection of 64 bits (SplitMix64's finaliser; Steele, Lea, Flood 2014) over the document's key, its copy and the
fragment's offset, seeded by `derive_seed(seed, Purpose.PACK)`: the same whatever else is packed beside it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curation.pipeline.hashing import Purpose, derive_seed, hash64

_GAMMA, _A, _B = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
UNIT = 2.0**-53


def mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's next output of each state."""
    with np.errstate(over="ignore"):
        z = values + _GAMMA
        z = (z ^ (z >> np.uint64(30))) * _A
        z = (z ^ (z >> np.uint64(27))) * _B
        return z ^ (z >> np.uint64(31))


def fragment_keys(
    doc_key: NDArray[np.uint64], copy: NDArray[np.integer], offset: NDArray[np.integer], seed: int
) -> NDArray[np.uint64]:
    """uint64 per fragment, for the run's `seed`."""
    start = np.uint64(derive_seed(seed, Purpose.PACK))
    return mixed(mixed(mixed(doc_key ^ start) ^ copy.astype(np.uint64)) ^ offset.astype(np.uint64))


def order_keys(ids: list[str], seed: int) -> NDArray[np.float64]:
    """Place in [0, 1) of each document in its queue where no mix table says it: 53 bits of a hash of its id."""
    start = derive_seed(seed, Purpose.ORDER)
    return (np.array([hash64(one, start) for one in ids], np.uint64) >> np.uint64(11)).astype(np.float64) * UNIT
