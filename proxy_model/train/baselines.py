"""What a model has to beat: unigram and interpolated Kneser-Ney n-grams of the text it trains on.

p_n(w|h) = max(c(hw) - D_n, 0)/c(h) + D_n·t(h)/c(h) · p_{n-1}(w|h')     t(h): distinct w after h
c is a count at the highest order and below it the number of distinct tokens seen before; D_n = n1/(n1 + 2·n2)
(Kneser, Ney 1995; Ney, Essen, Kneser 1994).  Below the lowest order stands 1/V.  The same code serves tokens and
bytes.  Contexts never cross the boundary of a fragment.  All counts are sorted 64-bit keys: memory is some 100 bytes a
token of training text.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Keys = NDArray[np.uint64]
_MULTIPLIER, _INCREMENT = np.uint64(0xD1342543DE82EF95), np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, eq=False)
class _Order:
    """Counts of one order: of n-grams by key, and of contexts by key (total count, distinct continuations)."""

    grams: Keys
    counts: NDArray[np.int64]
    contexts: Keys
    totals: NDArray[np.int64]
    kinds: NDArray[np.int64]
    discount: float


@dataclass(frozen=True, eq=False)
class NGram:
    """Interpolated Kneser-Ney of order n over ids below `vocabulary`."""

    vocabulary: int
    orders: tuple[_Order, ...]  # 1 … n

    def nats(self, ids: Ids, ends: Ids) -> NDArray[np.float64]:
        """-log p of every id given those before it in its sequence, float64[len(ids)]; the first of a sequence too."""
        before = _position(ends)
        p = np.full(len(ids), 1.0 / self.vocabulary)
        for n, order in enumerate(self.orders, 1):
            at = np.flatnonzero(before >= n - 1)
            gram, context = _keys(ids, n)[at], _contexts(ids, n)[at]
            count = _look_up(order.grams, order.counts, gram)
            total = _look_up(order.contexts, order.totals, context)
            kinds = _look_up(order.contexts, order.kinds, context)
            seen = total > 0
            whole = np.where(seen, total, 1)
            given = np.maximum(count - order.discount, 0) / whole + order.discount * kinds / whole * p[at]
            p[at] = np.where(seen, given, p[at])
        return np.asarray(-np.log(p))


def kneser_ney(ids: Ids, ends: Ids, vocabulary: int, n: int) -> NGram:
    """Counted from sequences that end at `ends` (int64[sequences + 1], from 0)."""
    before = _position(ends)
    orders: list[_Order] = []
    for k in range(1, n + 1):
        if k == n:  # every occurrence
            at = np.flatnonzero(before >= k - 1)
        else:  # one occurrence for each distinct token before it
            longer = np.flatnonzero(before >= k)
            _, first = np.unique(_keys(ids, k + 1)[longer], return_index=True)
            at = longer[first]
        grams, index, counts = np.unique(_keys(ids, k)[at], return_index=True, return_counts=True)
        context = _contexts(ids, k)[at[index]]
        contexts, inverse = np.unique(context, return_inverse=True)
        once, twice = int((counts == 1).sum()), int((counts == 2).sum())
        orders.append(
            _Order(
                grams,
                counts,
                contexts,
                np.bincount(inverse, weights=counts, minlength=len(contexts)).astype(np.int64),
                np.bincount(inverse, minlength=len(contexts)),
                once / (once + 2 * twice) if once else 0.5,
            )
        )
    return NGram(vocabulary, tuple(orders))


def unigram_nats(train: Ids, ids: Ids, vocabulary: int) -> NDArray[np.float64]:
    """-log p of every id by its count in the training text plus one (Laplace)."""
    counts = np.bincount(train, minlength=vocabulary) + 1
    return np.asarray(-np.log(counts / counts.sum())[ids])


def _position(ends: Ids) -> Ids:
    """Tokens of the same sequence before each token."""
    sizes = np.diff(ends)
    return np.asarray(np.arange(int(sizes.sum())) - np.repeat(ends[:-1], sizes))


def _keys(ids: Ids, n: int) -> Keys:
    """Hash of the n ids that end at each place (of fewer at the begin of the array, where nobody looks)."""
    made = np.full(len(ids), n, np.uint64)
    values = ids.astype(np.uint64)
    with np.errstate(over="ignore"):
        for back in range(n - 1, -1, -1):
            moved = values if back == 0 else np.concatenate([np.zeros(back, np.uint64), values])[: len(values)]
            made = (made ^ (moved + _INCREMENT)) * _MULTIPLIER
            made ^= made >> np.uint64(32)
    return made


def _contexts(ids: Ids, n: int) -> Keys:
    """Hash of the n - 1 ids before each place; one value for n = 1."""
    if n == 1:
        return np.zeros(len(ids), np.uint64)
    return np.concatenate([np.zeros(1, np.uint64), _keys(ids, n - 1)[:-1]])


def _look_up(keys: Keys, values: NDArray[np.int64], wanted: Keys) -> NDArray[np.int64]:
    """values[i] where keys[i] is the wanted one, 0 where there is none."""
    if not len(keys):
        return np.zeros(len(wanted), np.int64)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], 0)
