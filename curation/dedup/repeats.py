"""Passages that occurred before: every window equal to an earlier one, compared byte for byte, in bounded memory.

Four passes over what lies on disk, none of which holds more than a part (docs/line-dedup.md):
1. anchors (16 bytes for some 26 bytes of text) into buckets by hash: whose value occurs twice?
2. the windows of those anchors are hashed, the regions that they cover copied to a scratch file;
3. hashes into buckets: where was each window first?  Those places into buckets by place;
4. region by region: windows with an earlier equal become passages, whose bytes are compared.
Hashes only say what to compare.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from mmap import MADV_DONTNEED, PROT_READ, mmap
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.dedup.buckets import MOST_BUCKETS, Buckets, bucket_count, by_hash, later_places
from curation.pipeline.errors import UsageError
from curation.text.arrow import text_buffers
from curation.text.character_classes import class_table
from curation.text.passages import ANCHOR, BASE, BEGIN, LEFT, REGION, REGION_END, Windows, hash_windows, join_windows

CHUNK = 1 << 22  # places whose first occurrences are looked at together: 32 MiB
MOST_PLACES = MOST_BUCKETS * CHUNK  # 16 GiB of regions
AT_ONCE = 1 << 18  # windows hashed before they are written


class Rows(NamedTuple):
    """Documents that take part, in order, with their anchors; `text` only where it was asked for."""

    positions: NDArray[np.int64]  # ascending over all of them
    salt: np.uint64  # of the scope: windows are compared where it is equal
    values: NDArray[np.uint64]  # anchors, one document after the other
    widths: NDArray[np.uint32]
    ends: NDArray[np.int64]  # of each document's anchors
    text: pa.LargeStringArray | None


class Passages(NamedTuple):
    """What goes from one document: bytes, in order, not overlapping."""

    position: int
    ranges: NDArray[np.int64]  # [n, 2] first byte, byte after


class Repeats:
    """One search; `rows(with_text)` gives all documents again whenever it is called.  The folder is the caller's."""

    def __init__(
        self, rows: Callable[[bool], Iterator[Rows]], windows: Windows, folder: Path, counts: Counter[str]
    ) -> None:
        self._rows, self._windows, self._folder, self._counts = rows, windows, folder, counts

    def find(self) -> Iterator[Passages]:
        """Every document that has passages to cut, in order.

        Raises UsageError when the regions are larger than MOST_PLACES, OSError when the disk is full.
        """
        total = self._mark_anchors()
        places = self._hash_regions(total)
        first = self._first_places(places)
        try:
            yield from self._join(first, places)
        finally:
            first.close()

    def _mark_anchors(self) -> int:
        """Write `twice`: one byte an anchor, whether its value occurs more than once; returns the windows there are."""
        anchors = windows = 0
        for rows in self._rows(False):
            anchors += len(rows.values)
            windows += int(rows.widths.sum(dtype=np.int64))
        self._counts["anchors"], self._counts["windows"] = anchors, windows
        by_value = Buckets(self._folder / "anchors", bucket_count(anchors))
        start = 0
        for rows in self._rows(False):
            values = rows.values ^ rows.salt
            numbers = np.arange(start, start + len(values))
            by_value.append(by_hash(values, by_value.count), values, numbers)
            start += len(values)
        width = _width(anchors)
        by_number = Buckets(self._folder / "twice_by_number", -(-anchors // width))
        for bucket in range(by_value.count):
            for places, firsts in later_places(by_value, bucket):
                for some in (places, np.unique(firsts)):
                    by_number.append((some // width).astype(np.uint16), some.view(np.uint64), some)
        by_value.close()
        (self._folder / "anchors").unlink()
        with open(self._folder / "twice", "wb") as file:
            for bucket in range(by_number.count):
                flags = np.zeros(min(width, anchors - bucket * width), np.uint8)
                for _, places in by_number.pairs(bucket):
                    flags[places - bucket * width] = 1
                self._counts["anchors_twice"] += int(flags.sum())
                file.write(flags.data)
        by_number.close()
        (self._folder / "twice_by_number").unlink()
        return windows

    def _hash_regions(self, windows: int) -> int:
        """Write `text` and `regions`, fill the buckets of window hashes; returns the bytes of all regions."""
        self._hashes = Buckets(self._folder / "windows", bucket_count(windows))
        base = 0
        with (
            open(self._folder / "twice", "rb") as twice,
            open(self._folder / "text", "wb") as text,
            open(self._folder / "regions", "wb") as regions,
        ):
            for rows in self._rows(True):
                flags = np.frombuffer(twice.read(len(rows.values)), np.uint8)
                starts = np.concatenate([[0], rows.ends[:-1]])
                some = np.concatenate([[0], np.cumsum(flags)])
                offsets, buffer = text_buffers(rows.text)
                for d in np.flatnonzero(some[rows.ends] > some[starts]).tolist():
                    own = slice(int(starts[d]), int(rows.ends[d]))
                    document = buffer[offsets[d] : offsets[d + 1]]
                    found = self._hash_document(document, rows.widths[own], flags[own], rows.salt, base)
                    lengths = found[:, 1] - found[:, 0]
                    for first, last in found.tolist():
                        text.write(document[first:last].data)
                    place = base + np.cumsum(lengths) - lengths
                    columns = (np.full(len(found), rows.positions[d]), found[:, 0], lengths, place)
                    regions.write(np.ascontiguousarray(np.stack(columns, axis=1)).data)
                    base += int(lengths.sum())
                    if base > MOST_PLACES:
                        raise UsageError(
                            f"dedup: substring: more than {MOST_PLACES >> 30} GiB of text may occur twice",
                            "compare within sources only (scope: source), ask for longer passages, or run in parts",
                        )
        self._counts["region_bytes"] = base
        return base

    def _hash_document(
        self,
        document: NDArray[np.uint8],
        widths: NDArray[np.uint32],
        twice: NDArray[np.uint8],
        salt: np.uint64,
        base: int,
    ) -> NDArray[np.int64]:
        """Hash the windows of one document; returns its regions (first byte, byte after)."""
        wanted = min(int(widths[twice != 0].sum(dtype=np.int64)), AT_ONCE)
        hashes, places = np.empty(wanted, np.uint64), np.empty(wanted, np.int64)
        regions = np.empty((wanted + 1, 2), np.int64)
        state = np.zeros(6, np.int64)
        state[[LEFT, REGION, REGION_END, BASE]] = widths[0], -1, -1, base
        found: list[NDArray[np.int64]] = []
        unit, classes = (self._windows.words, self._windows.units), class_table()
        while state[BEGIN] >= 0 and state[ANCHOR] < len(widths):
            count, finished = hash_windows(
                document, len(document), *unit, classes, widths, twice, state, hashes, places, regions
            )
            salted = hashes[:count] ^ salt
            self._hashes.append(by_hash(salted, self._hashes.count), salted, places[:count])
            self._counts["windows_compared"] += int(count)
            found.append(regions[:finished].copy())
        found.append(np.array([[state[REGION], state[REGION_END]]]))
        return np.concatenate(found)

    def _first_places(self, total: int) -> Buckets:
        """Buckets by place: (place of the first equal window, place) of every window that has an earlier equal."""
        width = _width(total)
        by_place = Buckets(self._folder / "places", -(-total // width))
        for bucket in range(self._hashes.count):
            for places, firsts in later_places(self._hashes, bucket):
                by_place.append((places // width).astype(np.uint16), firsts.view(np.uint64), places)
                self._counts["windows_again"] += len(places)
        self._hashes.close()
        (self._folder / "windows").unlink()
        return by_place

    def _join(self, by_place: Buckets, total: int) -> Iterator[Passages]:
        if not total:
            return
        chunks = _Chunks(by_place, total)
        position, ranges, touched = -1, [np.empty((0, 2), np.int64)], 0
        with (
            open(self._folder / "text", "rb") as file,
            mmap(file.fileno(), 0, prot=PROT_READ) as mapped,
            open(self._folder / "regions", "rb") as regions,
        ):
            while data := regions.read(32 * 4096):
                for owner, first, length, place in np.frombuffer(data, np.int64).reshape(-1, 4).tolist():
                    if owner != position:
                        if position >= 0:
                            yield from _merged(position, ranges)
                        position, ranges = owner, [np.empty((0, 2), np.int64)]
                    found = self._passages(mapped, place, place + length, chunks)
                    touched += length
                    if touched >= CHUNK:  # pages of the file count as this process's memory: let go of them
                        mapped.madvise(MADV_DONTNEED)
                        touched = 0
                    ranges += [some - place + first for some in found]
        if position >= 0:
            yield from _merged(position, ranges)

    def _passages(self, mapped: mmap, place: int, end: int, chunks: _Chunks) -> list[NDArray[np.int64]]:
        """The passages of one region, in places."""
        text = np.frombuffer(mapped, np.uint8)
        found = []
        while place >= 0:
            firsts = chunks.from_place(place)[: end - place]
            ranges = np.empty((len(firsts) // self._windows.units + 2, 2), np.int64)
            unit = (self._windows.words, self._windows.units, class_table())
            count, place, unequal = join_windows(text, place, end, *unit, firsts, ranges)
            self._counts["collisions"] += int(unequal)
            found.append(ranges[:count])
        return found


class _Chunks:
    """The first places, CHUNK by CHUNK, as they are asked for: in ascending order."""

    def __init__(self, by_place: Buckets, total: int) -> None:
        self._by_place, self._width, self._total = by_place, _width(total), total
        self._start, self._firsts = -1, np.empty(0, np.int64)

    def from_place(self, place: int) -> NDArray[np.int64]:
        """First places of the windows that begin at `place` and after it, to the end of the chunk; -1 for none."""
        bucket = place // self._width
        start = bucket * self._width
        if start != self._start:
            self._start = start
            self._firsts = np.full(min(self._width, self._total - start), -1, np.int64)
            for firsts, places in self._by_place.pairs(bucket):
                self._firsts[places - start] = firsts.view(np.int64)
        return self._firsts[place - start :]


def _width(total: int) -> int:
    """Places in a bucket."""
    return CHUNK if total > 1 << 16 else 1 << 16


def _merged(position: int, parts: list[NDArray[np.int64]]) -> Iterator[Passages]:
    """A document's ranges joined where they touch or overlap; nothing where there are none."""
    ranges = np.concatenate(parts)
    if not len(ranges):
        return
    ranges = ranges[np.argsort(ranges[:, 0], kind="stable")]
    reach = np.maximum.accumulate(ranges[:, 1])
    begins = np.flatnonzero(np.concatenate([[True], ranges[1:, 0] > reach[:-1]]))
    yield Passages(position, np.stack([ranges[begins, 0], reach[np.append(begins[1:], len(ranges)) - 1]], axis=1))
