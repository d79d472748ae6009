"""What `windowed` must equal, slow and obvious: lists of open sequences, one fragment at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from packing.plan.best_fit import assign, best_fit_moves, length_histogram


@dataclass
class _Sequence:
    room: int
    age: int = 0
    members: list[int] = field(default_factory=list)


def windowed_reference(lengths: Sequence[int], L: int, window: int, carry: int) -> list[list[int]]:
    """The fragments of each sequence, in the order in which sequences are finished."""
    finished: list[list[int]] = []
    waiting: list[_Sequence] = []
    for begin in range(0, len(lengths), window):
        part = np.array(lengths[begin : begin + window], np.int64)
        moves = best_fit_moves(length_histogram(part, L), L, np.array([one.room for one in waiting], np.int64))
        for one in waiting:
            one.age += 1
        places = assign(part, moves, L, len(waiting)).tolist()
        waiting += [_Sequence(L) for _ in range(moves.bins - len(waiting))]
        for number, place in enumerate(places, begin):
            waiting[place].members.append(number)
            waiting[place].room -= lengths[number]
        closed = [one.room == 0 or one.age >= carry for one in waiting]
        finished += [one.members for one, done in zip(waiting, closed, strict=True) if done]
        waiting = [one for one, done in zip(waiting, closed, strict=True) if not done]
    return finished + [one.members for one in waiting]
