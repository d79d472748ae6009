"""A 4-ary heap of (count, pair key), the next merge on top: most frequent, then smallest left id, then right id.

That is the order of Hugging Face's trainer.  Counts only fall after an entry is pushed, so entries are
refreshed when they reach the top and not before.  Four children are 64 bytes: one cache line.
"""

from __future__ import annotations

from curation.text.kernel import kernel_function

TOP, PAIR = range(2)  # columns: count, key


@kernel_function
def comes_first(count, key, other_count, other_key):  # type: ignore[no-untyped-def]
    return count > other_count or (count == other_count and key < other_key)


@kernel_function
def push(heap, size, count, key):  # type: ignore[no-untyped-def]
    """Add an entry to a heap of `size` entries."""
    at = size
    while at > 0:
        parent = (at - 1) >> 2
        if not comes_first(count, key, heap[parent, TOP], heap[parent, PAIR]):
            break
        heap[at, TOP] = heap[parent, TOP]
        heap[at, PAIR] = heap[parent, PAIR]
        at = parent
    heap[at, TOP] = count
    heap[at, PAIR] = key


@kernel_function
def replace_top(heap, size, count, key):  # type: ignore[no-untyped-def]
    """Put an entry in the place of the top one of a heap of `size` entries (> 0)."""
    at = 0
    while True:
        child = 4 * at + 1
        if child >= size:
            break
        first = child
        for other in range(child + 1, min(child + 4, size)):
            if comes_first(heap[other, TOP], heap[other, PAIR], heap[first, TOP], heap[first, PAIR]):
                first = other
        if not comes_first(heap[first, TOP], heap[first, PAIR], count, key):
            break
        heap[at, TOP] = heap[first, TOP]
        heap[at, PAIR] = heap[first, PAIR]
        at = first
    heap[at, TOP] = count
    heap[at, PAIR] = key
