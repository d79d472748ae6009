"""From count tables to a tokenizer directory: language weights, merges, vocabulary, export."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.pipeline.errors import UsageError
from tokenizer.config import TrainConfig
from tokenizer.counting.count import counts_info, read_counts
from tokenizer.counting.weights import cut_long_words, thin_rare
from tokenizer.training.language_search import Round, SearchOptions, SearchResult, search_weights
from tokenizer.training.languages import LanguageTable, language_table, quotas, shares_of, temperature, weights_for
from tokenizer.training.train import Progress, Training, train
from tokenizer.vocabulary import Vocabulary
from tokenizer.words import WordCounts

LEAST_DRIVEN = 2  # languages with enough development text: with fewer there is nothing to weigh


@dataclass(frozen=True)
class Weighing:
    """The chosen weight of each language (None: counts as they are) and how it was found."""

    weights: dict[str, float] | None
    account: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Built:
    """A trained vocabulary, with what a report and a manifest say of its training."""

    vocabulary: Vocabulary
    words: WordCounts  # what was trained on
    training: Training
    weighing: Weighing


def build(
    counts: Path,
    dev: Path | None,
    config: TrainConfig,
    *,
    provenance: Mapping[str, Any],
    start: Vocabulary | None = None,
    checkpoint: Path | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_round: Callable[[int, Round], None] | None = None,
) -> Built:
    """Train on the table `counts` with language weights chosen on the table `dev`; `start`: what is extended.

    Raises UsageError: an empty table, languages that the table does not have, tables counted differently.
    """
    info = counts_info(counts)
    counted = read_counts(counts)
    if config.thin:
        counted = thin_rare(counted, **config.thin.model_dump(), seed=provenance.get("seed", 0))
    table = language_table(counted)
    weighing = with_quotas(weigh(table, dev_table(dev, counts), config, on_round), config.quotas, table.bytes)
    if start is not None and start.pattern.stages != info.pattern.stages:
        raise UsageError(
            f"the tokenizer to extend cuts text by {start.pattern.name}, the counts by {info.pattern.name}",
            f"count with --pattern {start.pattern.name}",
        )
    words = table.counts_of_all() if weighing.weights is None else table.weighted(weighing.weights)
    if config.longest_word:
        words = cut_long_words(words, config.longest_word)
    training = train(
        words, config.vocab_size, start=start.merges if start else None, min_frequency=config.min_frequency,
        max_token_length=config.max_token_length, on_progress=on_progress, checkpoint=checkpoint,
    )  # fmt: skip
    account = {
        **provenance,
        "text": {"bytes": info.bytes, "documents": info.documents, "clip": info.clip, "words": words.digest},
        "languages": weighing.account,
        "extends": start.hash if start else None,
        "warning": training.warning,
    }
    vocabulary = Vocabulary(info.pattern, training.merges, tuple(config.special_tokens), account)
    return Built(vocabulary, words, training, weighing)


def dev_table(dev: Path | None, counts: Path) -> LanguageTable | None:
    """The development counts; None where there are none.  Raises UsageError where they were counted differently."""
    if dev is None:
        return None
    if counts_info(dev).method != counts_info(counts).method:
        raise UsageError(f"{dev} was counted differently from {counts}", "count both with the same pattern and clip")
    found = read_counts(dev)
    return language_table(found) if len(found) else None


def weigh(
    table: LanguageTable,
    dev: LanguageTable | None,
    config: TrainConfig,
    on_round: Callable[[int, Round], None] | None = None,
) -> Weighing:
    """Language weights as the config asks for them."""
    amounts, wanted = table.bytes, config.languages
    if isinstance(wanted, dict):
        return _by_hand(wanted, amounts)
    if wanted == "text" or len(amounts) < LEAST_DRIVEN:
        return Weighing(None, {"mode": "text", "shares": shares_of(amounts)})
    if isinstance(wanted, float | int):
        return _by_shares(f"temperature {wanted:g}", temperature(shares_of(amounts), wanted), amounts)
    options = SearchOptions(vocab_size=config.vocab_size, most_loss=config.most_loss)
    driven = [] if dev is None else [n for n, size in dev.bytes.items() if size >= options.least_dev_bytes]
    if dev is None or len(driven) < LEAST_DRIVEN:
        start = temperature(shares_of(amounts), options.alpha)
        account = _by_shares(f"temperature {options.alpha:g}", start, amounts)
        why = f"fewer than {LEAST_DRIVEN} languages have {options.least_dev_bytes:,} bytes of development text"
        return Weighing(account.weights, {**account.account, "asked": "auto", "why": why})
    return _searched(search_weights(table, dev, options, on_round=on_round))


def with_quotas(weighing: Weighing, least: Mapping[str, float], amounts: Mapping[str, int]) -> Weighing:
    """Shares of which `least` guarantees some; the others give in proportion."""
    if not least:
        return weighing
    shares = quotas(weighing.account["shares"], least)
    weights = weights_for(shares, amounts)
    return Weighing(weights, {**weighing.account, "shares": shares, "weights": weights, "quotas": dict(least)})


def _by_hand(wanted: Mapping[str, float], amounts: Mapping[str, int]) -> Weighing:
    missing = sorted(set(amounts) - set(wanted))
    if missing:
        raise UsageError(
            f"languages gives no share for {', '.join(missing[:5])}",
            "every language of the documents needs one, 0 to leave it out",
        )
    if not any(wanted[name] for name in amounts):
        raise UsageError("languages gives every language of the documents the share 0", "give one a positive share")
    weighing = _by_shares("shares", shares_of({name: wanted[name] for name in amounts}), amounts)
    if without := sorted(set(wanted) - set(amounts)):
        weighing.account["without_text"] = without
    return weighing


def _by_shares(mode: str, shares: Mapping[str, float], amounts: Mapping[str, int]) -> Weighing:
    weights = weights_for(shares, amounts)
    return Weighing(weights, {"mode": mode, "shares": dict(shares), "weights": weights})


def _searched(found: SearchResult) -> Weighing:
    rounds = [
        {"worst_regret": one.worst, "mix_loss": one.mix_loss, "largest_loss": one.largest_loss, "raised": one.raised}
        for one in found.rounds
    ]
    account = {
        "mode": "auto", "shares": found.shares, "weights": found.weights, "regret": found.rounds[found.best].regret,
        "rounds": rounds, "best": found.best, "stopped": found.stopped, "not_driven": found.not_driven,
    }  # fmt: skip
    return Weighing(found.weights, account)
