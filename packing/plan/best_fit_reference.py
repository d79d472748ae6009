"""What `best_fit` must equal, slow and obvious: item by item, and the optimum of a few items by search."""

from __future__ import annotations

from collections.abc import Sequence


def best_fit_decreasing_reference(lengths: Sequence[int], L: int, carried: Sequence[int] = ()) -> list[int]:
    """Sorted rooms after each item, from long to short, went where the least room stayed; O(items × sequences)."""
    rooms = list(carried)
    for size in sorted(lengths, reverse=True):
        fitting = [number for number, room in enumerate(rooms) if room >= size]
        if fitting:
            best = min(fitting, key=lambda number: rooms[number])
            rooms[best] -= size
        else:
            rooms.append(L - size)
    return sorted(rooms)


def fewest_sequences_reference(lengths: Sequence[int], L: int) -> int:
    """The least number of sequences that hold all items, by trying every placement; for about ten items."""
    items = sorted(lengths, reverse=True)
    best = len(items)

    def place(number: int, rooms: list[int]) -> None:
        nonlocal best
        if len(rooms) >= best:
            return
        if number == len(items):
            best = len(rooms)
            return
        for index, room in enumerate(rooms):
            if room >= items[number] and room not in rooms[:index]:
                place(number + 1, [*rooms[:index], room - items[number], *rooms[index + 1 :]])
        place(number + 1, [*rooms, L - items[number]])

    place(0, [])
    return best
