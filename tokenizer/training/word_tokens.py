"""How many tokens each word of a table takes under given merges: token totals of a corpus from its counts.

Applying every merge in rank order over all words gives the same tokens as encoding each word on its own (a
merge of rank k can only create pairs of higher rank), so the training kernel does it, in time linear in the
words' bytes.  The language search and the audit of a vocabulary need no other encoder.
"""

from __future__ import annotations

import itertools

import numpy as np

from tokenizer.training.merge_run import MergeRun
from tokenizer.vocabulary import BASE, BYTE_IDS
from tokenizer.words import WordCounts


def tokens_per_word(words: WordCounts, merges: np.ndarray) -> np.ndarray:
    """int64[n]: tokens of each word (whatever its count) under `merges`, int32[m, 2]."""
    lengths = np.diff(words.offsets)
    tokens = lengths.astype(np.int64)
    run = MergeRun(WordCounts(words.words, np.ones(len(words), np.int64)), len(merges), merges)
    run.advance(len(merges))
    tokens[run.laid.word] = run.tokens_left()
    return tokens


def tokens_per_word_reference(words: list[bytes], merges: np.ndarray) -> list[int]:
    """The same, word by word: join the leftmost pair of lowest rank until there is none."""
    ranks = {(left, right): rank for rank, (left, right) in enumerate(merges.tolist())}
    counts = []
    for word in words:
        ids = [int(BYTE_IDS[byte]) for byte in word]
        while True:
            pairs = [(ranks[pair], at) for at, pair in enumerate(itertools.pairwise(ids)) if pair in ranks]
            if not pairs:
                break
            rank, at = min(pairs)
            ids[at : at + 2] = [BASE + rank]
        counts.append(len(ids))
    return counts
