"""Long-context retrieval with degrees: needles in user text, asked for by likelihood among options.

A plain needle saturates: it is the only sentence of its kind, so copying whatever stands out answers every question,
and models that differ in everything else score 100 % up to their context length.  Here the options decide the degree:

single       one needle, wrong values stand nowhere: the saturating task, kept as a control
multi_key    `needles` keys with one value each, the wrong values belong to the other keys: key and value must be bound
multi_value  one key with three values among the needles of other keys, asked for in the order of the text; each wrong
             list has one value of another key: everything about the key must be gathered

Options of an item have equal length and shape, so no normalisation matters.  Items are plain multiple choice and go
through the same scorer; lengths are UTF-8 bytes, so that models with different tokenizers read the same items.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import Purpose, derive_seed
from proxy_model.evaluate.items import Item

Task = Literal["single", "multi_key", "multi_value"]
TASKS: tuple[Task, ...] = get_args(Task)
OPTIONS = 4
VALUES = 3  # of the asked key in multi_value
PIECE_CHARACTERS = 250  # longer sentences, and text without sentence ends, are cut
_END = re.compile(r"(?<=[.!?])\s+")

PLACES = (
    "Accra", "Ankara", "Athens", "Bergen", "Bilbao", "Bogota", "Bremen", "Cairo", "Cork", "Dakar", "Delhi", "Dublin",
    "Durban", "Genoa", "Ghent", "Hanoi", "Havana", "Kyoto", "Lagos", "Leeds", "Lima", "Lisbon", "London", "Lyon",
    "Madrid", "Manila", "Milan", "Minsk", "Mumbai", "Munich", "Nairobi", "Naples", "Osaka", "Oslo", "Paris", "Porto",
    "Prague", "Quito", "Riga", "Rome", "Seoul", "Sofia", "Sydney", "Tallinn", "Tokyo", "Tunis", "Turin", "Vienna",
)  # fmt: skip


@dataclass(frozen=True)
class Grid:
    """Which items are made: `per_cell` for each task, length and depth (0: the asked needle first, 1: last)."""

    lengths: tuple[int, ...] = (2_048, 8_192, 32_768)  # UTF-8 bytes of haystack and needles
    depths: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    tasks: tuple[Task, ...] = TASKS
    needles: int = 8  # sentences of the needles' kind in multi_key and multi_value
    per_cell: int = 10


def retrieval_items(haystack: Iterable[str], grid: Grid, seed: int) -> list[Item]:
    """Items of benchmarks `retrieval_<task>_<length>`, ids `depth<percent>-<n>`; the same for equal arguments.

    Raises UsageError for a haystack shorter than the greatest length, for lengths too short for the needles and for
    an impossible grid.
    """
    _check(grid)
    hay = _sentences(haystack, max(grid.lengths))
    return [
        _item(task, length, depth, number, hay, grid, seed)
        for task in grid.tasks
        for length in grid.lengths
        for depth in grid.depths
        for number in range(grid.per_cell)
    ]


def _item(task: Task, length: int, depth: float, number: int, hay: Sequence[str], grid: Grid, seed: int) -> Item:
    identity = f"depth{round(depth * 100)}-{number}"
    random = np.random.default_rng(derive_seed(seed, Purpose.SUBSET, "retrieval", task, length, identity))
    places = [str(one) for one in random.permutation(PLACES)[: grid.needles]]
    values = [str(one) for one in random.choice(90_000, 64, replace=False) + 10_000]
    asked = places[0]
    if task == "multi_value":
        own, others = values[:VALUES], values[VALUES:]
        needles = [_needle(asked, value) for value in own]
        rest = [_needle(place, value) for place, value in zip(places[1:], others, strict=False)]
        rest = rest[: grid.needles - VALUES]
        wrong = [[*own[:i], others[i], *own[i + 1 :]] for i in range(OPTIONS - 1)]
        options = [_listed(one) for one in [own, *wrong]]
        question = f"In the order of the text, the access numbers of {asked} are"
    else:
        needles = [_needle(asked, values[0])]
        rest = [_needle(p, v) for p, v in zip(places[1:], values[1:], strict=False)] if task == "multi_key" else []
        options = values[:OPTIONS]
        question = f"The access number of {asked} is"
    context = _buried(needles, rest, depth, length, hay, random)
    order = random.permutation(OPTIONS)
    return Item(
        benchmark=f"retrieval_{task}_{length}",
        id=identity,
        kind="multiple_choice",
        contexts=(f"{context}\n\n{question}",),
        choices=tuple(options[i] for i in order),
        gold=int(np.flatnonzero(order == 0)[0]),
        cluster=f"{task}-{length}-{identity}",
        group=f"depth{round(depth * 100)}",
    )


def _buried(
    needles: list[str], rest: list[str], depth: float, length: int, hay: Sequence[str], random: np.random.Generator
) -> str:
    """Haystack of `length` bytes with the asked needles around `depth` and the others anywhere."""
    room = length - sum(len(one.encode()) + 1 for one in [*needles, *rest])
    start = int(random.integers(len(hay)))
    body: list[str] = []
    used = 0
    while True:
        sentence = hay[(start + len(body)) % len(hay)]
        used += len(sentence.encode()) + 1
        if used > room:
            break
        body.append(sentence)
    ends = np.cumsum([0, *(len(one.encode()) + 1 for one in body)])
    spots = [(float(place), one) for place, one in zip(random.random(len(rest)), rest, strict=True)]
    spread = np.linspace(-0.5, 0.5, len(needles)) * 0.5 if len(needles) > 1 else np.zeros(1)
    spots += [(min(1.0, max(0.0, depth + shift)), one) for shift, one in zip(spread, needles, strict=True)]
    after: dict[int, list[str]] = {}
    for place, one in spots:  # the asked ones come last: at depth 1 nothing follows them, at 0 nothing stands before
        after.setdefault(int(np.abs(ends - place * ends[-1]).argmin()), []).append(one)
    parts: list[str] = []
    for i in range(len(body) + 1):
        found = after.get(i, [])
        parts += sorted(found, key=lambda one: one in needles) if i else sorted(found, key=lambda one: one in rest)
        parts += body[i : i + 1]
    return " ".join(parts)


def _needle(place: str, value: str) -> str:
    return f"The access number of {place} is {value}."


def _listed(values: Sequence[str]) -> str:
    return ", ".join(values[:-1]) + f" and {values[-1]}"


def _sentences(texts: Iterable[str], needed: int) -> list[str]:
    """Sentences of the texts in order until there are twice `needed` bytes."""
    found: list[str] = []
    have = 0
    for text in texts:
        for sentence in _END.split(" ".join(text.split())):
            pieces = [sentence[i : i + PIECE_CHARACTERS] for i in range(0, len(sentence), PIECE_CHARACTERS)]
            found += pieces
            have += sum(len(piece.encode()) + 1 for piece in pieces)
        if have >= 2 * needed:
            return found
    if have < needed:
        raise UsageError(f"the haystack has {have:,} bytes of text, {needed:,} are asked for", "give more text")
    return found


def _check(grid: Grid) -> None:
    shortest = 64 * grid.needles + 4 * PIECE_CHARACTERS
    fewest = VALUES + OPTIONS - 1  # every wrong value of multi_value stands in the text
    if not fewest <= grid.needles <= len(PLACES):
        raise UsageError(f"needles is {grid.needles}; it must be from {fewest} to {len(PLACES)}")
    if not grid.lengths or min(grid.lengths) < shortest:
        raise UsageError(f"a length of {min(grid.lengths, default=0):,} bytes does not hold the needles and some text",
                         f"use {shortest:,} or more")  # fmt: skip
    if grid.per_cell < 1 or any(not 0 <= depth <= 1 for depth in grid.depths) or set(grid.tasks) - set(TASKS):
        raise UsageError(f"depths lie between 0 and 1, tasks are {', '.join(TASKS)}")
