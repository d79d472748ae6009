"""Equal parts of a corpus by weight, exactly, without holding or sorting it: radix selection over several passes.

Documents are ordered by (score, hash of the document): equal scores are split at random but reproducibly, so no
part is empty because many documents share a score (a fastText score ties at the top; `vigintile_0019` of a public
corpus does not exist for that reason, reference §1).  Integer sums: the order of documents changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

U64 = NDArray[np.uint64]
Keyed = Callable[[], Iterable[tuple[U64, NDArray[np.int64]]]]  # a fresh pass over (keys, weights) in batches
DIGITS = (16, 16, 16, 16)  # bits of a key that one pass decides: four passes, half a megabyte a table


def sort_keys(score: NDArray[np.float32], hashes: U64) -> U64:
    """uint64 keys whose order is that of (score, the upper 32 bits of the hash); no score is NaN."""
    bits = (score.astype(np.float32) + np.float32(0.0)).view(np.uint32)  # −0 becomes 0
    ordered = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    return (ordered.astype(np.uint64) << np.uint64(32)) | (hashes >> np.uint64(32))


def mixed(doc_keys: U64, seed: int) -> U64:
    """A second hash of documents' keys (splitmix64, Steele et al. 2014), independent for each seed."""
    with np.errstate(over="ignore"):
        state = (doc_keys ^ np.uint64(seed)) + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


class LargestWeights:
    """The weight at which documents are capped, so that none is more than half of a part.

    Without it one book among web pages would be several parts, of which all but one would stay empty.
    """

    def __init__(self, parts: int) -> None:
        self._most = 2 * parts
        self._largest = np.zeros(0, np.int64)
        self._total = 0

    def add(self, weights: NDArray[np.int64]) -> None:
        """Weights of some more documents."""
        self._total += int(weights.sum())
        both = np.concatenate([self._largest, weights])
        self._largest = np.partition(both, len(both) - self._most)[-self._most :] if len(both) > self._most else both

    def cap(self) -> int:
        """The largest c with c ≤ Σ min(weight, c) / (2 · parts); 1 (all alike) where no c will do."""
        rest = self._total
        for capped, largest in enumerate(np.sort(self._largest)[::-1].tolist()):
            c = Fraction(rest, self._most - capped)
            if largest <= c:
                return max(int(c), 1)
            rest -= largest
        return 1


def cut_points(batches: Keyed, parts: int) -> U64:
    """parts − 1 keys, rising: a document is in part j where j of them are ≤ its key.

    Cut j is the first key whose middle (half of its own weight, and all weight before it) is at j/parts of the
    whole.  No documents: all cuts are the largest key.
    """
    before = [0] * (parts - 1)
    prefixes = [0] * (parts - 1)
    here = [0] * (parts - 1)
    total = 0
    done = 0
    for bits in DIGITS:
        tables = _tables(batches(), sorted(set(prefixes)), done, bits)
        if done == 0:
            total = int(tables[0].sum())
            if total == 0:
                return np.full(parts - 1, np.iinfo(np.uint64).max, np.uint64)
        for j in range(parts - 1):
            ends = np.cumsum(tables[prefixes[j]])
            wanted = Fraction((j + 1) * total, parts) - before[j]
            digit = int(np.searchsorted(ends, int(wanted), side="right"))  # the key over which the mark stands
            before[j] += int(ends[digit - 1]) if digit else 0
            here[j] = int(tables[prefixes[j]][digit])
            prefixes[j] = (prefixes[j] << bits) | digit
        done += bits
    marks = [Fraction((j + 1) * total, parts) for j in range(parts - 1)]
    last = int(np.iinfo(np.uint64).max)
    cuts = [
        key if before[j] + Fraction(here[j], 2) >= marks[j] else min(key + 1, last) for j, key in enumerate(prefixes)
    ]
    return np.array(cuts, np.uint64)


def _tables(
    batches: Iterable[tuple[U64, NDArray[np.int64]]], prefixes: list[int], done: int, bits: int
) -> dict[int, NDArray[np.int64]]:
    """Weight by the next `bits` bits of the keys that begin with each prefix of `done` bits."""
    tables = {prefix: np.zeros(1 << bits, np.int64) for prefix in prefixes}
    for keys, weights in batches:
        digits = ((keys >> np.uint64(64 - done - bits)) & np.uint64((1 << bits) - 1)).astype(np.int64)
        if done == 0:
            np.add.at(tables[0], digits, weights)
            continue
        leading = keys >> np.uint64(64 - done)
        for prefix, table in tables.items():
            mine = leading == np.uint64(prefix)
            np.add.at(table, digits[mine], weights[mine])
    return tables


def part_of(keys: U64, cuts: U64) -> NDArray[np.int8]:
    """The part, from 0, of each key."""
    return np.searchsorted(cuts, keys, side="right").astype(np.int8)


def quantile_parts(
    score: NDArray[np.float32], weight: NDArray[np.int64], doc_keys: U64, *, parts: int, seed: int = 0
) -> NDArray[np.int8]:
    """`bucket` (parts=5) or vigintile (parts=20) of documents held in memory; none is empty for > 2·parts of them."""
    weight = np.maximum(weight, 1)
    largest = LargestWeights(parts)
    largest.add(weight)
    capped, keys = np.minimum(weight, largest.cap()), sort_keys(score, mixed(doc_keys, seed))

    def batches() -> Iterator[tuple[U64, NDArray[np.int64]]]:
        yield keys, capped

    return part_of(keys, cut_points(batches, parts))


def vigintile(
    score: NDArray[np.float32], weight: NDArray[np.int64], doc_keys: U64, *, seed: int = 0
) -> NDArray[np.int8]:
    """0 … 19: twentieths of the corpus by weight, in rising order of the score."""
    return quantile_parts(score, weight, doc_keys, parts=20, seed=seed)
