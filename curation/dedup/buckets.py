"""Pairs of integers sorted into buckets on disk, and the first place of every key: external hashing.

What substring dedup does with billions of pairs, in bounded memory: `append` writes them bucket by bucket, and a
bucket is read alone, its pairs in the order in which they were appended.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.text.hashing import STEP
from curation.text.kernel import cached_kernel

FLUSH = 1 << 19  # pairs held in memory before they are written, at least, …
OF_BUCKET = 512  # … and so many for each bucket: the index of a flush takes 4 bytes a bucket
MOST_BUCKETS = 4096
BUCKET = 1 << 19  # pairs that a bucket is meant to hold
MOST_CELLS = 25  # bits: 32 MiB for counting the keys of a bucket
PAIR = 16  # bytes


def bucket_count(pairs: int) -> int:
    """A power of two: how many buckets so many pairs want."""
    return min(1 << max(0, (pairs - 1) // BUCKET).bit_length(), MOST_BUCKETS)


class Buckets:
    """Pairs (key: uint64, place: int64) in `count` buckets of one scratch file."""

    def __init__(self, path: Path, count: int) -> None:
        self.count = count
        self._flush_at = max(FLUSH, OF_BUCKET * count)
        self._file = open(path, "wb+", buffering=0)  # noqa: SIM115  (closed by `close`)
        self._waiting: list[tuple[NDArray[np.uint16], NDArray[np.uint64], NDArray[np.int64]]] = []
        self._held = 0
        self._written: list[tuple[int, NDArray[np.uint32]]] = []  # (first byte, ends of the buckets) of each flush
        self._size = 0

    def append(self, buckets: NDArray[np.uint16], keys: NDArray[np.uint64], places: NDArray[np.int64]) -> None:
        """Add pairs; `buckets` says where each belongs."""
        for i in range(0, len(keys), FLUSH):
            part = slice(i, i + FLUSH)
            self._waiting.append((buckets[part].copy(), keys[part].copy(), places[part].copy()))
            self._held += len(self._waiting[-1][0])
            if self._held >= self._flush_at:
                self._flush()

    def _flush(self) -> None:
        if not self._waiting:
            return
        buckets, keys, places = (np.concatenate(column) for column in zip(*self._waiting, strict=True))
        self._waiting, self._held = [], 0
        order = np.argsort(buckets, kind="stable")
        pairs = np.empty((len(keys), 2), np.uint64)
        pairs[:, 0], pairs[:, 1] = keys[order], places[order].view(np.uint64)
        data = memoryview(pairs).cast("B")  # type: ignore[arg-type]
        while data:
            data = data[self._file.write(data) :]
        ends = np.cumsum(np.bincount(buckets + np.uint16(1), minlength=self.count + 1))
        self._written.append((self._size, ends.astype(np.uint32)))
        self._size += pairs.nbytes

    def pairs(self, bucket: int) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64]]]:
        """The pairs of one bucket, flush by flush, in the order of `append`."""
        self._flush()
        for start, ends in self._written:
            first, last = PAIR * int(ends[bucket]), PAIR * int(ends[bucket + 1])
            if first < last:
                data = os.pread(self._file.fileno(), last - first, start + first)
                if len(data) != last - first:
                    raise OSError("a scratch file is shorter than what was written to it")
                pairs = np.frombuffer(data, np.uint64).reshape(-1, 2)
                yield np.ascontiguousarray(pairs[:, 0]), pairs[:, 1].astype(np.int64)

    def size(self, bucket: int) -> int:
        """Number of pairs in one bucket."""
        self._flush()
        return sum(int(ends[bucket + 1] - ends[bucket]) for _, ends in self._written)

    def close(self) -> None:
        """The file itself belongs to the caller."""
        self._file.close()


def by_hash(keys: NDArray[np.uint64], count: int) -> NDArray[np.uint16]:
    """Buckets by the hash (`count` is a power of two), also where it is a least hash: those have few upper bits set."""
    return (_mixed(keys) % np.uint64(count)).astype(np.uint16)


def _mixed(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Bits 32 to 63 of the product with an odd number: they depend on all bits up to them."""
    return (keys * STEP) >> np.uint64(32)


def later_places(buckets: Buckets, bucket: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """(places, first place with the same key) of every pair of a bucket whose key came before.

    Memory: 16 bytes for each of up to twice as many slots as the bucket's keys; a bucket of more than 4 BUCKET
    different keys is read several times, part of its keys each time.
    """
    size = buckets.size(bucket)
    rounds = -(-min(size, _different_keys(buckets, bucket, size)) // (4 * BUCKET))
    slots = 1 << (2 * min(size, 4 * BUCKET) - 1).bit_length() if size else 0
    for part in range(rounds):
        table_keys, table_places = np.zeros(slots, np.uint64), np.full(slots, -1, np.int64)
        used = 0
        for keys, places in buckets.pairs(bucket):
            if rounds > 1:
                # Not by bits that the bucket or the slot is chosen by: then most slots would stay empty.
                mine = (_mixed(keys) >> np.uint64(16)) % np.uint64(rounds) == part
                keys, places = keys[mine], places[mine]
            if 4 * (used + len(keys)) > 3 * len(table_keys):
                table_keys, table_places = _larger(table_keys, table_places, used + len(keys))
            firsts = np.empty(len(keys), np.int64)
            used += int(_firsts(keys, places, table_keys, table_places, firsts))
            later = firsts >= 0
            yield places[later], firsts[later]


def _different_keys(buckets: Buckets, bucket: int, size: int) -> int:
    """About how many keys a bucket has (linear counting, Whang et al. 1990); a small one is not looked at.

    Pairs alone say too little: one key may have nearly all of them (a text of one character repeated), and
    reading those once for every 4 BUCKET of them takes quadratic time.
    """
    if size <= 4 * BUCKET:
        return size
    cells = 1 << min((size - 1).bit_length(), MOST_CELLS)
    met = np.zeros(cells, np.bool_)
    for keys, _ in buckets.pairs(bucket):
        met[keys % np.uint64(cells)] = True
    free = cells - int(met.sum())
    return math.ceil(cells * math.log(cells / free)) if free else size


def _larger(
    keys: NDArray[np.uint64], places: NDArray[np.int64], members: int
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The table with more slots: where a round got more than its share of keys."""
    slots = 1 << (2 * members).bit_length()
    new_keys, new_places = np.zeros(slots, np.uint64), np.full(slots, -1, np.int64)
    taken = places >= 0
    _firsts(keys[taken], places[taken], new_keys, new_places, np.empty(int(taken.sum()), np.int64))
    return new_keys, new_places


def _build_firsts(sources: int) -> Any:
    def first_places(keys, places, table_keys, table_places, firsts):  # type: ignore[no-untyped-def]
        """firsts[i]: the place that keys[i] came with first, or -1 where this is it; returns how many were new."""
        new = 0 if sources >= 0 else -1
        mask = np.uint64(len(table_keys) - 1)
        for i in range(len(keys)):
            slot = keys[i] & mask
            while table_places[slot] >= 0 and table_keys[slot] != keys[i]:
                slot = (slot + np.uint64(1)) & mask
            firsts[i] = table_places[slot]
            if firsts[i] < 0:
                table_keys[slot], table_places[slot] = keys[i], places[i]
                new += 1
        return new

    return cached_kernel(first_places)


_firsts = _build_firsts(0)
