"""Tokens that no text can give, and tokens that hold parts of characters.

Byte-level BPE has the property that a token which occurs in any encoding is also the encoding of its own bytes as
one word.  So merges alone prove a token dead.  The split pattern can do so too: a token whose text the pattern
always cuts.  Its own text may be cut where a longer text would not be, so it is tried between many neighbours;
one occurrence proves it alive, none is reported as unreachable.  Source: reference §6, static audit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tokenizer.evaluation.subjects import Subject, byte_text, merge_model

# Letters of either case, a digit, punctuation, white space, a mark, an unspaced letter, a symbol, two of them.
NEIGHBOURS = ("", "a", "A", " ", "1", *"().,;:!'\"/*-=<>{}#_", "\n", "\r\n", "\t", "\u0301", "的", "☀", "!!")
# What may follow an apostrophe in the patterns' contractions ("you'" is a part of "you'LL"), in either case.
CONTRACTIONS = tuple(ending for one in ("s", "t", "d", "m", "re", "ve", "ll") for ending in (one, one.upper()))
_TEXTS = 50_000


@dataclass(frozen=True)
class Reachability:
    """Ids: `by_merges` the merges never produce, `by_pattern` the pattern never yields; `unchecked` could not be
    tried (parts of characters, where only ids and no merges are known)."""

    by_merges: list[int]
    by_pattern: list[int]
    unchecked: int


def partial_characters(tokens: Sequence[bytes]) -> list[int]:
    """Ids of two bytes or more that are not valid UTF-8: they begin or end inside a character."""
    return [number for number, token in enumerate(tokens) if len(token) > 1 and _text(token) is None]


def reachability(subject: Subject, occurs: NDArray[np.int64] | None = None) -> Reachability:
    """Test every token of a subject.  `occurs[id]` > 0 (training or held-out counts) is evidence enough."""
    alive = np.zeros(len(subject.tokens), np.bool_)
    if occurs is not None:
        alive[: len(occurs)] |= occurs[: len(alive)] > 0
    by_merges: list[int] = []
    if subject.vocabulary is not None:
        rest = np.flatnonzero(~alive).tolist()
        by_merges = _not_by_merges(subject, rest)
        alive[by_merges] = True  # decided
    texts = {
        i: text for i in np.flatnonzero(~alive).tolist() if subject.tokens[i] and (text := _text(subject.tokens[i]))
    }
    waiting = _not_found(subject, texts, ("",), "")
    for before in NEIGHBOURS:
        if waiting:
            waiting = _not_found(subject, {i: texts[i] for i in waiting}, (*NEIGHBOURS, *CONTRACTIONS), before)
    unchecked = 0
    if subject.vocabulary is None:
        unchecked = sum(1 for i in np.flatnonzero(~alive).tolist() if len(subject.tokens[i]) > 1 and i not in texts)
    return Reachability(by_merges, waiting, unchecked)


def _not_by_merges(subject: Subject, ids: Iterable[int]) -> list[int]:
    if subject.vocabulary is None:
        return []
    model = merge_model(subject.vocabulary)
    numbers = list(ids)
    dead = []
    for start in range(0, len(numbers), _TEXTS):
        part = numbers[start : start + _TEXTS]
        found = model.encode_batch_fast([byte_text(subject.tokens[i]) for i in part], add_special_tokens=False)
        dead += [i for i, encoding in zip(part, found, strict=True) if encoding.ids != [i]]
    return dead


def _not_found(subject: Subject, texts: dict[int, str], after: Sequence[str], before: str) -> list[int]:
    """The ids that occur in none of `before` + their text + each of `after`."""
    left = []
    items = list(texts.items())
    step = max(1, _TEXTS // len(after))
    for start in range(0, len(items), step):
        part = items[start : start + step]
        column = pa.array([before + text + end for _, text in part for end in after], pa.large_string())
        found, offsets = subject.encoder.encode(column)
        for row, (number, _) in enumerate(part):
            if number not in found[offsets[row * len(after)] : offsets[(row + 1) * len(after)]]:
                left.append(number)
    return left


def _text(token: bytes) -> str | None:
    try:
        return token.decode()
    except UnicodeDecodeError:
        return None
