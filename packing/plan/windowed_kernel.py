"""The rows of one window: which fragments go to which sequence, those of closed sequences first.

A move's sequences are written out once, fragment by fragment in decreasing length; then every fragment takes the
next entry of its length.  Walking the moves per fragment instead (`best_fit.assign`, which needs less memory) takes
three times as long: where a move ends cannot be predicted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.text.kernel import cached_kernel
from packing.plan.best_fit import Moves
from packing.plan.rows import Rows

MOST = 1 << 29  # sequences of a window: a 32-bit word holds the number of one and a bit


@dataclass(frozen=True)
class Open:
    """Sequences that are not closed: rooms and ages (windows since they were opened) int64[b], and their rows."""

    rooms: NDArray[np.int64]
    ages: NDArray[np.int64]
    members: Rows


def no_open() -> Open:
    """Of an empty stream."""
    return Open(np.empty(0, np.int64), np.empty(0, np.int64), Rows(np.empty(0, np.int64), np.zeros(1, np.int64)))


def place_window(
    sizes: NDArray[np.int64], moves: Moves, L: int, carry: int, carried: Open, first: int, cursors: NDArray[np.int64]
) -> tuple[Rows, Open]:
    """The closed and the open sequences after a window of fragments `first`, first + 1 …

    sizes int64[n] tokens, of which `moves` is the plan with `carried` sequences open; cursors int64[L + 1] is
    overwritten.  Sequences that are full or `carry` windows old are closed.  Both kinds are in order: carried ones,
    then new ones by the fragment that opens them; the entries of a sequence are in increasing number.
    """
    bins = moves.bins
    if bins > MOST:
        raise ValueError(f"{bins:,} sequences in one window: take a smaller one")
    entries = np.empty(carried.members.fragments.size + sizes.size, np.int64)
    starts, left, scratch = np.empty(bins + 1, np.int64), np.empty((2, bins), np.int64), np.empty((4, bins), np.int64)
    targets = np.empty((2, sizes.size), np.int32)
    closed = _place(
        sizes, moves.table, L, carry, carried.rooms, carried.ages, carried.members.fragments, carried.members.starts,
        first, cursors, targets, scratch, entries, starts, left
    )  # fmt: skip
    end, rest = starts[closed], bins - closed
    members = Rows(entries[end:], starts[closed:] - end)
    return Rows(entries[:end], starts[: closed + 1]), Open(left[0, :rest], left[1, :rest], members)


def _place_loop(  # type: ignore[no-untyped-def]
    sizes, table, L, carry, old_rooms, old_ages, members, member_starts, first, cursors, targets, scratch, entries,
    starts, left
):  # fmt: skip
    """See `place_window`; the number of closed sequences.

    Until the end a sequence has the number that the moves give it.  A target is twice that, plus one where the
    fragment opens the sequence.  Rows of scratch: rooms, entries (then the place of the next), number by opener, and
    its inverse.
    """
    carried, bins = old_rooms.size, scratch.shape[1]
    for target in range(carried):
        scratch[0, target], scratch[1, target] = old_rooms[target], member_starts[target + 1] - member_starts[target]
        scratch[2, target] = target
    for target in range(carried, bins):
        scratch[0, target], scratch[1, target], scratch[2, target] = L, 0, 0
    at, length = 0, -1
    for move in range(table.shape[0]):
        begin, each, opens = table[move, 1], table[move, 3], table[move, 4]
        if table[move, 0] != length:
            length = table[move, 0]
            cursors[length] = at
        for target in range(begin, begin + table[move, 2]):
            scratch[0, target] -= each * length
            scratch[1, target] += each
            targets[0, at] = 2 * target + opens
            at += 1
            for _ in range(1, each):
                targets[0, at] = 2 * target
                at += 1
    opened = carried
    for i in range(sizes.size):
        at = cursors[sizes[i]]
        cursors[sizes[i]] = at + 1
        target, opens = targets[0, at] >> 1, targets[0, at] & 1
        targets[1, i] = target
        scratch[2, target] += opens * opened  # no branch: which fragments open a sequence cannot be predicted
        opened += opens
    for target in range(bins):
        scratch[3, scratch[2, target]] = target
    closed, at = 0, 0
    for number in range(bins):
        target = scratch[3, number]
        age = old_ages[number] + 1 if number < carried else 0
        if scratch[0, target] == 0 or age >= carry:
            starts[closed] = at
            closed += 1
            size = scratch[1, target]
            scratch[1, target] = at
            at += size
            scratch[3, number] = -1
    rest = 0
    for number in range(bins):
        target = scratch[3, number]
        if target >= 0:
            left[0, rest], left[1, rest] = scratch[0, target], old_ages[number] + 1 if number < carried else 0
            starts[closed + rest] = at
            rest += 1
            size = scratch[1, target]
            scratch[1, target] = at
            at += size
    starts[bins] = at
    for target in range(carried):
        for member in range(member_starts[target], member_starts[target + 1]):
            entries[scratch[1, target]] = members[member]
            scratch[1, target] += 1
    for i in range(sizes.size):
        target = targets[1, i]
        entries[scratch[1, target]] = first + i
        scratch[1, target] += 1
    return closed


_place = cached_kernel(_place_loop)
