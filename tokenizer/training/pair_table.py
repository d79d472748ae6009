"""The pairs of neighbouring tokens and how often each occurs: an open-addressing table in one int64 array.

One row is (key, count, start, length): `key` = left id << 32 | right id, `count` the weighted occurrences,
`start` and `length` its list of places in `positions`.  Key and count share a cache line, because every
merge looks up the pairs it destroys.  A pair whose count fell to 0 can never occur again (a token is made
in one step only), so growing drops it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from curation.text.kernel import cached_kernel, kernel_function

KEY, COUNT, START, LENGTH = range(4)
EMPTY = -1  # no key is negative


def new_table(rows: int) -> np.ndarray:
    """An empty table of `rows` rows, a power of two."""
    table = np.empty((rows, 4), np.int64)
    table[:, KEY] = EMPTY
    return table


@kernel_function
def pair_key(left, right):  # type: ignore[no-untyped-def]
    return np.int64(left) << 32 | np.int64(right)


@kernel_function
def find_pair(table, key):  # type: ignore[no-untyped-def]
    """The row of `key`, or the empty row where it would stand (murmur3's 64-bit finaliser, then linear)."""
    mask = np.uint64(len(table) - 1)
    h = np.uint64(key)
    h = (h ^ (h >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    h = (h ^ (h >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    row = (h ^ (h >> np.uint64(33))) & mask
    while table[row, KEY] != key and table[row, KEY] != EMPTY:
        row = (row + np.uint64(1)) & mask
    return np.int64(row)


@kernel_function
def take_from(table, key, weight):  # type: ignore[no-untyped-def]
    """Lower a pair's count; a pair that is not listed (too long a token) is passed over."""
    row = find_pair(table, key)
    if table[row, KEY] == key:
        table[row, COUNT] -= weight


def live_rows(table: np.ndarray) -> int:
    """Pairs that still occur."""
    return int(np.count_nonzero((table[:, KEY] != EMPTY) & (table[:, COUNT] > 0)))


def _copy_live(old, new):  # type: ignore[no-untyped-def]
    """Copy the pairs that still occur; returns how many."""
    used = 0
    for row in range(len(old)):
        if old[row, KEY] != EMPTY and old[row, COUNT] > 0:
            to = find_pair(new, old[row, KEY])
            for column in range(4):
                new[to, column] = old[row, column]
            used += 1
    return used


copy_live: Any = cached_kernel(_copy_live)
