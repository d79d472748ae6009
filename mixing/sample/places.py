"""Where the copies of a document stand in training: anywhere, far from each other, in another order in every pass.

Copy j of n stands at (j − 1 + h_d + JITTER·(r_dj − ½)) / n on a circle of length 1, h_d and r_dj uniform draws.
So every copy alone is uniform over the schedule, two copies are never nearer than (1 − JITTER)/n, and two
documents less than JITTER/n apart meet in another order in each pass.  Copies are numbered as they stand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.pipeline.hashing import Purpose, derive_seed

JITTER = 0.5
MIN_GAP = 1 - JITTER  # of the mean distance of a document's copies, 1/n
_GAMMA, _A, _B = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True, eq=False)
class Places:
    """One row an occurrence: document int64 (row of the arguments), copy uint16 from 1, order_key float64 in [0, 1)."""

    document: NDArray[np.int64]
    copy: NDArray[np.uint16]
    order_key: NDArray[np.float64]


def places(doc_key: NDArray[np.uint64], copies: NDArray[np.integer], seed: int) -> Places:
    """The occurrences of documents that stand `copies` times, document after document, in order of their places."""
    many = copies.astype(np.int64)
    document = np.repeat(np.arange(len(many)), many)
    turn = np.arange(len(document)) - np.repeat(np.cumsum(many) - many, many)  # j − 1
    first = unit(mixed(doc_key ^ np.uint64(derive_seed(seed, Purpose.ORDER))))
    start = mixed(doc_key ^ np.uint64(derive_seed(seed, Purpose.COPIES)))
    moved = JITTER * (unit(mixed(start[document] ^ turn.astype(np.uint64))) - 0.5)
    n = many[document]
    place = (turn + first[document] + moved) / n
    before, after = place < 0, place >= 1  # only the first copy, only the last, and never both
    place = place + before - after
    shift = np.bincount(document, weights=after.astype(np.int64) - before, minlength=len(many)).astype(np.int64)
    copy = (turn + shift[document]) % np.maximum(n, 1) + 1
    order = np.empty(len(document), np.int64)
    order[np.cumsum(many)[document] - n + copy - 1] = np.arange(len(document))
    key = np.clip(place[order], 0.0, np.nextafter(1.0, 0.0))
    return Places(document[order], copy[order].astype(np.uint16), key)


def mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele, Lea, Flood 2014): a bijection of 64 bits."""
    with np.errstate(over="ignore"):
        z = values + _GAMMA
        z = (z ^ (z >> np.uint64(30))) * _A
        z = (z ^ (z >> np.uint64(27))) * _B
        return z ^ (z >> np.uint64(31))


def unit(values: NDArray[np.uint64]) -> NDArray[np.float64]:
    """The upper 53 bits as a number in [0, 1)."""
    return (values >> np.uint64(11)).astype(np.float64) * 2.0**-53


def places_reference(doc_key: list[int], copies: list[int], seed: int) -> list[tuple[int, int, float]]:
    """(document, copy, order_key) by the definition."""
    order, jitter = (derive_seed(seed, one) for one in (Purpose.ORDER, Purpose.COPIES))

    def unit(value: int) -> float:
        return float(mixed(np.array([value], np.uint64))[0] >> np.uint64(11)) * 2.0**-53

    found = []
    for d, (key, n) in enumerate(zip(doc_key, copies, strict=True)):
        start = int(mixed(np.array([key ^ jitter], np.uint64))[0])
        circle = [(j + unit(key ^ order) + JITTER * (unit(start ^ j) - 0.5)) / n for j in range(n)]
        turned = sorted(one - (one >= 1) + (one < 0) for one in circle)
        found += [(d, copy, min(place, 1 - 2.0**-53)) for copy, place in enumerate(turned, 1)]
    return found
