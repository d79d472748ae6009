"""The evaluation of a tokenizer: per language and domain, with intervals, beside public vocabularies.

    evaluate(subject, documents, yardsticks=…)   one tokenizer, others to compare it with
    compare(subjects, documents)                 several; the first is the one looked at

Both return an `evaluation.Evaluation`: a pure function of tokenizers, documents and seed, apart from `measured`
(speed).  `files` does it for files, `audit.audit` for a vocabulary by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import Purpose, derive_seed
from tokenizer.evaluation.audit import RARE, audit_subject
from tokenizer.evaluation.bootstrap import LEVEL, REPLICATES, Estimate, estimate, resampled_sums
from tokenizer.evaluation.measure import DOCUMENTS, HEAD, PER_SUBJECT, REFERENCE, Key, Measured, measure
from tokenizer.evaluation.metrics import renyi_efficiency, shannon_efficiency
from tokenizer.evaluation.model import EVALUATION_VERSION, Evaluation, Group, Scores
from tokenizer.evaluation.parity import count_pages, parity
from tokenizer.evaluation.subjects import Subject, subject_of_vocabulary
from tokenizer.evaluation.word_pieces import (
    BYTES,
    CHARS,
    CONTINUED,
    DISTINCT,
    FIELDS,
    LETTERS,
    LOSSY,
    PIECES,
    TOKENS,
    UNSPACED_LETTERS,
    WHOLE,
    WORDS,
)
from tokenizer.vocabulary import Vocabulary
from tokenizer.words import WordCounts

# Where more letters than this belong to unspaced scripts, words are a minority's (the Latin names in a Chinese text)
# and ratios over words would describe those.  One Han letter stands for about as much as four Latin ones.
MOST_UNSPACED = 0.2


def evaluate(
    subject: Subject | Vocabulary,
    documents: Iterable[pa.RecordBatch],
    *,
    yardsticks: Sequence[Subject] = (),
    counts: WordCounts | None = None,
    parallel: Iterable[pa.RecordBatch] | None = None,
    pivot: str = "en",
    seed: int = 0,
    replicates: int = REPLICATES,
    rare: int = RARE,
) -> Evaluation:
    """Evaluate a tokenizer on held-out documents (columns text, language, domain, id; page, reference_tokens).

    counts: the training words: gives the under-trained tokens (fewer than `rare` occurrences).
    parallel: translations with a `page` each, the same pages in every language: gives parity against `pivot`.
    Raises UsageError for missing columns, no documents, or page sets that differ between languages.
    """
    first = subject_of_vocabulary("tokenizer", subject) if isinstance(subject, Vocabulary) else subject
    subjects = [first, *yardsticks]
    made = measure(subjects, documents)
    if (None, None) not in made.units:
        raise UsageError(
            "no documents to evaluate on", "give files that hold some, or evaluate with a larger --holdout"
        )
    groups = [_group(made, key, seed, replicates) for key in sorted(made.units, key=_order)]
    costs = None if parallel is None else parity(
        subjects, count_pages(subjects, parallel), pivot=pivot, seed=seed, replicates=replicates
    )  # fmt: skip
    audits = {
        one.name: audit_subject(
            one, counts if one is first else None, seen=_seen(made, s, len(one.tokens)), rare=rare, seed=seed
        )
        for s, one in enumerate(subjects)
    }
    speed = {
        one.name: round(made.text_bytes / 1e6 / seconds, 2) if seconds else None
        for one, seconds in zip(subjects, made.seconds, strict=True)
    }
    return Evaluation(
        EVALUATION_VERSION, [one.name for one in subjects], seed, replicates, LEVEL, groups, costs, audits,
        {"encode_mb_per_s": speed},
    )  # fmt: skip


def compare(subjects: Sequence[Subject], documents: Iterable[pa.RecordBatch], **options: Any) -> Evaluation:
    """Several tokenizers side by side, all against the first; options as in `evaluate`."""
    if len(subjects) < 2:
        raise UsageError("a comparison needs two tokenizers or more", "name another directory or a yardstick")
    return evaluate(subjects[0], documents, yardsticks=subjects[1:], **options)


def with_reference_counts(
    documents: Iterable[pa.RecordBatch], monolingual: Mapping[str, Subject]
) -> Iterator[pa.RecordBatch]:
    """Adds `reference_tokens`, counted by the vocabulary of each document's own language (null without one)."""
    for batch in documents:
        found = np.zeros(batch.num_rows, np.int64)
        labels = np.array([label or "" for label in batch.column("language").to_pylist()], object)
        for language, subject in monolingual.items():
            rows = np.flatnonzero(labels == language)
            if len(rows):
                texts = batch.column("text").take(pa.array(rows)).cast(pa.large_string())
                found[rows] = np.diff(subject.encoder.encode(texts)[1])
        missing = ~np.isin(labels, list(monolingual))
        yield batch.append_column("reference_tokens", pa.array(found, pa.int64(), mask=missing))


def _group(made: Measured, key: Key, seed: int, replicates: int) -> Group:
    units = made.units[key]
    totals = units.values.sum(axis=0)
    sums = None
    if len(units.values) > 1:
        draws = derive_seed(seed, Purpose.SUBSET, "tokenizer", *("*" if part is None else f"={part}" for part in key))
        sums = resampled_sums(units.values, draws, replicates)
    unspaced, letters = int(totals[HEAD + UNSPACED_LETTERS]), int(totals[HEAD + LETTERS])
    share = unspaced / (unspaced + letters) if unspaced + letters else 0.0
    scores = {
        subject.name: _scores(made, key, s, totals, sums, words=share <= MOST_UNSPACED)
        for s, subject in enumerate(made.subjects)
    }
    return Group(
        key[0], key[1], int(totals[DOCUMENTS]), len(units.values), int(totals[HEAD + BYTES]), int(totals[HEAD + CHARS]),
        int(totals[HEAD + WORDS]), share, scores,
    )  # fmt: skip


def _scores(
    made: Measured, key: Key, s: int, totals: NDArray[np.int64], sums: NDArray[np.float64] | None, *, words: bool
) -> Scores:
    """`words`: whether most letters of the group belong to words, so that a ratio over words describes it."""
    size = len(made.subjects[s].tokens)
    seen = made.frequencies[s][key]
    base = HEAD + PER_SUBJECT * s

    def ratio(over: int, under: int) -> Estimate | None:
        return estimate(float(totals[over]), float(totals[under]), sums, over, under)

    others = {
        other.name: ratio(base + TOKENS, HEAD + PER_SUBJECT * o + TOKENS)
        for o, other in enumerate(made.subjects)
        if o != s
    }
    return Scores(
        tokens=int(totals[base + TOKENS]),
        bytes_per_token=ratio(base + BYTES, base + TOKENS),
        chars_per_token=ratio(base + CHARS, base + TOKENS),
        fertility=ratio(base + PIECES, base + WORDS) if words else None,
        continued_words=ratio(base + CONTINUED, base + WORDS) if words else None,
        single_token_retention=ratio(base + WHOLE, base + DISTINCT) if words else None,
        normalized_length={name: found for name, found in others.items() if found is not None},
        regret=ratio(base + len(FIELDS), REFERENCE),
        renyi=renyi_efficiency(seen.counts, size),
        shannon=shannon_efficiency(seen.counts, size),
        used_tokens=len(seen.ids),
        used_share=len(seen.ids) / size if size else 0.0,
        lossy_documents=int(totals[base + LOSSY]),
    )


def _seen(made: Measured, s: int, size: int) -> NDArray[np.int64]:
    found = made.frequencies[s][None, None]
    counts = np.zeros(size, np.int64)
    known = found.ids < size
    counts[found.ids[known]] = found.counts[known]
    return counts


def _order(key: Key) -> tuple[bool, str, bool, str]:
    return (key[0] is not None, key[0] or "", key[1] is not None, key[1] or "")
