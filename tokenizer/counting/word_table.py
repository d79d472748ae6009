"""A growing table of counted words: the memory around `kernel`, and its content as a sorted Arrow table."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

import curation.text.hashing
import tokenizer.counting.kernel
from curation.pipeline.errors import CurateError
from curation.text.arrow import text_buffers
from curation.text.kernel import cached_kernel, source_digest
from tokenizer.counting.kernel import (
    ARENA,
    COLUMNS,
    DOCUMENTS,
    ENTRIES,
    KIND,
    LENGTH_BITS,
    OCCURRENCES,
    START,
    TEXT,
    WIDTH,
    WORD,
    count_rows,
    fill_slots,
)
from tokenizer.counting.table import COUNTS_SCHEMA
from tokenizer.splitting.patterns import Pattern
from tokenizer.splitting.pretokenize import word_ends

FIRST_ENTRIES, FIRST_ARENA = 1 << 14, 1 << 18
MOST_ENTRIES = (1 << 31) - 1  # an entry's number has 32 bits in its slot
GROWTH = 1.5


class WordTable:
    """Counts of (word, group); `groups[g]` is the (language, domain) of group g, in order of appearance."""

    def __init__(self, pattern: Pattern, clip: int | None) -> None:
        self.pattern, self.clip = pattern, (1 << 62) if clip is None else clip
        self.clear()

    def clear(self) -> None:
        """Forget everything counted, and give the memory back."""
        self.groups: dict[tuple[str, str], int] = {}
        self.documents = 0
        self._slots = np.zeros(2 * FIRST_ENTRIES, np.uint64)
        self._entries = np.empty((FIRST_ENTRIES, COLUMNS), np.int64)
        self._arena = np.empty(FIRST_ARENA, np.uint8)
        self._state = np.zeros(4, np.int64)

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""
        return self._slots.nbytes + self._entries.nbytes + self._arena.nbytes

    def add(self, texts: pa.LargeStringArray, languages: list[str], domains: list[str]) -> None:
        """Count the words of n texts without nulls; every text is one document."""
        groups = self.groups
        of_text = [groups.setdefault(group, len(groups)) for group in zip(languages, domains, strict=True)]
        ends, first = word_ends(texts, self.pattern)
        offsets, buffer = text_buffers(texts)
        count_kernel, _ = _kernels()
        state = self._state
        state[TEXT] = state[WORD] = 0
        arguments = (buffer, offsets, ends, first, np.array(of_text, np.int32), self.documents, self.clip)
        while not count_kernel(*arguments, self._slots, self._entries, self._arena, state):
            self._grow(int(offsets[-1] - offsets[0]))
        self.documents += len(texts)

    def _grow(self, longest: int) -> None:
        """More room for entries, or for words of up to `longest` bytes."""
        used, filled = int(self._state[ENTRIES]), int(self._state[ARENA])
        if used == len(self._entries):
            if used == MOST_ENTRIES:
                raise CurateError("more than 2^31 - 1 different words in one table", "count in smaller shards")
            self._entries = _longer(self._entries, min(int(used * GROWTH), MOST_ENTRIES))
            if 2 * len(self._entries) > len(self._slots):
                self._slots = np.zeros(2 * len(self._slots), np.uint64)
                _kernels()[1](self._entries, used, self._slots)
        else:
            self._arena = _longer(self._arena, max(int(len(self._arena) * GROWTH), filled + longest + WIDTH))

    def to_arrow(self) -> pa.Table:
        """The counts (COUNTS_SCHEMA) by the bytes of (word, language, domain): the same for any order of input."""
        used, filled = int(self._state[ENTRIES]), int(self._state[ARENA])
        entries = self._entries[:used]
        ends = np.empty(used + 1, np.int64)  # entries lie in the arena in their own order, without gaps
        ends[:used], ends[used] = entries[:, START], filled
        words = pa.LargeBinaryArray.from_buffers(
            pa.large_binary(), used, [None, pa.py_buffer(ends), pa.py_buffer(self._arena[:filled])]
        )
        names = sorted(self.groups, key=lambda group: (group[0].encode(), group[1].encode()))
        rank = np.empty(len(names), np.int32)
        rank[[self.groups[name] for name in names]] = np.arange(len(names))
        group = rank[entries[:, KIND] >> LENGTH_BITS]
        order = _order(words, group)
        group = group[order]
        return pa.Table.from_arrays(
            [
                words.take(pa.array(order)),
                pa.array([language for language, _ in names], pa.string()).take(pa.array(group)),
                pa.array([domain for _, domain in names], pa.string()).take(pa.array(group)),
                pa.array(entries[order, OCCURRENCES]),
                pa.array(entries[order, DOCUMENTS]),
            ],
            schema=COUNTS_SCHEMA,
        )


def _order(words: pa.LargeBinaryArray, group: NDArray[np.int32]) -> NDArray[np.int64]:
    """The order by (word bytes, group)."""
    table = pa.table({"word": words, "group": group})
    return np.asarray(pc.sort_indices(table, [("word", "ascending"), ("group", "ascending")])).astype(np.int64)


def _longer(array: NDArray[Any], length: int) -> NDArray[Any]:
    longer = np.empty((length, *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    return longer


@cache
def _kernels() -> tuple[Any, Any]:
    digest = source_digest(tokenizer.counting.kernel, curation.text.hashing)

    def count_texts(buffer, offsets, ends, first, groups, document, clip, slots, entries, arena, state):  # type: ignore[no-untyped-def]
        _ = digest
        return count_rows(buffer, offsets, ends, first, groups, document, clip, slots, entries, arena, state)

    def refill(entries, used, slots):  # type: ignore[no-untyped-def]
        _ = digest
        fill_slots(entries, used, slots)

    return cached_kernel(count_texts), cached_kernel(refill)
