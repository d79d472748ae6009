"""Items → (context ids, continuation ids), and how often the ways to split disagree.

lcp       the joint text is encoded, as it would be in training; the split is the longest common prefix of the encoded
          context and of all joint encodings of the item, so all options are conditioned on the same ids and a token
          that spans the boundary is scored for each (reference, experiments §5.1).
lm_eval   the joint text is encoded and cut after as many ids as the context alone has; white space that ends the
          context is moved to the continuation first (lm_eval/api/model.py, `_encode_pair`).
separate  context and continuation are encoded each alone (OLMo in-loop evaluation).

An empty context is the end-of-document token: what a model has seen before the first word of a document.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, get_args

from curation.pipeline.errors import UsageError
from proxy_model.evaluate.items import Item
from proxy_model.evaluate.tokens import EvaluationTokenizer

Mode = Literal["lcp", "lm_eval", "separate"]
MODES: tuple[Mode, ...] = get_args(Mode)
TooLong = Literal["error", "drop_item", "left"]
TOO_LONG: tuple[TooLong, ...] = get_args(TooLong)

Ids = list[int]
Pair = tuple[Ids, Ids]
SHOWN = 5  # items named in an error


@dataclass
class Counts:
    """Of one benchmark.  `joint_not_separate`, `split_moved`: options where the modes give other ids."""

    items: int = 0
    options: int = 0
    joint_not_separate: int = 0  # encode(context + continuation) ≠ encode(context) + encode(continuation)
    split_moved: int = 0  # the longest common prefix is shorter than the encoded context
    empty_context: int = 0
    longest: int = 0  # tokens of context and continuation
    dropped: list[str] = field(default_factory=list)  # ids of items too long


@dataclass(frozen=True)
class Tokenised:
    """Pairs by item, in the order of the items that are left; `truncated[i][j]` tells a context cut on the left."""

    items: list[Item]
    pairs: list[list[Pair]]
    truncated: list[list[bool]]
    counts: dict[str, Counts]


def tokenise(
    items: Sequence[Item], tokenizer: EvaluationTokenizer, mode: Mode = "lcp", *, max_length: int | None = None,
    too_long: TooLong = "error", bos: int | None = None,
) -> Tokenised:  # fmt: skip
    """Tokenise every option of every item.

    `max_length`: tokens that a model reads at once; a pair needs one less than its tokens, the last is only predicted.
    `too_long`: raise UsageError (default) · drop the item and tell · cut contexts on the left, as lm-evaluation-harness
    does silently.  `bos`: id put before every context, for models that were trained with one.
    Raises UsageError also for a continuation without a token.
    """
    if mode not in MODES or too_long not in TOO_LONG:
        raise UsageError(f"mode {mode!r} or policy {too_long!r} unknown: {', '.join(MODES)}; {', '.join(TOO_LONG)}")
    encoded = _Encoded(items, tokenizer)
    kept, pairs, truncated = [], [], []
    counts: dict[str, Counts] = {}
    dropped: list[str] = []
    for item in items:
        count = counts.setdefault(item.benchmark, Counts())
        found = _pairs(item, encoded, tokenizer.end_of_document if bos is None else bos, mode, count)
        if bos is not None:
            found = [([bos, *(c[1:] if c[:1] == [bos] else c)], k) for c, k in found]
        count.longest = max(count.longest, *(len(c) + len(k) for c, k in found))
        cut = [False] * len(found)
        if max_length is not None and any(len(c) + len(k) - 1 > max_length for c, k in found):
            if too_long != "left" or any(len(k) > max_length for _, k in found):
                count.dropped.append(item.id)
                dropped.append(f"{item.benchmark} {item.id}")
                continue
            cut = [len(c) + len(k) - 1 > max_length for c, k in found]
            found = [(c[-(max_length + 1 - len(k)) :] if out else c, k) for (c, k), out in zip(found, cut, strict=True)]
        count.items += 1
        kept.append(item)
        pairs.append(found)
        truncated.append(cut)
    if dropped and too_long != "drop_item":
        raise UsageError(
            f"{len(dropped):,} items do not fit {max_length:,} tokens: {', '.join(dropped[:SHOWN])}"
            + (" …" if len(dropped) > SHOWN else ""),
            "drop them for every model that is compared (policy drop_item), or give a larger length",
        )
    return Tokenised(kept, pairs, truncated, counts)


class _Encoded:
    """Every text of the items, each different one encoded once, in one call."""

    def __init__(self, items: Iterable[Item], tokenizer: EvaluationTokenizer) -> None:
        texts: dict[str, int] = {}
        for item in items:
            for option in range(item.options):
                context, continuation = item.pair(option)
                body = context.rstrip()
                for text in (context, continuation, context + continuation, body):
                    texts.setdefault(text, len(texts))
        self._ids = tokenizer.encode(list(texts))
        self._places = texts

    def __getitem__(self, text: str) -> Ids:
        return self._ids[self._places[text]]


def _pairs(item: Item, encoded: _Encoded, end: int, mode: Mode, count: Counts) -> list[Pair]:
    """The pairs of one item in `mode`, and into `count` where modes disagree."""
    texts = [item.pair(option) for option in range(item.options)]
    joint = [encoded[context + continuation] for context, continuation in texts]
    before = [encoded[context] for context, _ in texts]
    common = [
        _common([b, *([j] if item.kind == "context_choice" else joint)]) for b, j in zip(before, joint, strict=True)
    ]
    count.options += len(texts)
    count.empty_context += sum(not context for context, _ in texts)
    found = []
    for (context, continuation), b, j, prefix in zip(texts, before, joint, common, strict=True):
        alone = encoded[continuation]
        count.joint_not_separate += b + alone != j
        count.split_moved += prefix < len(b)
        if mode == "separate":
            pair = (b or [end], alone)
        elif mode == "lm_eval":
            cut = len(encoded[context.rstrip()])
            pair = (encoded[context.rstrip()] or [end], j[cut:])
            if not context and pair[1][:1] == [end]:
                pair = (pair[1][:1], pair[1][1:])
        else:
            pair = (j[:prefix] or [end], j[prefix:])
        if not pair[1]:
            raise UsageError(
                f"{item.benchmark} {item.id}: a choice has no token of its own in mode {mode}",
                "use mode lcp, or a tokenizer that keeps every text",
            )
        found.append(pair)
    return found


def _common(rows: Sequence[Ids]) -> int:
    """Length of the longest common prefix."""
    length = min(map(len, rows))
    for one, other in pairwise(rows):
        length = next((i for i in range(length) if one[i] != other[i]), length)
    return length
