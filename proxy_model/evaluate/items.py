"""What is asked: one benchmark item, checked at construction, and operations on lists of them.

Multiple choice is scored by the likelihood of each completion; no letters are shown (cloze formulation: reference,
experiments §5.1).  Items that say "A B C D" measure whether a model knows the format, and small proxies do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from curation.pipeline.hashing import Purpose, canonical_json, derive_seed, fingerprint, hash64

Kind = Literal["multiple_choice", "context_choice", "cloze"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_LABEL = re.compile(r"\s*[(\[]?\s*([A-Za-z])\s*[)\]]?[.:]?\s*")
_PAIRS = ({"T", "F"}, {"Y", "N"})


class ItemError(ValueError):
    """A record that is no usable item; readers place it in its file and line."""


@dataclass(frozen=True, slots=True)
class Item:
    """One item.

    multiple_choice: one context, several choices.  context_choice (WinoGrande): several contexts, one continuation,
    which is `choices[0]`; no length enters its scores.  cloze (LAMBADA): one context, one answer.
    `joining`: what stands between context and choice; its bytes are in no length.  `cluster`: items of one cluster
    share a passage and are not independent.  Raises ItemError.
    """

    benchmark: str
    id: str
    kind: Kind
    contexts: tuple[str, ...]
    choices: tuple[str, ...]
    gold: int
    joining: str = " "
    cluster: str = ""
    group: str = ""  # MMLU's subject: what few-shot examples and clusters may go by
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ItemError(f"unknown kind {self.kind!r}: one of {', '.join(KINDS)}")
        if not self.benchmark or not self.id:
            raise ItemError("an item needs a benchmark and an id")
        for choice in self.choices:
            if not choice.strip():
                raise ItemError("an empty choice")
        several = {"multiple_choice": self.choices, "context_choice": self.contexts, "cloze": ("", "")}[self.kind]
        if len(several) < 2:
            raise ItemError(f"{len(several)} choice: a {self.kind} item needs two or more")
        if self.kind == "multiple_choice" and len(self.contexts) != 1:
            raise ItemError("a multiple_choice item has one context")
        if self.kind != "multiple_choice" and len(self.choices) != 1:
            raise ItemError(f"a {self.kind} item has one continuation")
        if not 0 <= self.gold < self.options:
            raise ItemError(f"gold is {self.gold}, not one of {self.options} choices")
        if self.kind != "cloze" and several.count(several[self.gold]) > 1:
            raise ItemError("the right choice stands there twice")
        if not 0 < self.weight < float("inf"):
            raise ItemError(f"weight is {self.weight}, not positive")

    @property
    def options(self) -> int:
        """How many log-likelihoods the item needs."""
        return max(len(self.choices), len(self.contexts))

    @property
    def chance(self) -> float:
        """Accuracy of a guess: 1 / options, and 0 for cloze."""
        return 0.0 if self.kind == "cloze" else 1.0 / self.options

    def pair(self, option: int) -> tuple[str, str]:
        """(context, joining + continuation) of one option."""
        context = self.contexts[option if self.kind == "context_choice" else 0]
        return context, self.joining + self.choice(option)

    def choice(self, option: int) -> str:
        """The continuation of one option, without the joining space."""
        return self.choices[option if self.kind == "multiple_choice" else 0]


def refuse_letters(item: Item) -> None:
    """Raises ItemError where the choices only name options: A B C D, (a) (b), T/F, Y/N.

    Single letters that are answers (x and z of an algebra question) pass: labels begin at A and leave none out.
    """
    if item.kind != "multiple_choice":
        return
    found = [_LABEL.fullmatch(choice) for choice in item.choices]
    letters = {match[1].upper() for match in found if match}
    if None in found or len(letters) < len(found):
        return
    if letters in _PAIRS or letters == {chr(ord("A") + i) for i in range(len(letters))}:
        raise ItemError("choices are only letters: cloze scoring needs their texts")


def items_hash(items: Iterable[Item]) -> str:
    """128-bit identity of a list of items in any order; every field that can change a score is in it."""
    return fingerprint(sorted(fingerprint(_fields(item)) for item in items))


def _fields(item: Item) -> list[object]:
    return [
        item.benchmark, item.id, item.kind, list(item.contexts), list(item.choices), item.gold, item.joining,
        item.cluster, item.weight,
    ]  # fmt: skip


def by_benchmark(items: Iterable[Item]) -> dict[str, list[Item]]:
    """Items of each benchmark in their order, benchmarks sorted by name."""
    found: dict[str, list[Item]] = {}
    for item in items:
        found.setdefault(item.benchmark, []).append(item)
    return dict(sorted(found.items()))


def subset(items: Sequence[Item], n: int, seed: int) -> list[Item]:
    """Of each benchmark the n items with the smallest hash, in their order: the same for every model and file order.

    Nested: the subset of n is part of the subset of n + 1.
    """
    chosen: set[tuple[str, str]] = set()
    for benchmark, some in by_benchmark(items).items():
        key = derive_seed(seed, Purpose.SUBSET, "items", benchmark)
        ranked = sorted(some, key=lambda item, key=key: (hash64(item.id, key), item.id))  # type: ignore[misc]
        chosen.update((benchmark, item.id) for item in ranked[:n])
    return [item for item in items if (item.benchmark, item.id) in chosen]


def with_clusters(items: Iterable[Item], fields: Mapping[str, str]) -> list[Item]:
    """`{"mmlu": "group"}` makes an MMLU subject one cluster; `id` undoes clusters.  Raises ItemError."""
    made = []
    for item in items:
        field = fields.get(item.benchmark)
        if field not in (None, "group", "id"):
            raise ItemError(f"clusters of {item.benchmark} by {field!r}: only by group or id")
        made.append(item if field is None else replace(item, cluster=getattr(item, field) or item.id))
    return made


def with_examples(items: Sequence[Item], pool: Sequence[Item], shots: int, seed: int) -> list[Item]:
    """Items with `shots` solved examples before each context, two line breaks between them.

    Examples come from the pool's items of the same benchmark and group, in hash order: the same ones for every item
    of a group, except that an item is never its own example.  Raises ItemError where the pool has too few.
    """
    ranked: dict[tuple[str, str], list[tuple[Item, str]]] = {}
    for one in pool:
        key = derive_seed(seed, Purpose.SUBSET, "examples", one.benchmark)
        context, continuation = one.pair(one.gold)
        ranked.setdefault((one.benchmark, one.group), []).append((one, context + continuation))
        ranked[one.benchmark, one.group].sort(key=lambda two, key=key: (hash64(two[0].id, key), two[0].id))  # type: ignore[misc]
    made = []
    for item in items:
        found = ranked.get((item.benchmark, item.group), [])
        texts = [text for one, text in found if one.id != item.id and one.contexts != item.contexts][:shots]
        if len(texts) < shots:
            where = f"{item.benchmark} {item.group}".strip()
            raise ItemError(f"{where}: {len(texts)} examples in the pool, {shots} asked for")
        prefix = "".join(f"{text}\n\n" for text in texts)
        made.append(replace(item, contexts=tuple(prefix + context for context in item.contexts)))
    return made


def passage_cluster(context: str) -> str:
    """A name for the passage before the last "Question:" line; empty where there is none."""
    before, found, _ = context.rpartition("\nQuestion:")
    return f"passage-{hash64(canonical_json(before.strip())):016x}" if found and before.strip() else ""
