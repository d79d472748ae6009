"""A set of 64-bit hashes with a count and a first position each, emptied in no time.

One open-addressing table serves every set of every document in a batch: a slot belongs to the
current set only if its stamp is at least the set's base, so a new set just takes a higher base.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curation.text.kernel import kernel_function

MAX_MEMBERS = 3_000_000  # per set: bounds the table to 2^22 slots of 16 bytes, 64 MiB, at most 0.72 full
MAX_SLOTS = 1 << 22
LAST_STAMP = (1 << 32) - 1
COUNT = np.uint64(0xFFFF_FFFF)
HALF = np.uint64(32)


class Seen(NamedTuple):
    """slots[2s] is the hash in slot s, slots[2s+1] its stamp (high half) and count (low half)."""

    slots: NDArray[np.uint64]
    bounds: NDArray[np.int64]  # [base stamp of the current set, stamps it may use, slot mask]


def new_seen(members: int) -> Seen:
    """An empty table for sets of up to min(members, MAX_MEMBERS)."""
    slots = 1 << max(4, (2 * members - 1).bit_length())
    # np.zeros leaves the pages untouched until a set needs them.
    return Seen(np.zeros(2 * min(slots, MAX_SLOTS), np.uint64), np.array([1, 0, 0], np.int64))


@kernel_function
def start_set(seen, members):  # type: ignore[no-untyped-def]
    """Forget the current set; the next has positions 0 … members-1."""
    base = seen.bounds[0] + seen.bounds[1]
    if base + members > LAST_STAMP:
        seen.slots[:] = 0
        base = 1
    seen.bounds[0] = base
    seen.bounds[1] = members
    slots = 16
    while slots < 2 * members and slots < len(seen.slots) // 2:
        slots *= 2
    seen.bounds[2] = slots - 1


@kernel_function
def add(slots, base, mask, value, position):  # type: ignore[no-untyped-def]
    """Count one occurrence of `value`; returns (its count so far, the position of its first occurrence)."""
    slot = value & mask
    while True:
        packed = slots[2 * slot + 1]
        stamp = packed >> HALF
        if stamp < base:
            slots[2 * slot] = value
            slots[2 * slot + 1] = ((base + np.uint64(position)) << HALF) | np.uint64(1)
            return np.int64(1), np.int64(position)
        if slots[2 * slot] == value:
            slots[2 * slot + 1] = packed + np.uint64(1)
            return np.int64((packed & COUNT) + np.uint64(1)), np.int64(stamp - base)
        slot = (slot + np.uint64(1)) & mask
