"""Benchmark items read from JSONL, one a line; what cannot be read is told with its line, never skipped silently."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from curation.pipeline.errors import TaskFailed
from curation.sources.compression import Bounds, Damage, blocks
from curation.sources.inputs import InputFile, open_stored
from curation.sources.jsonl import split_lines

LINE_BYTES = 16 * 2**20
RATIO = 1000  # decompressed against stored bytes beyond LINE_BYTES: more is a compression bomb
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
FIELDS, FIELD_CHARACTERS = 20, 200  # of a record that is no item, that are told

# A prompt's frame around the question, which a document that quotes the question need not have.
LABELS = "question|query|problem|goal|q"
ANSWER_LABELS = "answer|solution|response|a"
_FRAME_BEFORE = re.compile(rf"(?:{LABELS})[ ]?:[ ]?", re.IGNORECASE)
_FRAME_AFTER = re.compile(rf"(?:^|[ ])(?:{ANSWER_LABELS})[ ]?:$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Item:
    """One benchmark item; every text on one line, the question without its frame."""

    benchmark: str
    id: str
    file: str
    line: int
    question: str
    choices: tuple[str, ...]
    answers: tuple[str, ...]  # the right one, or all ways to say it


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no item."""

    file: str
    line: int
    reason: str


def read_items(file: InputFile, fields: Mapping[str, str]) -> Iterator[Item | BadLine]:
    """The items of one file in order; blank lines are left out.

    Raises OSError for an unreadable file, TaskFailed for one whose compression is damaged: a part of a
    benchmark would go unnoticed.
    """
    with open_stored(file) as stored:
        lines = split_lines(blocks(stored, file.name, Bounds(LINE_BYTES, RATIO)), LINE_BYTES)
        for number, line in enumerate(lines, start=1):
            if isinstance(line, Damage):
                raise TaskFailed(
                    f"{file.path}: damaged at byte {line.offset:,}: {line.detail}",
                    "replace this file of benchmark items",
                )
            data = line.data.removeprefix(BYTE_ORDER_MARK) if number == 1 else line.data
            if line.length > LINE_BYTES:
                yield BadLine(file.name, number, f"{line.length:,} bytes, more than {LINE_BYTES:,}")
            elif data.strip():
                yield _parsed(data, file, number, fields)


def _parsed(data: bytes, file: InputFile, number: int, fields: Mapping[str, str]) -> Item | BadLine:
    try:
        record = orjson.loads(data)
        if not isinstance(record, dict):
            raise ValueError("not a JSON object")
        question = _text(record, fields["question"])
        choices = _choices(record, fields["choices"])
        answers = _answers(record, choices, fields)
        if not question and not answers:
            there = ", ".join(list(record)[:FIELDS])[:FIELD_CHARACTERS]
            raise ValueError(f"neither {fields['question']!r} nor an answer; its fields are: {there}")
        benchmark = _text(record, fields["benchmark"]) or file.name.partition(".")[0]
        id = _text(record, fields["id"]) or f"line {number}"
    except orjson.JSONDecodeError as error:
        return BadLine(file.name, number, f"no JSON: {error.msg}, at character {error.colno}")
    except ValueError as error:
        return BadLine(file.name, number, str(error))
    return Item(benchmark, id, file.name, number, without_frame(question), choices, answers)


def without_frame(question: str) -> str:
    """The question without `Question:` before it and `Answer:` after it."""
    before = _FRAME_BEFORE.match(question)
    if before:
        question = question[before.end() :]
    after = _FRAME_AFTER.search(question[-12:])
    if after:
        question = question[: len(question) - len(question[-12:]) + after.start()]
    return question.strip()


def one_line(text: str) -> str:
    """White space is the file's, not the item's: every run of it is one space."""
    return " ".join(text.split())


def _text(record: dict[str, Any], field: str) -> str:
    value = record.get(field)
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(f"{field!r} is no text")
    return one_line(value)


def _choices(record: dict[str, Any], field: str) -> tuple[str, ...]:
    value = record.get(field)
    if value is None:
        return ()
    if isinstance(value, dict) and isinstance(value.get("text"), list):  # ARC, OpenBookQA as published
        value = value["text"]
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError(f"{field!r} is no list of texts")
    return tuple(one_line(one) for one in value)


def _answers(record: dict[str, Any], choices: tuple[str, ...], fields: Mapping[str, str]) -> tuple[str, ...]:
    gold = record.get(fields["gold"])
    if gold is not None and choices:
        if isinstance(gold, bool) or not isinstance(gold, int) or not 0 <= gold < len(choices):
            raise ValueError(f"{fields['gold']!r} is {str(gold)[:40]!r}, not a place in {fields['choices']!r}")
        return (choices[gold],) if choices[gold] else ()
    value = record.get(fields["answer"])
    some = value if isinstance(value, list) else [value]
    if not all(one is None or isinstance(one, str) for one in some):
        raise ValueError(f"{fields['answer']!r} is no text")
    return tuple(text for one in some if one and (text := one_line(one)))
