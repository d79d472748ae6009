"""The hash table of the count stage: (word bytes, group) → occurrences and documents, without Python objects.

Open addressing with linear probing; a slot holds 32 bits of the hash beside the entry's number, so that
nearly every wrong entry is passed over unread.  Words are copied once into an arena and compared by bytes:
no result depends on hashes.  An entry is one cache line; words of one group (language and domain) count apart.
"""

from __future__ import annotations

import numpy as np

from curation.text.hashing import STEP, hash_bytes, load_block
from curation.text.kernel import kernel_function

# Columns of `entries` (int64[capacity, 8]).
HASH, START, HEAD, KIND, OCCURRENCES, DOCUMENTS, LAST_DOCUMENT, IN_LAST = range(8)
COLUMNS = 8
LENGTH_BITS = 40  # KIND is group · 2^40 + length of the word in bytes
# Indices of `state` (int64[4]): text and word to go on with, entries and bytes of the arena in use.
TEXT, WORD, ENTRIES, ARENA = range(4)

LOW = np.uint64(0xFFFF_FFFF)
HIGH = ~LOW
ONE = np.uint64(1)
WIDTH = 8  # bytes of a block; the arena has as many to spare


@kernel_function
def count_rows(buffer, offsets, ends, first, groups, document, clip, slots, entries, arena, state):  # type: ignore[no-untyped-def]
    """Add the words of the texts from state[TEXT], state[WORD] on; returns whether all are in.

    buffer, offsets, ends, first: texts and their words as `pretokenize.word_ends` gives them; groups int32[n];
    text i is document number `document + i`; of each word at most `clip` occurrences a document count.
    slots uint64[2^k], at most half full.  Stops before a word for which there is no room: grow, call again.
    """
    mask = np.uint64(len(slots) - 1)
    row, w = state[TEXT], state[WORD]
    while row < len(first) - 1:
        group = np.int64(groups[row])
        while w < first[row + 1]:
            begin = offsets[row] if w == first[row] else ends[w - 1]
            end = ends[w]
            value = group_hash(hash_bytes(buffer, begin, end), group)
            head = first_block(buffer, begin, end)
            kind = (group << LENGTH_BITS) + end - begin
            slot = value & mask
            found = np.int64(-1)
            while slots[slot] != 0:
                if (slots[slot] ^ value) & HIGH == 0:
                    k = np.int64(slots[slot] & LOW) - 1
                    if (
                        entries[k, KIND] == kind
                        and entries[k, HEAD] == head
                        and (end - begin <= WIDTH or equal_bytes(buffer, begin, arena, entries[k, START], end - begin))
                    ):
                        found = k
                        break
                slot = (slot + ONE) & mask
            if found < 0:
                if state[ENTRIES] == len(entries) or state[ARENA] + end - begin + WIDTH > len(arena):
                    state[TEXT], state[WORD] = row, w
                    return False
                found = state[ENTRIES]
                add_entry(buffer, begin, end, value, head, kind, entries, arena, state)
                slots[slot] = (value & HIGH) | np.uint64(found + 1)
            count(entries, found, document + row, clip)
            w += 1
        row += 1
    state[TEXT], state[WORD] = row, w
    return True


@kernel_function
def group_hash(value, group):  # type: ignore[no-untyped-def]
    """The hash of a word in a group: both the low bits (slot) and the high ones (tag) depend on all of both."""
    value = (value ^ np.uint64(group)) * STEP
    return value ^ (value >> np.uint64(32))


@kernel_function
def first_block(buffer, begin, end):  # type: ignore[no-untyped-def]
    """The first eight bytes of a word, zeros after its end: with its length, all of most words."""
    if begin + WIDTH <= len(buffer):
        block = load_block(buffer, begin)
        return np.int64(block if end - begin >= WIDTH else block & ((ONE << np.uint64(8 * (end - begin))) - ONE))
    block = np.uint64(0)
    for k in range(min(end - begin, WIDTH)):
        block |= np.uint64(buffer[begin + k]) << np.uint64(8 * k)
    return np.int64(block)


@kernel_function
def equal_bytes(buffer, begin, arena, start, length):  # type: ignore[no-untyped-def]
    """Whether buffer[begin:begin + length] equals the arena's bytes from `start`."""
    k = 0
    while k + WIDTH <= length:
        if load_block(buffer, begin + k) != load_block(arena, start + k):
            return False
        k += WIDTH
    while k < length:
        if buffer[begin + k] != arena[start + k]:
            return False
        k += 1
    return True


@kernel_function
def add_entry(buffer, begin, end, value, head, kind, entries, arena, state):  # type: ignore[no-untyped-def]
    k, start = state[ENTRIES], state[ARENA]
    for i in range(end - begin):
        arena[start + i] = buffer[begin + i]
    entries[k, HASH] = np.int64(value)
    entries[k, START] = start
    entries[k, HEAD] = head
    entries[k, KIND] = kind
    entries[k, OCCURRENCES] = 0
    entries[k, DOCUMENTS] = 0
    entries[k, LAST_DOCUMENT] = -1
    state[ENTRIES] = k + 1
    state[ARENA] = start + end - begin


@kernel_function
def count(entries, k, document, clip):  # type: ignore[no-untyped-def]
    """One more occurrence of entry k in `document`; documents come one after the other."""
    if entries[k, LAST_DOCUMENT] != document:
        entries[k, LAST_DOCUMENT] = document
        entries[k, IN_LAST] = 0
        entries[k, DOCUMENTS] += 1
    if entries[k, IN_LAST] < clip:
        entries[k, IN_LAST] += 1
        entries[k, OCCURRENCES] += 1


@kernel_function
def fill_slots(entries, used, slots):  # type: ignore[no-untyped-def]
    """Enter the first `used` entries into empty, larger slots."""
    mask = np.uint64(len(slots) - 1)
    for k in range(used):
        value = np.uint64(entries[k, HASH])
        slot = value & mask
        while slots[slot] != 0:
            slot = (slot + ONE) & mask
        slots[slot] = (value & HIGH) | np.uint64(k + 1)
