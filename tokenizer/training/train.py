"""Byte-pair encoding trained from word counts: the same merges as Hugging Face's trainer, where that one is right.

Counts are 64-bit (Hugging Face's pair counts are 32-bit and go silently wrong above 2^31 − 1: reference
§3), a word of any length takes linear time, and one training holds every smaller vocabulary as a prefix.
Training is a pure function of its arguments; a checkpoint is resumed by replaying its merges.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from curation.pipeline.errors import UsageError
from tokenizer.training.checkpoint import CHECKPOINT_EVERY, Identity, read_checkpoint, write_checkpoint
from tokenizer.training.merge_run import NO_MERGES, MergeRun
from tokenizer.vocabulary import BASE, check_merges
from tokenizer.words import WordCounts

PROGRESS_EVERY = 1_000  # merges
PROGRESS_PLACES = 20_000_000  # or places visited: the first merges are the dearest


@dataclass(frozen=True)
class Progress:
    """How far a training is; `per_second` and `eta_s` come from the merges since it began (or resumed)."""

    merges: int
    target: int
    per_second: float
    eta_s: float


@dataclass(frozen=True, eq=False)
class Training:
    """What a training found.

    `merges`: int32[m, 2], in rank order; `pair_counts`: int64[m], the count of each pair when merged (in a
    run such as "aaa" overlapping pairs count, as Hugging Face's do); `joined`: int64[m], how often it was
    really joined: Σ count · bytes − Σ joined is the number of tokens of the corpus.
    `warning`: None, or why there are fewer merges than asked for.
    """

    merges: np.ndarray
    pair_counts: np.ndarray
    joined: np.ndarray
    warning: str | None

    @property
    def vocab_size(self) -> int:
        return BASE + len(self.merges)


def train(
    words: WordCounts,
    vocab_size: int,
    *,
    start: np.ndarray | None = None,
    min_frequency: int = 0,
    max_token_length: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    checkpoint: Path | None = None,
) -> Training:
    """The first `vocab_size` − 256 merges of `words`.

    vocab_size: bytes and merges, without special tokens.  Where the pairs run out first the result is
    smaller and says so in `warning`.  start: int32[s, 2], merges of an existing vocabulary, replayed before
    training goes on (extension).  min_frequency: smallest count of a pair to merge; 0 and 1 both mean every
    pair that occurs (as Hugging Face's trainer, whose default 0 is ours); with weighted counts it is in
    weighted units.  max_token_length: longest token in bytes, inclusive (Hugging Face's 17 is our 16).
    checkpoint: a file written every 10,000 merges and at the end; where it exists training resumes from it.

    Raises UsageError: nothing to train on, a size below 256 or below 256 + len(start), a damaged `start`, a
    checkpoint that is damaged or belongs to other counts or options.
    """
    forced = NO_MERGES if start is None else np.ascontiguousarray(start)
    _check_request(words, vocab_size, forced, max_token_length)
    target = vocab_size - BASE
    least, longest = max(1, min_frequency), max_token_length or 2**31 - 1

    identity = Identity.of(words, forced, least, longest) if checkpoint else None
    if checkpoint and identity and (saved := read_checkpoint(checkpoint, identity)):
        if saved.exhausted or len(saved.merges) >= target:
            merges, counts, joined = (one[:target] for one in (saved.merges, saved.pair_counts, saved.joined))
            return Training(merges, counts, joined, _warning(len(merges), target, least))
        forced = saved.merges

    run = MergeRun(words, target, forced, least, longest)

    def save() -> None:
        if checkpoint and identity:
            write_checkpoint(checkpoint, identity, *_result(run), run.exhausted or run.target < target)

    began, replayed = time.monotonic(), None if len(forced) else 0
    while run.merges < run.target and not run.exhausted:
        before = run.merges
        run.advance(before + PROGRESS_EVERY - before % PROGRESS_EVERY, PROGRESS_PLACES)
        if run.merges // CHECKPOINT_EVERY > before // CHECKPOINT_EVERY and len(forced) < run.merges < run.target:
            save()
        if run.merges >= len(forced) and replayed is None:
            began, replayed = time.monotonic(), run.merges
        if on_progress:
            on_progress(_progress(run, replayed or 0, time.monotonic() - began))
    save()
    return Training(*_result(run), _warning(run.merges, target, least))


def _check_request(words: WordCounts, vocab_size: int, start: np.ndarray, max_token_length: int | None) -> None:
    if vocab_size < BASE:
        raise UsageError(
            f"vocab_size {vocab_size} is smaller than the {BASE} byte tokens",
            "give at least 256; special tokens are added on top of it and do not count",
        )
    if not len(words) or not words.counts.any():
        raise UsageError(
            "there are no words to train on: the count table is empty or all its weights are 0",
            "count files that hold text, or give a language with text a positive share",
        )
    check_merges(start)
    if vocab_size < BASE + len(start):
        raise UsageError(
            f"vocab_size {vocab_size} is smaller than the vocabulary to extend ({BASE + len(start)})",
            "truncate that vocabulary, or ask for more",
        )
    if max_token_length is not None:
        if max_token_length < 2:
            raise UsageError(f"max_token_length is {max_token_length}: a merge has at least 2 bytes")
        lengths = [1] * BASE
        for left, right in start.tolist():
            lengths.append(lengths[left] + lengths[right])
        if max(lengths) > max_token_length:
            raise UsageError(
                f"the vocabulary to extend has a token of {max(lengths)} bytes, longer than max_token_length "
                f"{max_token_length}",
                f"set max_token_length to {max(lengths)} or more",
            )


def _result(run: MergeRun) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    made = run.merges
    return run.merged.pair[:made], run.merged.pair_count[:made], run.merged.joined[:made]


def _warning(made: int, target: int, least: int) -> str | None:
    if made >= target:
        return None
    return (
        f"the corpus ran out of pairs that occur at least {least} time{'s' * (least != 1)}: the vocabulary has "
        f"{BASE + made:,} tokens, not {BASE + target:,}"
    )


def _progress(run: MergeRun, replayed: int, seconds: float) -> Progress:
    rate = (run.merges - replayed) / seconds if seconds > 0 else 0.0
    left = run.target - run.merges
    return Progress(run.merges, run.target, rate, left / rate if rate > 0 else float("inf") if left else 0.0)
