"""A vocabulary by itself: dead rows, under-trained tokens, parts of characters, digits, indentation, round trip.

`audit(vocabulary, counts)` needs no documents; `evaluate` runs the same for every tokenizer it compares.
Source: reference §6, the metric set.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tokenizer.evaluation.long_tokens import ScriptTokens, longest_by_script
from tokenizer.evaluation.metrics import embedding_share
from tokenizer.evaluation.occurrences import token_occurrences
from tokenizer.evaluation.probes import (
    Indentation,
    Probe,
    RoundTrip,
    digit_policy,
    digit_tokens,
    digits,
    indentation,
    round_trip,
)
from tokenizer.evaluation.reachability import partial_characters, reachability
from tokenizer.evaluation.subjects import Subject, subject_of_vocabulary
from tokenizer.vocabulary import Vocabulary
from tokenizer.words import WordCounts

RARE = 100  # a token seen less often is hardly trained: of the order of the optimiser's steps that move its row
EXAMPLES = 40
# (name, width, layers): usual shapes from a proxy model to a large one
MODELS = (("0.1 B", 768, 12), ("1 B", 2_048, 18), ("7 B", 4_096, 32), ("70 B", 8_192, 80))


@dataclass(frozen=True)
class Token:
    """A token to show: bytes that are no characters are written \\xNN."""

    id: int
    text: str


@dataclass(frozen=True)
class Unreachable:
    """Tokens that no text gives: rows of the embedding that are never trained."""

    count: int
    by_merges: int
    by_pattern: int
    unchecked: int
    examples: list[Token]


@dataclass(frozen=True)
class UnderTrained:
    """Tokens with fewer than `threshold` occurrences in the training counts after full encoding."""

    threshold: int
    count: int
    never: int
    examples: list[Token]


@dataclass(frozen=True)
class EmbeddingShare:
    """Parameters in input and output embeddings, as a share of a transformer of this shape."""

    model: str
    width: int
    layers: int
    untied: float
    tied: float


@dataclass(frozen=True)
class Audit:
    name: str
    hash: str | None
    vocab_size: int
    rows: int
    specials: int
    mean_token_bytes: float
    longest_token_bytes: int
    partial_characters: int
    unreachable: Unreachable
    under_trained: UnderTrained | None  # None without training counts
    round_trip: RoundTrip
    digit_policy: str
    digit_tokens: dict[int, int]
    digits: list[Probe]
    indentation: list[Indentation]
    embedding: list[EmbeddingShare]
    scripts: list[ScriptTokens]


def audit(vocabulary: Vocabulary, counts: WordCounts | None = None, *, name: str = "tokenizer", seed: int = 0) -> Audit:
    """Everything that can be said of a vocabulary without documents; `counts` adds the under-trained tokens."""
    return audit_subject(subject_of_vocabulary(name, vocabulary), counts, seed=seed)


def audit_subject(
    subject: Subject,
    counts: WordCounts | None = None,
    *,
    seen: NDArray[np.int64] | None = None,
    rare: int = RARE,
    seed: int = 0,
) -> Audit:
    """The audit of any subject.  `seen[id]`: occurrences in documents, used where there are no training counts."""
    trained = token_occurrences(subject.vocabulary, counts) if subject.vocabulary and counts is not None else None
    occurs = trained if trained is not None else seen
    reached = reachability(subject, occurs)
    dead = sorted([*reached.by_merges, *reached.by_pattern])
    lengths = [len(token) for token in subject.tokens if token]
    return Audit(
        name=subject.name,
        hash=subject.hash,
        vocab_size=len(subject.tokens),
        rows=subject.rows,
        specials=len(subject.specials),
        mean_token_bytes=float(np.mean(lengths)) if lengths else 0.0,
        longest_token_bytes=max(lengths, default=0),
        partial_characters=len(partial_characters(subject.tokens)),
        unreachable=Unreachable(
            len(dead), len(reached.by_merges), len(reached.by_pattern), reached.unchecked, _shown(subject, dead)
        ),
        under_trained=None if trained is None else _under_trained(subject, trained, rare),
        round_trip=round_trip(subject, seed),
        digit_policy=digit_policy(subject),
        digit_tokens=digit_tokens(subject),
        digits=digits(subject),
        indentation=indentation(subject),
        embedding=[
            EmbeddingShare(
                model, width, layers, embedding_share(subject.rows, width, layers),
                embedding_share(subject.rows, width, layers, tied=True),
            )
            for model, width, layers in MODELS
        ],
        scripts=longest_by_script(subject.tokens, occurs),
    )  # fmt: skip


def _under_trained(subject: Subject, trained: NDArray[np.int64], rare: int) -> UnderTrained:
    """Single bytes are left out: they stand for arbitrary bytes, whether or not the training text had them."""
    joined = np.array([len(token) > 1 for token in subject.tokens])
    few = np.flatnonzero((trained < rare) & joined)
    order = few[np.argsort(trained[few], kind="stable")].tolist()
    never = int(np.count_nonzero((trained == 0) & joined))
    return UnderTrained(rare, len(few), never, _shown(subject, order))


def _shown(subject: Subject, ids: list[int]) -> list[Token]:
    return [Token(i, subject.tokens[i].decode("utf-8", "backslashreplace")) for i in ids[:EXAMPLES]]
