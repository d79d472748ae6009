"""The state of one training or replay: lays the words out, runs the kernel, grows its arrays between calls.

`train` and `word_tokens` are its two users.
"""

from __future__ import annotations

import numpy as np

from curation.pipeline.errors import UsageError
from tokenizer.training.merge_kernel import (
    EXHAUSTED,
    HEAP_FULL,
    HEAP_SIZE,
    MERGES,
    POSITIONS_USED,
    TABLE_FULL,
    TABLE_USED,
    Corpus,
    Merged,
    Scratch,
    count_remaining,
    merge,
)
from tokenizer.training.pair_table import COUNT, KEY, LENGTH, START, copy_live, live_rows, new_table
from tokenizer.training.symbols import Symbols, byte_pairs, lay_out
from tokenizer.vocabulary import BASE
from tokenizer.words import WordCounts

MOST_WEIGHT = 2**62  # sum of count × bytes; every pair count stays below it
SMALLEST = 1 << 10  # rows of the first table and heap
NO_MERGES = np.zeros((0, 2), np.int32)


class MergeRun:
    """Merges over `words`: first the `forced` ones (int32[f, 2]), then by count, up to `target` in all.

    Raises UsageError where counts are so large that a pair's sum could leave 63 bits.
    """

    def __init__(
        self, words: WordCounts, target: int, forced: np.ndarray = NO_MERGES, least: int = 1, longest: int = 2**31 - 1
    ) -> None:
        weight = float(np.dot(words.counts.astype(np.float64), np.diff(words.offsets)))
        if weight >= MOST_WEIGHT:
            raise UsageError(f"the counts add up to {weight:.3g} bytes, more than 2^62", "use smaller weights")
        self.laid: Symbols = lay_out(words)
        count, first, positions = byte_pairs(self.laid)
        found = np.flatnonzero(count)
        rows = np.empty((len(found), 4), np.int64)
        rows[:, KEY] = (found // BASE) << 32 | found % BASE
        rows[:, COUNT], rows[:, START], rows[:, LENGTH] = count[found], first[found], np.diff(first)[found]
        self.table = new_table(_rows_for(len(rows)))
        self.cursor = np.zeros(4, np.int64)
        self.cursor[TABLE_USED] = copy_live(rows, self.table)
        self.cursor[POSITIONS_USED] = first[-1]
        self._start_heap(rows[rows[:, COUNT] >= least])
        # a merge by count joins at least one place, so there are never more merges than places
        self.target = min(target, len(forced) + int(first[-1]))
        self.forced = np.array(forced, np.int32)  # a copy that can be written: one type for the kernel
        self.least, self.longest = least, longest
        self.corpus = Corpus(self.laid.symbols, self.laid.word_of, self.laid.weight, positions)
        self.exhausted = False  # whether no pair is left that may be merged

        tokens, longest_list = BASE + self.target, int(np.diff(first).max(initial=0))
        self.scratch = Scratch(
            *(np.zeros((tokens, 4), np.int64) for _ in range(2)),
            *(np.empty(tokens, np.int32) for _ in range(2)),
            *(np.empty(longest_list, positions.dtype) for _ in range(2)),
        )
        self.merged = Merged(
            np.zeros((self.target, 2), np.int32),
            np.zeros(self.target, np.int64),
            np.zeros(self.target, np.int64),
            np.ones(tokens, np.int32),
        )

    @property
    def merges(self) -> int:
        """Merges made so far."""
        return int(self.cursor[MERGES])

    def advance(self, until: int, work: int = 2**62) -> None:
        """Merge until `until` merges are made, pairs run out (`exhausted`) or `work` places are visited."""
        while True:
            reason = merge(
                self.corpus, self.table, self.heap, self.scratch, self.merged, self.forced, self.cursor,
                min(until, self.target), work, self.least, self.longest,
            )  # fmt: skip
            if reason == TABLE_FULL:
                self._grow_table()
            elif reason == HEAP_FULL:
                self._grow_heap()
            else:
                self.exhausted = reason == EXHAUSTED
                return

    def tokens_left(self) -> np.ndarray:
        """int64[n]: tokens of each laid-out word (`laid.word`) after the merges so far."""
        tokens = np.empty(len(self.laid.word), np.int64)
        count_remaining(self.corpus.symbols, self.laid.begin, self.merged.length, tokens)
        return tokens

    def _start_heap(self, rows: np.ndarray) -> None:
        order = np.lexsort((rows[:, KEY], -rows[:, COUNT]))  # sorted rows are a heap
        self.heap = np.empty((_rows_for(len(rows)), 2), np.int64)
        self.heap[: len(rows), 0], self.heap[: len(rows), 1] = rows[order, COUNT], rows[order, KEY]
        self.cursor[HEAP_SIZE] = len(rows)

    def _grow_table(self) -> None:
        """Drop the pairs that no longer occur, and make room for a quarter more or for one merge of any size."""
        live = live_rows(self.table)
        next_merge_room = 2 * (BASE + self.merges + 1)
        table = new_table(_rows_for(live + max(live // 4, next_merge_room)))
        self.cursor[TABLE_USED] = copy_live(self.table, table)
        self.table = table

    def _grow_heap(self) -> None:
        heap = np.empty((2 * len(self.heap), 2), np.int64)
        heap[: len(self.heap)] = self.heap
        self.heap = heap


def _rows_for(used: int) -> int:
    """A power of two, at least 4/3 of `used`."""
    return max(SMALLEST, 1 << (used * 4 // 3).bit_length())
