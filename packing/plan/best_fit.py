"""Exact best-fit-decreasing on the length histogram: fragments of one length move as a group.

Item by item, best-fit-decreasing takes the fragments from long to short and puts each where the least
room stays.  For c fragments of length l, with s the smallest room ≥ l of any open sequence: its sequence
takes ⌊s/l⌋ of them one after the other, since s - l is again the tightest fit, and so do all sequences of
the same room.  So one *move* fills any number of sequences, and the number of moves depends on the number
of different lengths and rooms, not of documents: 6,000 (L = 2,048) to 80,000 (131,072) for ten million.
The result has the same multiset of rooms as item by item (tests).  Source: reference, packing §3.4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.text.kernel import cached_kernel

CHUNK = 1 << 20  # fragments that are counted at a time: bincount copies its input to int64

# The lowest bit of a word: each power of two times this number has another six bits on top (Leiserson et al. 1998).
DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
BIT_OF = np.argsort([(int(DE_BRUIJN) << bit) >> 58 & 63 for bit in range(64)])

# Columns of a move: `COUNT` sequences from number `BIN` on each take `EACH` fragments of `LENGTH` tokens.
LENGTH, BIN, COUNT, EACH, OPENS = range(5)
_AT, _LEFT, _BINS, _MOVES, _SLOTS, _CARRIED = range(6)  # the kernel's state between calls


@dataclass(frozen=True)
class Moves:
    """A plan by groups: int64[m, 5] in decreasing length, and the number of sequences (carried ones included)."""

    table: NDArray[np.int64]
    bins: int


def length_histogram(lengths: NDArray[np.int64] | NDArray[np.int32], L: int) -> NDArray[np.int64]:
    """int64[L + 1]: how many fragments have each length.  Raises ValueError for one outside 1 … L."""
    if lengths.size and (lengths.min() < 1 or lengths.max() > L):
        raise ValueError(f"a fragment of {lengths.max()} or {lengths.min()} tokens does not fit 1 … {L}: cut it first")
    counts = np.bincount(lengths[:CHUNK], minlength=L + 1)
    for begin in range(CHUNK, lengths.size, CHUNK):
        counts += np.bincount(lengths[begin : begin + CHUNK], minlength=L + 1)
    return counts


def best_fit_moves(
    counts: NDArray[np.int64], L: int, carried: NDArray[np.int64] | None = None, heads: NDArray[np.int64] | None = None
) -> Moves:
    """Best-fit-decreasing of a length histogram into sequences of L tokens.

    `counts` int64[L + 1] as of `length_histogram`; `carried` int64[b] rooms of sequences that are already open
    and keep the numbers 0 … b - 1; `heads` int64[L + 1] is overwritten: who plans often has no page faults then.
    O(L + moves) time and memory.
    """
    rooms = np.empty(0, np.int64) if carried is None else carried
    lengths = np.flatnonzero(counts != 0)[::-1]  # of a bool array: ten times as fast
    state = np.zeros(6, np.int64)
    words = (L >> 6) + 1
    table = np.empty((4 * lengths.size + 64, 5), np.int64)
    head = np.empty(L + 1, np.int64) if heads is None else heads
    head.fill(0)
    # A move that leaves part of a group makes a slot; at most two moves of a length do, the others reuse one.
    slots = np.empty((rooms.size + 2 * lengths.size + 1, 3), np.int64)
    bits, summary = np.zeros(words, np.uint64), np.zeros((words >> 6) + 1, np.uint64)
    while not _best_fit(lengths, counts, L, rooms, state, table, head, slots, bits, summary):
        table = np.concatenate([table, np.empty_like(table)])
    return Moves(table[: state[_MOVES]], int(state[_BINS]))


def assign(lengths: NDArray[np.int64] | NDArray[np.int32], moves: Moves, L: int, carried: int = 0) -> NDArray[np.int64]:
    """The sequence of each fragment, int64[f], when fragments of one length are taken in the order given.

    New sequences are numbered in the order of the fragments that open them (their longest): no bias of the
    order by how many fragments a sequence holds.  Carried ones keep their numbers.
    """
    table = moves.table
    starts = np.flatnonzero(np.diff(table[:, LENGTH], prepend=-1))
    cursor = np.zeros((L + 1, 3), np.int64)  # by length; what is never touched costs nothing
    cursor[table[starts, LENGTH], 0] = starts
    out = np.empty(lengths.size, np.int64)
    if moves.bins > np.iinfo(np.uint32).max:
        raise ValueError(f"{moves.bins:,} sequences in one plan: pack by windows, or in several parts")
    number = np.empty(moves.bins, np.uint32)  # half the memory: a plan of 10⁸ documents stays under 2 GiB
    number[:carried] = np.arange(carried)
    _assign(lengths.astype(np.int32, copy=False), table, cursor, carried, number, out)
    return out


def _best_fit_loop(lengths, counts, L, carried, state, table, head, slots, bits, summary):  # type: ignore[no-untyped-def]
    """The moves, until `table` is full (False: call again with a longer one) or all is placed (True).

    A slot is (first sequence, number of sequences, next slot) of sequences with one room; `head` has 1 + the first
    slot of each room (0: none), `bits` the rooms that have one, `summary` the words of `bits` that are not 0.
    """
    one, six_bits = np.uint64(1), np.int64(63)
    at, left, bins, used, free, done = state[0], state[1], state[2], state[3], state[4], state[5]
    while done < carried.size:
        room = carried[done]
        if room > 0:
            slots[free, 0], slots[free, 1], slots[free, 2] = done, 1, head[room]
            free += 1
            head[room] = free
            bits[room >> 6] |= one << np.uint64(room & six_bits)
            summary[room >> 12] |= one << np.uint64((room >> 6) & six_bits)
        done += 1
        bins += 1
    while at < lengths.size:
        size = lengths[at]
        if left == 0:
            left = counts[size]
        while left > 0:
            if used == table.shape[0]:
                state[0], state[1], state[2], state[3], state[4], state[5] = at, left, bins, used, free, done
                return False
            # The smallest room ≥ size: in its word, else the next word that is not 0, found through the summary.
            word = size >> 6
            found = bits[word] >> np.uint64(size & six_bits)
            shift = size & six_bits
            if found == 0:
                word += 1
                high = word >> 6
                shift = np.int64(0)
                some = np.uint64(0)
                if word < bits.size:
                    some = summary[high] >> np.uint64(word & six_bits)
                    if some == 0:
                        high += 1
                        word = high << 6
                        while high < summary.size and summary[high] == 0:
                            high += 1
                            word = high << 6
                        if high < summary.size:
                            some = summary[high]
                if some != 0:
                    word += BIT_OF[((some & (~some + one)) * DE_BRUIJN) >> np.uint64(58)]
                    found = bits[word]
            if found == 0:
                room, each = L, L // size
            else:
                room = (word << 6) + shift + BIT_OF[((found & (~found + one)) * DE_BRUIJN) >> np.uint64(58)]
                each = room // size
            take = left // each
            if take == 0:  # the last ones do not fill a sequence's share
                take, each = np.int64(1), left
            opens = found == 0
            if opens:
                begin, slot = bins, free
                bins += take
                free += 1
            else:
                slot = head[room] - 1
                there = slots[slot, 1]
                take = min(take, there)
                begin = slots[slot, 0] + there - take
                if take == there:
                    head[room] = slots[slot, 2]
                    if head[room] == 0:
                        bits[room >> 6] &= ~(one << np.uint64(room & six_bits))
                        if bits[room >> 6] == 0:
                            summary[room >> 12] &= ~(one << np.uint64((room >> 6) & six_bits))
                else:
                    slots[slot, 1] = there - take
                    slot = free
                    free += 1
            table[used, 0], table[used, 1], table[used, 2], table[used, 3] = size, begin, take, each
            table[used, 4] = 1 if opens else 0
            used += 1
            left -= take * each
            rest = room - each * size
            if rest > 0:
                slots[slot, 0], slots[slot, 1], slots[slot, 2] = begin, take, head[rest]
                head[rest] = slot + 1
                bits[rest >> 6] |= one << np.uint64(rest & six_bits)
                summary[rest >> 12] |= one << np.uint64((rest >> 6) & six_bits)
        at += 1
    state[0], state[1], state[2], state[3], state[4], state[5] = at, left, bins, used, free, done
    return True


def _assign_loop(lengths, table, cursor, carried, number, out):  # type: ignore[no-untyped-def]
    """Walk the fragments once: each length has a cursor (move, sequence in it, fragments in that); then renumber."""
    opened = carried
    for i in range(lengths.size):
        size = lengths[i]
        move, offset, inside = cursor[size, 0], cursor[size, 1], cursor[size, 2]
        target = table[move, 1] + offset
        if inside == 0 and table[move, 4] == 1:
            number[target] = opened
            opened += 1
        out[i] = target
        inside += 1
        if inside == table[move, 3]:
            inside = 0
            offset += 1
            if offset == table[move, 2]:
                offset = 0
                cursor[size, 0] = move + 1
            cursor[size, 1] = offset
        cursor[size, 2] = inside
    for i in range(lengths.size):
        out[i] = number[out[i]]


_best_fit = cached_kernel(_best_fit_loop)
_assign = cached_kernel(_assign_loop)
