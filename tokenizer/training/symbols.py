"""The words laid out as one array of token ids, and the pairs of bytes they start from.

`symbols[i]` is the id of the token that begins or ends at byte place i; the places between are HOLE and
every word is followed by END.  A token's neighbours follow from its length, so a merge writes four places
and never shifts: that makes a word of any length linear (reference §3; a linked list needs four arrays).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from curation.pipeline.errors import UsageError
from curation.text.kernel import cached_kernel
from tokenizer.vocabulary import BASE, BYTE_IDS
from tokenizer.words import WordCounts

END, HOLE = -1, -2
MOST_INT32_PLACES = 2**31 - 1  # more byte places than this need int64 lists, at twice the memory


class Symbols(NamedTuple):
    """Words of a table as byte tokens.  `word_of` gives the index into `word` for each place."""

    symbols: np.ndarray  # int32[places]
    word_of: np.ndarray  # int32[places]
    word: np.ndarray  # int64[n]: which word of the table
    weight: np.ndarray  # int64[n]: its count
    begin: np.ndarray  # int64[n]: the place of its first byte


def lay_out(words: WordCounts) -> Symbols:
    """The words that can hold a pair: counted at least once and two bytes or longer."""
    offsets = words.offsets
    lengths = np.diff(offsets)
    chosen = np.flatnonzero((words.counts > 0) & (lengths > 1))
    if len(chosen) >= MOST_INT32_PLACES:
        raise UsageError(
            f"{len(chosen)} distinct words are more than 2^31 − 1", "thin the count table or train on a sample"
        )
    begin = np.zeros(len(chosen), np.int64)
    np.cumsum(lengths[chosen][:-1] + 1, out=begin[1:])
    places = int(lengths[chosen].sum()) + len(chosen)
    symbols, word_of = np.empty(places, np.int32), np.empty(places, np.int32)
    _lay_out(words.values, offsets, chosen, BYTE_IDS, begin, symbols, word_of)
    return Symbols(symbols, word_of, chosen, words.counts[chosen], begin)


def byte_pairs(laid: Symbols) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts and places of all pairs of bytes, by left id · 256 + right id.

    Returns (count int64[65536], first int64[65537], positions): the places of pair k, ascending, are
    `positions[first[k]:first[k + 1]]`.  `positions` has room for the lists of every later pair: a merge of
    one place makes at most two new ones and destroys one, so three times the start is enough (untouched
    pages cost no memory).  Overlapping pairs in runs ("aaa") count twice, as Hugging Face's do.
    """
    count, first = np.zeros(BASE * BASE, np.int64), np.zeros(BASE * BASE + 1, np.int64)
    _count_pairs(laid.symbols, laid.word_of, laid.weight, count, first[1:])
    np.cumsum(first, out=first)
    wide = len(laid.symbols) > MOST_INT32_PLACES
    positions = np.empty(3 * int(first[-1]), np.int64 if wide else np.int32)
    _list_pairs(laid.symbols, first[:-1].copy(), positions)
    return count, first, positions


def _lay_out_words(values, offsets, chosen, byte_ids, begin, symbols, word_of):  # type: ignore[no-untyped-def]
    for n in range(len(chosen)):
        start, at = offsets[chosen[n]], begin[n]
        length = offsets[chosen[n] + 1] - start
        for k in range(length):
            symbols[at + k] = byte_ids[values[start + k]]
            word_of[at + k] = n
        symbols[at + length] = END
        word_of[at + length] = n


def _count_byte_pairs(symbols, word_of, weight, count, number):  # type: ignore[no-untyped-def]
    for i in range(len(symbols) - 1):
        if symbols[i] >= 0 and symbols[i + 1] >= 0:
            k = symbols[i] * BASE + symbols[i + 1]
            count[k] += weight[word_of[i]]
            number[k] += 1


def _list_byte_pairs(symbols, fill, positions):  # type: ignore[no-untyped-def]
    for i in range(len(symbols) - 1):
        if symbols[i] >= 0 and symbols[i + 1] >= 0:
            k = symbols[i] * BASE + symbols[i + 1]
            positions[fill[k]] = i
            fill[k] += 1


_lay_out: Any = cached_kernel(_lay_out_words)
_count_pairs: Any = cached_kernel(_count_byte_pairs)
_list_pairs: Any = cached_kernel(_list_byte_pairs)
