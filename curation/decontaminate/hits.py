"""From the runs of one document to hits: which item, how much of it, where, and what kind of quotation it is."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import accumulate, groupby
from operator import attrgetter, itemgetter
from typing import Any

from curation.decontaminate.index import NONE, BenchmarkIndex
from curation.decontaminate.surroundings import follow, label_before, question_before

GAP = 64  # bytes of the document between two runs of one text that are one span: a changed word or two
NEAR = 200  # bytes between a question and its answer, e.g. `The right answer is`
WHOLE = 0.8  # below this share of a question it is quoted in part
ALL = 0.95  # an item of which this much was found explains what lies inside its span: the frame and passage it shares
ITEMS = 16  # of one text; an answer of more items says nothing of any

Run = dict[str, int]


class Kind(StrEnum):
    """What of an item stands in the document."""

    QUESTION = "question"
    CHOICES = "question_and_choices"
    ANSWER = "question_and_answer"
    PARTIAL = "partial"
    ANSWER_ONLY = "answer_only"
    SHORT = "short_question"


REPORTED = frozenset({Kind.ANSWER_ONLY, Kind.SHORT})  # whatever the thresholds


@dataclass(frozen=True, slots=True)
class Hit:
    """One stretch of a document that is one item's.

    containment: share of the question's letters found in the document (of the answer's for `answer_only`).
    start, stop: UTF-8 bytes of the document.
    """

    item: int
    kind: Kind
    containment: float
    start: int
    stop: int


def hits(data: bytes, runs: list[Run], index: BenchmarkIndex) -> list[Hit]:
    """Every hit of one document, given as UTF-8, in order of place, then of item."""
    found: list[Hit] = []
    answered: list[Hit] = []
    for number, group in groupby(sorted(runs, key=itemgetter("text", "start")), key=itemgetter("text")):
        some = list(group)
        containment = _covered(some) / index.sizes[number]
        spans = list(_spans(some))
        asked = index.asked_by.get(number, [])[:ITEMS]
        for item in asked:
            found += [_question(data, index, item, containment, span) for span in spans]
        answers = index.answers.get(number, [])
        if len(answers) <= ITEMS:
            answered += [_answer(data, index, item, containment, span) for item in answers for span in spans]
    found += [hit for hit in answered if hit.kind is not Kind.ANSWER_ONLY]
    found = list(_with_answers(found, [hit for hit in answered if hit.kind is Kind.ANSWER_ONLY]))
    return sorted(set(_own(found)), key=lambda hit: (hit.start, hit.stop, hit.item))


def _covered(runs: list[Run]) -> int:
    """Bytes of the item's letters in any of the runs."""
    covered = end = 0
    for start, stop in sorted((run["from"], run["from"] + run["length"]) for run in runs):
        covered += max(0, stop - max(start, end))
        end = max(end, stop)
    return covered


def _spans(runs: list[Run]) -> Iterable[Run]:
    """Runs of one text, in order of place, with those beside each other joined."""
    span: Run | None = None
    for run in runs:
        last = run["from"] + run["length"]
        if span is not None and run["start"] <= span["stop"] + GAP and run["from"] > span["from"]:
            span = {**span, "stop": max(span["stop"], run["stop"]), "last": last}
            continue
        if span is not None:
            yield span
        span = {**run, "last": last}
    if span is not None:
        yield span


def _question(data: bytes, index: BenchmarkIndex, item: int, containment: float, span: Run) -> Hit:
    row = index.items[item]
    kind = Kind.QUESTION if containment >= WHOLE else Kind.PARTIAL
    start, stop = span["start"], span["stop"]
    if span["from"] == 0:
        start = label_before(data, start)
    if span["last"] == index.sizes[span["text"]]:
        parts = list(dict.fromkeys([*row["choices"], *row["answers"]]))
        stop, seen = follow(data, stop, parts)
        if kind is Kind.QUESTION and seen:
            kind = Kind.CHOICES if len(seen) > 1 else Kind.ANSWER
    if kind is Kind.QUESTION and index.short[span["text"]]:
        kind = Kind.SHORT
    return Hit(item, kind, containment, start, stop)


def _answer(data: bytes, index: BenchmarkIndex, item: int, containment: float, span: Run) -> Hit:
    row = index.items[item]
    stop = span["stop"]
    if span["last"] == index.sizes[span["text"]]:
        stop, _ = follow(data, stop, [])
    if row["question_text"] == NONE and row["question"] and span["from"] == 0:  # a question too short to find alone
        start = question_before(data, span["start"], row["question"])
        if start is not None:
            return Hit(item, Kind.ANSWER, 1.0, label_before(data, start), stop)
    return Hit(item, Kind.ANSWER_ONLY, containment, span["start"], stop)


def _own(found: list[Hit]) -> list[Hit]:
    """Without the hits that lie inside a question that is there as a whole: they are its text."""
    strong = sorted((hit.start, hit.stop) for hit in found if _is_all(hit))
    furthest = list(accumulate((stop for _, stop in strong), max))
    kept = []
    for hit in found:
        before = bisect_right(strong, hit.start, key=itemgetter(0))
        if _is_all(hit) or not before or furthest[before - 1] < hit.stop:
            kept.append(hit)
    return kept


def _is_all(hit: Hit) -> bool:
    return hit.containment >= ALL and hit.kind not in REPORTED


def _with_answers(questions: list[Hit], answers: list[Hit]) -> Iterable[Hit]:
    """Questions with the answers near behind them; an answer whose question is in the document is no hit of its own."""
    by_item: dict[int, list[Hit]] = {}
    for hit in sorted(answers, key=attrgetter("start")):
        by_item.setdefault(hit.item, []).append(hit)
    for hit in questions:
        some = by_item.get(hit.item, [])
        first, last = (bisect_left(some, at, key=attrgetter("start")) for at in (hit.start, hit.stop + NEAR + 1))
        near = [a for a in some[first:last] if a.stop > hit.stop]
        if near and hit.kind is not Kind.PARTIAL:
            kind = Kind.CHOICES if hit.kind is Kind.CHOICES else Kind.ANSWER  # also of a short question
            hit = replace(hit, stop=max(a.stop for a in near), kind=kind)
        yield hit
    asked = {hit.item for hit in questions}
    yield from (hit for hit in answers if hit.item not in asked)


def item_text(row: dict[str, Any], kind: Kind) -> str:
    """What of an item to show beside a hit of this kind."""
    if kind is Kind.ANSWER_ONLY:
        return "\n".join(row["answers"])
    return "\n".join([row["question"], *(row["choices"] if kind is Kind.CHOICES else row["answers"])])
