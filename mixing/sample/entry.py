"""The order in which occurrences enter a sample: every budget of a cell is a prefix of it.

Occurrence j = 1, 2, … of document d has the entry key γ = (j − u_d) / m_d, where u_d is the stored draw
`prio_sample` / 2^64 and m_d the weight of natural duplication (1 by default).  Source: quality_mixing §4.4.
At a level g of γ a document stands ⌊g·m_d + u_d⌋ times, so for m = 1 copies differ by at most one within a cell.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError

MOST_COPIES = np.iinfo(np.uint16).max  # `copy` of the mix table
UNIT = 2.0**-64
BISECTIONS = 24  # of a level: it is then at most one in 16 million too high


def entry_key(copy: NDArray[np.integer], draw: NDArray[np.uint64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """γ of occurrences; every operation is one of IEEE 754, so it is the same on every machine."""
    key: NDArray[np.float64] = (copy.astype(np.float64) - draw.astype(np.float64) * UNIT) / weight
    return key


def copies_allowed(cap: float) -> int:
    """Copies of one document under an epoch cap: the next whole number."""
    return int(min(np.ceil(cap - 1e-9), MOST_COPIES))


def entries(
    doc_key: NDArray[np.uint64], draw: NDArray[np.uint64], tokens: NDArray[np.int64],
    weight: NDArray[np.float64] | None, allowed: int, needed: float,
) -> NDArray[np.int32]:  # fmt: skip
    """int32[k]: the document of each occurrence of one cell, in order of entry.

    The first so many that they hold `needed` tokens, or all of them.  allowed: copies of a document at most;
    weight: float64[n] ≥ 1, None: 1.  Ties of γ go by copy, draw (the larger first) and key.
    Raises UsageError: `needed` would take more than MOST_COPIES copies of a document.
    """
    if not len(tokens) or needed <= 0:
        return np.zeros(0, np.int32)
    if weight is None or bool((weight == 1).all()):
        found = _in_rounds(doc_key, draw, tokens, allowed, needed)
    else:
        found = _by_key(doc_key, draw, tokens, weight, allowed, needed)
    if allowed >= MOST_COPIES and int(tokens[found].sum()) < needed:
        raise UsageError(
            f"the mix repeats a document more than {MOST_COPIES:,} times", "lower the budget, or give `caps` in epochs"
        )
    return found


def _in_rounds(
    doc_key: NDArray[np.uint64], draw: NDArray[np.uint64], tokens: NDArray[np.int64], allowed: int, needed: float
) -> NDArray[np.int32]:
    """All documents once, then all a second time in the same order, …: so many rounds as `needed` takes."""
    order = sorted_by(~draw, (doc_key,)).astype(np.int32)
    running = np.cumsum(tokens[order])
    rounds, rest = divmod(float(needed), float(running[-1]))
    if rounds >= allowed:
        return np.tile(order, allowed)
    last = min(int(np.searchsorted(running, rest, side="left")) + 1, len(order)) if rest > 0 else 0
    return np.concatenate([np.tile(order, int(rounds)), order[:last]])


def _by_key(
    doc_key: NDArray[np.uint64], draw: NDArray[np.uint64], tokens: NDArray[np.int64], weight: NDArray[np.float64],
    allowed: int, needed: float,
) -> NDArray[np.int32]:  # fmt: skip
    uniform = draw.astype(np.float64) * UNIT

    def copies(level: float) -> NDArray[np.int64]:
        return np.minimum(np.floor(level * weight + uniform), allowed).astype(np.int64)

    low, high = 0.0, 1.0
    while high < allowed and float((copies(high) * tokens).sum()) < needed:
        low, high = high, high * 2
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if float((copies(middle) * tokens).sum()) >= needed else (middle, high)
    high *= 1 + 1e-9  # ⌊g·m + u⌋ and (j − u)/m round differently
    many = np.minimum(copies(high) + 1, allowed)
    document = np.repeat(np.arange(len(tokens), dtype=np.int32), many)
    copy = np.arange(len(document)) - np.repeat(np.cumsum(many) - many, many) + 1
    key = entry_key(copy, draw[document], weight[document])
    if high < allowed:  # weights are at least 1: at that level every document has all its copies
        inside = key <= high
        document, copy, key = document[inside], copy[inside], key[inside]
    order = sorted_by(key, (copy, ~draw[document], doc_key[document]))
    document = document[order]
    end = int(np.searchsorted(np.cumsum(tokens[document]), needed, side="left")) + 1
    return document[:end]


def sorted_by(first: NDArray[np.generic], ties: Sequence[NDArray[np.generic]]) -> NDArray[np.int64]:
    """Row numbers in order of `first`, then of the columns in `ties`; fast where equal values are rare."""
    order = np.argsort(first)
    ordered = first[order]
    same = np.flatnonzero(ordered[1:] == ordered[:-1])
    if len(same):
        places = np.unique(np.concatenate([same, same + 1]))
        rows = order[places]
        order[places] = rows[np.lexsort([*(column[rows] for column in reversed(ties)), first[rows]])]
    return order


def entries_reference(
    doc_key: list[int], draw: list[int], tokens: list[int], weight: list[float], allowed: int, needed: float
) -> list[int]:
    """`entries` by its definition: all occurrences with their keys, sorted."""
    occurrences = sorted(
        ((copy - float(draw[d]) * 2.0**-64) / weight[d], copy, -draw[d], doc_key[d], d)
        for d in range(len(doc_key))
        for copy in range(1, allowed + 1)
    )
    found: list[int] = []
    total = 0
    for *_, document in occurrences:
        if total >= needed:
            break
        found.append(document)
        total += tokens[document]
    return found
