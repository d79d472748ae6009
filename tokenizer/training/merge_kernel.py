"""The merge loop: take the first pair of the heap, join it at all its places, list the new pairs.

Exact byte-pair encoding in the order of Hugging Face's trainer, with 64-bit counts.  The kernel never
allocates: where an array may be too small for the next merge it returns and `train` grows it.
Source: reference §3, "Trainer algorithm"; Sennrich et al. 2016 (arXiv 1508.07909).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from curation.text.kernel import cached_kernel, source_digest
from tokenizer import vocabulary
from tokenizer.training import merge_heap, pair_table, symbols
from tokenizer.training.merge_heap import PAIR, TOP, push, replace_top
from tokenizer.training.pair_table import COUNT, KEY, LENGTH, START, find_pair, pair_key, take_from
from tokenizer.training.symbols import END, HOLE
from tokenizer.vocabulary import BASE

# why the kernel returned
REACHED, WORKED, TABLE_FULL, HEAP_FULL, EXHAUSTED = range(5)
# columns of `left` and `right`, one row per token: the neighbours of the token being made
STEP, GAINED, NUMBER, LOST = range(4)
# cells of `cursor`
MERGES, HEAP_SIZE, TABLE_USED, POSITIONS_USED = range(4)


class Corpus(NamedTuple):
    """The tokenised words: see `symbols.Symbols` and `symbols.byte_pairs`."""

    symbols: np.ndarray
    word_of: np.ndarray
    weight: np.ndarray
    positions: np.ndarray


class Scratch(NamedTuple):
    """Neighbours of the token being made: per-token rows, which tokens have one, and the places."""

    left: np.ndarray  # int64[tokens, 4]
    right: np.ndarray
    left_ids: np.ndarray  # int32[tokens]
    right_ids: np.ndarray
    left_at: np.ndarray  # as long as the longest list of places, same dtype
    right_at: np.ndarray


class Merged(NamedTuple):
    """What comes out, one row per merge; `length` one per token."""

    pair: np.ndarray  # int32[m, 2]
    pair_count: np.ndarray  # int64[m]: the pair's count when it was merged (overlaps in runs included)
    joined: np.ndarray  # int64[m]: weighted places joined, so tokens saved
    length: np.ndarray  # int32[tokens]: bytes


def _build_merge(sources: int) -> Any:
    """The kernel; closing over `sources` makes the digest part of the machine code's cache key."""

    def merge(corpus, table, heap, scratch, merged, forced, cursor, until, work, least, longest):  # type: ignore[no-untyped-def]
        """Merge until `until` merges are made; returns why it stopped.

        forced: int32[f, 2], pairs that are merged first whatever their counts.  work: places to visit before
        returning for a progress report.  least: smallest count to merge.  longest: bytes of a token.
        """
        token, word_of, weight, positions = corpus.symbols, corpus.word_of, corpus.weight, corpus.positions
        left, right, left_at, right_at = scratch.left, scratch.right, scratch.left_at, scratch.right_at
        length = merged.length
        while cursor[MERGES] < until:
            if work <= 0:
                return WORKED
            m = cursor[MERGES]
            if m < len(forced):
                key = pair_key(forced[m, 0], forced[m, 1])
                row = find_pair(table, key)
                count = table[row, COUNT] if table[row, KEY] == key else 0
            else:
                if cursor[HEAP_SIZE] == 0:
                    return EXHAUSTED
                key = heap[0, PAIR]
                row = find_pair(table, key)
                count = table[row, COUNT] if table[row, KEY] == key else 0
                if count != heap[0, TOP]:
                    if count <= 0:
                        cursor[HEAP_SIZE] -= 1
                        count, key = heap[cursor[HEAP_SIZE], TOP], heap[cursor[HEAP_SIZE], PAIR]
                    replace_top(heap, cursor[HEAP_SIZE], count, key)
                    continue
                if count < least:
                    return EXHAUSTED
            first, places = (table[row, START], table[row, LENGTH]) if count > 0 else (np.int64(0), np.int64(0))
            X = BASE + m
            room = 2 * min(places, X + 1)
            if 4 * (cursor[TABLE_USED] + room) > 3 * len(table):
                return TABLE_FULL
            if cursor[HEAP_SIZE] + room > len(heap):
                return HEAP_FULL

            a, b = key >> 32, key & 0xFFFFFFFF
            merged.pair[m, 0], merged.pair[m, 1], merged.pair_count[m] = a, b, count
            length[X] = length[a] + length[b]
            step = m + 1
            n_left = n_right = n_left_at = n_right_at = 0
            joined = np.int64(0)
            for z in range(first, first + places):
                i = np.int64(positions[z])
                j = i + length[a]
                if token[i] != a or token[j] != b:
                    continue  # the place was joined to something else since it was listed
                last = j + length[b] - 1
                w = weight[word_of[i]]
                joined += w
                L = token[i - 1] if i > 0 else END
                R = token[last + 1]
                token[j - 1] = token[j] = HOLE
                token[i] = token[last] = X
                if L >= 0:
                    if left[L, STEP] != step:
                        left[L, STEP], left[L, GAINED], left[L, NUMBER], left[L, LOST] = step, 0, 0, 0
                        scratch.left_ids[n_left] = L
                        n_left += 1
                    fits = length[L] + length[X] <= longest
                    if L != X:
                        left[L, LOST] += w
                    elif length[a] + length[X] <= longest:  # the place before was joined just now and got (X, a)
                        right[a, GAINED] -= w
                        right[a, NUMBER] -= 1
                    if fits:
                        left[L, GAINED] += w
                        left[L, NUMBER] += 1
                        left_at[n_left_at] = i - length[L]
                        n_left_at += 1
                if R >= 0:
                    if right[R, STEP] != step:
                        right[R, STEP], right[R, GAINED], right[R, NUMBER], right[R, LOST] = step, 0, 0, 0
                        scratch.right_ids[n_right] = R
                        n_right += 1
                    right[R, LOST] += w
                    if length[R] + length[X] <= longest:
                        right[R, GAINED] += w
                        right[R, NUMBER] += 1
                        right_at[n_right_at] = i
                        n_right_at += 1
            merged.joined[m] = joined
            work -= places + 1
            if m >= len(forced):  # the pair is still on top: nothing was pushed since
                cursor[HEAP_SIZE] -= 1
                size = cursor[HEAP_SIZE]
                replace_top(heap, size, heap[size, TOP], heap[size, PAIR])

            for side in range(2):
                near = left if side == 0 else right
                for q in range(n_left if side == 0 else n_right):
                    Y = np.int64(scratch.left_ids[q] if side == 0 else scratch.right_ids[q])
                    old = pair_key(Y, a) if side == 0 else pair_key(b, Y)
                    if near[Y, LOST] > 0 and old != key:
                        take_from(table, old, near[Y, LOST])
                    number, gained = near[Y, NUMBER], near[Y, GAINED]
                    near[Y, NUMBER] = cursor[POSITIONS_USED]
                    if number == 0:
                        continue
                    new = pair_key(Y, X) if side == 0 else pair_key(X, Y)
                    to = find_pair(table, new)
                    cursor[TABLE_USED] += 1
                    table[to, KEY], table[to, COUNT] = new, gained
                    table[to, START], table[to, LENGTH] = cursor[POSITIONS_USED], number
                    cursor[POSITIONS_USED] += number
                    if gained >= least:
                        push(heap, cursor[HEAP_SIZE], gained, new)
                        cursor[HEAP_SIZE] += 1
            if row >= 0 and count > 0:
                table[row, COUNT] = 0
            for q in range(n_left_at):
                i = np.int64(left_at[q])
                L = token[i]
                positions[left[L, NUMBER]] = i
                left[L, NUMBER] += 1
            for q in range(n_right_at):
                i = np.int64(right_at[q])
                R = token[i + length[X]]
                if R != X:  # X: joined later in this step, as the left side of (X, X) or (…, X)
                    positions[right[R, NUMBER]] = i
                    right[R, NUMBER] += 1
            cursor[MERGES] += 1
        return REACHED if sources >= 0 else EXHAUSTED

    return cached_kernel(merge)


merge: Any = _build_merge(source_digest(merge_heap, pair_table, symbols, vocabulary))


def _count_remaining(symbols, begin, length, tokens):  # type: ignore[no-untyped-def]
    """tokens[n] = tokens of the word that begins at place begin[n]."""
    for n in range(len(begin)):
        at, number = begin[n], 0
        while symbols[at] != END:
            at += length[symbols[at]]
            number += 1
        tokens[n] = number


count_remaining: Any = cached_kernel(_count_remaining)
