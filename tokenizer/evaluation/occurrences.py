"""How often each token occurs after *full* encoding of the training words, from the count table alone.

The count of a pair when it was merged is not that number: later merges swallow most of it, and a token can end
with no occurrence at all (an embedding row that is never trained: reference §6, Land & Bartolo 2024).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tokenizer.training.merge_run import MergeRun
from tokenizer.vocabulary import BYTE_IDS, Vocabulary
from tokenizer.words import WordCounts


def token_occurrences(vocabulary: Vocabulary, words: WordCounts) -> NDArray[np.int64]:
    """int64[vocab_size]: Σ over words of count × occurrences in the word's encoding.

    The merges are replayed over all words at once (as in `word_tokens`: the same tokens as word by word).
    """
    total = np.zeros(vocabulary.vocab_size, np.int64)
    lengths = np.diff(words.offsets)
    single = lengths == 1  # words of one byte are not laid out
    np.add.at(total, BYTE_IDS[words.values[words.offsets[:-1][single]]], words.counts[single])
    if not np.any((lengths > 1) & (words.counts > 0)):
        return total
    run = MergeRun(words, len(vocabulary.merges), vocabulary.merges)
    run.advance(len(vocabulary.merges))
    laid = run.laid
    places = np.flatnonzero(laid.symbols >= 0)
    found = np.zeros(vocabulary.vocab_size, np.int64)
    np.add.at(found, laid.symbols[places], laid.weight[laid.word_of[places]])
    size = np.array([len(token) for token in vocabulary.tokens()])
    return total + np.where(size > 1, found // 2, found)  # a token of two bytes or more stands at both of its ends
