"""Occurrences in training order → rows: cut, packed by best fit, shuffled, numbered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from packing.layout.files import FIRST, LAST
from packing.plan.best_fit import assign, best_fit_moves, length_histogram
from packing.plan.cut import Fragments, cut_documents
from packing.plan.rows import Rows, rows_of, shuffle_within
from packing.plan.windowed import WindowedPacker
from packing.write.keys import fragment_keys, mixed
from packing.write.ledger import Expected
from packing.write.rules import Rules

# A fragment with its place: tokens `start` … of `unit`; `offset` in its document; with `bos` one id more in its row.
PLANNED = np.dtype("u8, u8, u8, u4, u4, u4, u2, u2, u1, u1, u2")
PLANNED.names = ("doc_key", "start", "offset", "unit", "tokens", "row", "copy", "source", "flags", "bos", "placed")


def fragments_of(occurrences: NDArray[np.void], rules: Rules) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    """PLANNED records (row 0) of PLACED occurrences in their order, and the tokens of each that go into rows."""
    before, each = int(rules.bos == "doc"), int(rules.bos == "fragment")
    tokens = occurrences["tokens"].astype(np.int64)
    room = rules.sequence_length - each
    cut, dropped = cut_documents(tokens + before, room, rules.long, rules.min_fragment)
    end = np.minimum(tokens, room - before) if rules.long == "truncate" else tokens.copy()
    end[dropped] = 0
    return planned_of(occurrences, cut, rules), end


def planned_of(occurrences: NDArray[np.void], cut: Fragments, rules: Rules) -> NDArray[np.void]:
    """PLANNED records (row 0) of fragments of PLACED occurrences; a begin-of-document id is in the cut lengths.

    Lengths and offsets are of the document's ids and end; a begin-of-document id is counted in `bos` only.
    """
    before, each = int(rules.bos == "doc"), int(rules.bos == "fragment")
    of = occurrences[cut.doc]
    first = (cut.flags & FIRST).astype(bool)
    made = np.zeros(len(cut), PLANNED)
    for name in ("doc_key", "unit", "copy", "source"):
        made[name] = of[name]
    made["bos"] = each or (before * first)
    made["offset"] = cut.offset - before * ~first
    made["tokens"] = cut.length - before * first
    made["start"] = of["start"] + made["offset"]
    made["flags"] = cut.flags
    return made


@dataclass
class RowPlanner:
    """Rows of one queue; what it counts is for the ledger and the report."""

    rules: Rules
    expected: Expected
    rows: int = 0
    fragments: int = 0
    row_tokens: list[NDArray[np.int64]] = field(default_factory=list)  # of each row, begin ids included
    displacement: int = 0  # fragments between a fragment's place in the queue's order and in its rows
    _held: NDArray[np.void] = field(default_factory=lambda: np.zeros(0, PLANNED))
    _first_held: int = 0  # number of the first held fragment

    def plan(self, occurrences: Iterable[NDArray[np.void]]) -> Iterator[NDArray[np.void]]:
        """PLANNED records in row order; `row` counts from the queue's first."""
        if self.rules.method == "bfd":
            yield from self._plan_whole(occurrences)
            return
        packer = WindowedPacker(self.rules.sequence_length, self.rules.window)
        window, fed = self.rules.window, 0
        for some in occurrences:
            for begin in range(0, len(some), window):  # few at a time, so that few fragments are held
                lengths = self._take(some[begin : begin + window])
                at = 0
                while at < len(lengths):  # to the end of a window: how rows are shuffled depends on windows only
                    stop = min(len(lengths), at + window - fed % window)
                    yield self._placed(packer.feed(lengths[at:stop]))
                    fed, at = fed + stop - at, stop
        yield self._placed(packer.finish())

    def _plan_whole(self, occurrences: Iterable[NDArray[np.void]]) -> Iterator[NDArray[np.void]]:
        """Best fit over the whole queue: its fragments are held at once, and their order is a keyed shuffle."""
        lengths = np.concatenate([np.zeros(0, np.int64), *(self._take(some) for some in occurrences)])
        moves = best_fit_moves(length_histogram(lengths, self.rules.sequence_length), self.rules.sequence_length)
        yield self._placed(rows_of(assign(lengths, moves, self.rules.sequence_length), moves.bins))

    def _take(self, occurrences: NDArray[np.void]) -> NDArray[np.int64]:
        """Hold the fragments of these occurrences; their lengths in a row."""
        made, end = fragments_of(occurrences, self.rules)
        self.expected.add(occurrences, end, self.rules)
        self._held = np.concatenate([self._held, made])
        lengths: NDArray[np.int64] = made["tokens"].astype(np.int64) + made["bos"]
        return lengths

    def _placed(self, rows: Rows) -> NDArray[np.void]:
        """Finished rows in keyed order (best fit would put full rows first), their fragments too."""
        if not len(rows):
            return self._held[:0]
        held = self._held
        keys = fragment_keys(held["doc_key"], held["copy"], held["offset"], self.rules.seed)
        numbers = Rows(rows.fragments - self._first_held, rows.starts)
        order = np.argsort(mixed(keys[numbers.fragments[numbers.starts[:-1]]]), kind="stable")
        sizes = np.diff(numbers.starts)[order]
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        within = np.arange(starts[-1]) - np.repeat(starts[:-1], sizes)
        reordered = Rows(numbers.fragments[np.repeat(numbers.starts[:-1][order], sizes) + within], starts)
        final = shuffle_within(reordered, keys, (held["flags"] & LAST) == 0)
        placed = held[final.fragments]
        placed["row"] = self.rows + final.row_of_entry()
        places = self.fragments + np.arange(len(placed))
        self.displacement = max(self.displacement, int(np.abs(final.fragments + self._first_held - places).max()))
        self.rows += len(rows)
        self.fragments += len(placed)
        lengths = placed["tokens"].astype(np.int64) + placed["bos"]
        self.row_tokens.append(np.add.reduceat(lengths, final.starts[:-1]))
        self._forget(final.fragments)
        return placed

    def _forget(self, placed: NDArray[np.int64]) -> None:
        """Drop held fragments up to the first that is in no row yet."""
        self._held["placed"][placed] = 1
        waiting = np.flatnonzero(self._held["placed"] == 0)
        first = int(waiting[0]) if len(waiting) else len(self._held)
        self._held = self._held[first:].copy()
        self._first_held += first
