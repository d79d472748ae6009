"""Counts per language, and the weights that decide how much of the vocabulary each language gets.

Upsampling is re-weighting: one count table serves every weighting, and a retraining costs seconds (reference
§6b).  Weights multiply a language's counts.  Here are the shares by hand: temperature, quotas;
`language_search` finds them automatically.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.pipeline.errors import UsageError
from tokenizer.counting.weights import multipliers
from tokenizer.training.word_tokens import tokens_per_word
from tokenizer.words import WordCounts


@dataclass(frozen=True, eq=False)
class LanguageTable:
    """Word counts by language: entry e says that `word[e]` occurs `n[e]` times in `language[e]`.

    `words`: large_binary, distinct, ascending; `languages`: names, ascending; `word`: int64[entries];
    `language`: int64[entries]; `n`: int64[entries].
    """

    words: pa.LargeBinaryArray
    languages: tuple[str, ...]
    word: np.ndarray
    language: np.ndarray
    n: np.ndarray

    @property
    def bytes(self) -> dict[str, int]:
        """Bytes of text of each language."""
        return self._total(np.diff(self.counts_of_all().offsets))

    def tokens(self, merges: np.ndarray) -> dict[str, int]:
        """Tokens of each language's text under `merges`, int32[m, 2]."""
        return self._total(tokens_per_word(self.counts_of_all(), merges))

    def tokens_of(self, language: str, merges: np.ndarray) -> int:
        """Tokens of one language's text under `merges`."""
        counts = self.counts_of(language)
        return int(np.dot(counts.counts, tokens_per_word(counts, merges)))

    def counts_of_all(self) -> WordCounts:
        """All languages added up as they are."""
        counts = np.zeros(len(self.words), np.int64)
        np.add.at(counts, self.word, self.n)
        return WordCounts(self.words, counts)

    def counts_of(self, language: str) -> WordCounts:
        """One language alone."""
        mine = self.language == self.languages.index(language)
        return WordCounts(self.words.take(pa.array(self.word[mine])), self.n[mine])

    def weighted(self, weights: Mapping[str, float]) -> WordCounts:
        """Counts times weights: the counts that `weights.word_counts` gives for the same table and weights.

        Raises UsageError for a language without a weight and for weights that whole numbers cannot hold.
        """
        sizes = {name: float(size) for name, size in self.bytes.items()}
        factors = multipliers(weights, sizes)
        counts = np.zeros(len(self.words), np.int64)
        per_language = np.array([factors[name] for name in self.languages], np.int64)
        np.add.at(counts, self.word, self.n * per_language[self.language])
        return WordCounts(self.words, counts)

    def _total(self, per_word: np.ndarray) -> dict[str, int]:
        totals = np.zeros(len(self.languages), np.int64)
        np.add.at(totals, self.language, self.n * per_word[self.word])
        return dict(zip(self.languages, totals.tolist(), strict=True))


def language_table(counts: pa.Table) -> LanguageTable:
    """A count table (word, language, domain, n, …; sorted by word) with its domains added up.

    Raises UsageError where it is empty or not sorted.
    """
    if not len(counts):
        raise UsageError("the count table is empty", "every document is empty, removed or held out")
    words = counts["word"].cast(pa.large_binary()).combine_chunks().dictionary_encode()
    distinct = words.dictionary
    if len(distinct) > 1 and not pc.all(pc.less(distinct[:-1], distinct[1:])).as_py():
        raise UsageError("the count table is not sorted by word", "write it with `curate tokenizer count`")
    codes = counts["language"].combine_chunks().dictionary_encode()
    names = codes.dictionary.to_pylist()
    order = sorted(range(len(names)), key=lambda i: names[i].encode())
    rank = np.empty(len(names), np.int64)
    rank[order] = np.arange(len(names))
    keys = words.indices.to_numpy().astype(np.int64) * len(names) + rank[codes.indices.to_numpy()]
    pairs, entry = np.unique(keys, return_inverse=True)
    n = np.zeros(len(pairs), np.int64)
    np.add.at(n, entry, counts["n"].to_numpy())
    return LanguageTable(distinct, tuple(names[i] for i in order), pairs // len(names), pairs % len(names), n)


def shares_of(amounts: Mapping[str, float]) -> dict[str, float]:
    """Amounts (bytes, weighted bytes) as shares that add up to 1."""
    total = math.fsum(amounts.values())
    if not total > 0 or any(not (amount >= 0 and math.isfinite(amount)) for amount in amounts.values()):
        raise UsageError(f"amounts of text must be finite, at least 0 and not all 0: {dict(amounts)}")
    return {name: amount / total for name, amount in amounts.items()}


def temperature(shares: Mapping[str, float], alpha: float) -> dict[str, float]:
    """Shares to the power of alpha, renormalised: 1 = as they are, 0 = all languages alike (Conneau et al. 2020)."""
    if not 0 <= alpha <= 1:
        raise UsageError(f"the temperature's alpha is {alpha}: it must be from 0 to 1")
    return shares_of({name: share**alpha if share > 0 else 0.0 for name, share in shares.items()})


def quotas(shares: Mapping[str, float], least: Mapping[str, float]) -> dict[str, float]:
    """Shares of which `least` guarantees some: those below are lifted to it, the others give in proportion.

    Raises UsageError for an unknown language or quotas of 1 or more in all.
    """
    for name in least:
        if name not in shares:
            raise UsageError(f"there is a quota for {name!r}, which has no text", f"known: {', '.join(sorted(shares))}")
    if any(quota < 0 for quota in least.values()) or math.fsum(least.values()) >= 1:
        raise UsageError(f"quotas must be at least 0 and less than 1 in all: {dict(least)}")
    lifted: set[str] = set()
    while True:  # lifting one lowers the others, which may then fall below their own quota
        free = 1 - math.fsum(least[name] for name in lifted)
        rest = math.fsum(share for name, share in shares.items() if name not in lifted)
        scaled = {
            name: least[name] if name in lifted else share * free / rest if rest > 0 else 0.0
            for name, share in shares.items()
        }
        below = {name for name, quota in least.items() if name not in lifted and scaled[name] < quota}
        if not below:
            return scaled
        lifted |= below


def weights_for(shares: Mapping[str, float], text_bytes: Mapping[str, int]) -> dict[str, float]:
    """The factors that give each language its share of the weighted text: 1 leaves it as it is, 0 without text."""
    natural = shares_of(text_bytes)
    return {name: share / natural[name] if natural[name] else 0.0 for name, share in shares.items()}


def check_names(given: Mapping[str, object], languages: tuple[str, ...], what: str) -> None:
    """UsageError unless `given` has exactly the table's languages."""
    missing, unknown = sorted(set(languages) - set(given)), sorted(set(given) - set(languages))
    if missing or unknown:
        parts = [f"no {what} for {', '.join(missing)}"] if missing else []
        parts += [f"a {what} for {', '.join(unknown)}, not in the count table"] if unknown else []
        raise UsageError("; ".join(parts), f"languages of the table: {', '.join(languages)}")
