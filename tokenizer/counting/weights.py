"""From a count table to what the trainer reads: language weights, thinning of rare words, a cap on long ones.

Re-weighting is arithmetic on the table, so another mix of languages costs seconds and no second look at
the texts.  Rare words are never dropped by count: words seen once hold 1.6 % of English bytes but 66–75 % of
Chinese, Japanese and Thai ones, so a minimum count is a hidden down-weighting of scripts without spaces
(reference §3).  `thin_rare` is the unbiased way to a smaller table.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import Purpose, derive_seed, hash64
from tokenizer.counting.table import counts_info, read_counts, with_info
from tokenizer.words import WordCounts

MOST_BITS = 20  # of a weight after the point: an error below 2^-21 for a weight of 1
SUM_BITS = 62  # every sum of the trainer stays below 2^62
LEAST_MULTIPLIER = 16  # a positive weight that would become less is refused: its error could exceed 3 %


def word_counts(source: Path | pa.Table, weights: Mapping[str, float] | None = None) -> WordCounts:
    """The distinct words of a count table with their counts over all languages and domains.

    weights: a factor ≥ 0 for every language of the table.  Counts stay integers: a language's factor becomes
    `multipliers(...)[language]`, so counts are exact multiples, whatever a language's size, and all of them are
    scaled alike, which no merge depends on.  Without weights the counts are those of the texts.
    Raises UsageError for a language without a weight, or weights that cannot be represented.
    """
    if isinstance(source, Path):
        source = read_counts(source, columns=["word", "language", "n"])
    words, counts = source["word"].combine_chunks(), np.asarray(source["n"])
    if weights is not None:
        languages = source["language"].combine_chunks().dictionary_encode()
        names = languages.dictionary.to_pylist()
        codes = np.asarray(languages.indices)
        sizes = np.bincount(codes, counts * np.asarray(pc.binary_length(words), dtype=np.float64), len(names))
        factors = multipliers(weights, dict(zip(names, sizes.tolist(), strict=True)))
        counts = counts * np.array([factors[name] for name in names], np.int64)[codes]
        words, counts = words.filter(pa.array(counts > 0)), counts[counts > 0]
    return _sum_equal(words, counts)


def multipliers(weights: Mapping[str, float], sizes: Mapping[str, float]) -> dict[str, int]:
    """The whole number that each language's counts are multiplied by: its weight in fixed point.

    sizes: Σ n · bytes of a language's words, which bounds every pair sum.  As many binary places as keep
    Σ multiplier · size below 2^62, at most 20.
    """
    if missing := sorted(set(sizes) - set(weights)):
        raise UsageError(
            f"no weight for {', '.join(missing)}", "give every language of the table one, 0 to leave it out"
        )
    for name in sizes:
        if not (math.isfinite(weights[name]) and weights[name] >= 0):
            raise UsageError(f"the weight of {name} is {weights[name]}", "weights are finite and at least 0")
    weighed = math.fsum(weights[name] * size for name, size in sizes.items())
    if weighed == 0:
        raise UsageError("all weights are 0: no text is left", "give one language a positive weight")
    scale = 2.0 ** min(MOST_BITS, math.floor(SUM_BITS - math.log2(weighed)) - 1)
    factors = {name: round(weights[name] * scale) for name in sizes}
    for name, factor in factors.items():
        if weights[name] > 0 and factor < LEAST_MULTIPLIER:
            raise UsageError(
                f"the weight {weights[name]:g} of {name} is too small beside the others",
                f"at least {LEAST_MULTIPLIER / scale:g} can be kept apart from nothing with these counts",
            )
    return factors


def _sum_equal(words: pa.LargeBinaryArray, counts: NDArray[np.int64]) -> WordCounts:
    """Sum the counts of equal words, which stand side by side."""
    if not len(words):
        return WordCounts(pa.array([], pa.large_binary()), np.zeros(0, np.int64))
    new = np.ones(len(words), bool)
    new[1:] = np.asarray(pc.not_equal(words.slice(1), words.slice(0, len(words) - 1)))
    return WordCounts(words.filter(pa.array(new)), np.add.reduceat(counts, np.flatnonzero(new)))


def thin_rare(table: pa.Table, *, below: int, keep_one_in: int, seed: int) -> pa.Table:
    """Keep one in `keep_one_in` of the words seen fewer than `below` times, and count it that many times.

    A word's fate is a hash of its bytes, the same in every language, shard and run of one `seed`, so every
    language's expected counts are what they were.  `below` refers to a word's count over the whole table.
    """
    if below < 1 or keep_one_in < 1:
        raise UsageError(f"below and keep_one_in must be at least 1, not {below} and {keep_one_in}")
    info = counts_info(table)
    if info.thinned:
        raise UsageError(f"this table is thinned already ({info.thinned})", "thin the table of all words")
    words, counts = table["word"].combine_chunks(), np.asarray(table["n"])
    distinct = _sum_equal(words, counts)
    rare = distinct.counts < below
    salt = derive_seed(seed, Purpose.SAMPLE, "rare words")
    chosen = (hash64(word.as_py(), salt) % keep_one_in == 0 for word in distinct.words.filter(pa.array(rare)))
    kept = np.ones(len(distinct), bool)
    kept[rare] = np.fromiter(chosen, bool, int(rare.sum()))
    row = np.asarray(pc.index_in(words, distinct.words))
    counts = np.where(rare[row], counts * keep_one_in, counts)
    position = table.schema.get_field_index("n")
    thinned = table.set_column(position, table.schema.field(position), pa.array(counts)).filter(pa.array(kept[row]))
    return with_info(thinned, replace(info, thinned=f"1 in {keep_one_in} below {below}, seed {seed}"))


def cut_long_words(counts: WordCounts, longest: int) -> WordCounts:
    """`counts` with every word of more than `longest` bytes cut into pieces of at most so many, between characters.

    For training only (encoding does not cut), where a few words of many thousand letters should not shape the
    vocabulary.  longest ≥ 4, so that a character always fits.
    """
    if longest < 4:
        raise UsageError(f"longest must be at least 4 bytes (one character), not {longest}")
    long = np.asarray(pc.greater(pc.binary_length(counts.words), longest))
    if not long.any():
        return counts
    pieces: list[bytes] = []
    numbers: list[int] = []
    for word, n in zip(counts.words.filter(pa.array(long)).to_pylist(), counts.counts[long].tolist(), strict=True):
        for piece in pieces_of(word, longest):
            pieces.append(piece)
            numbers.append(n)
    words = pa.concat_arrays([counts.words.filter(pa.array(~long)), pa.array(pieces, pa.large_binary())])
    summed = np.concatenate([counts.counts[~long], np.array(numbers, np.int64)])
    order = pc.array_sort_indices(words)
    return _sum_equal(words.take(order), summed[np.asarray(order)])


def pieces_of(word: bytes, longest: int) -> Iterable[bytes]:
    """`word` in pieces of at most `longest` bytes, none beginning inside a UTF-8 character."""
    begin = 0
    while begin < len(word):
        end = min(begin + longest, len(word))
        while end < len(word) and end > begin + longest - 3 and word[end] & 0xC0 == 0x80:
            end -= 1
        yield word[begin:end]
        begin = end
