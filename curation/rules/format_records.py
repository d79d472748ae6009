"""Dialogue and question-answer records as they are read from a record's JSON fields, whatever their layout.

A path is dotted, with indexes into lists: `answers.text.0`; several are tried in order.  `@text` is
the document's own text.  Records are untrusted: a field of another type counts as missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from curation.pipeline.config import Frozen

TEXT_PATH = "@text"
Paths = list[str]
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Structure:
    """What a template is filled with: the document's fields, and those of each item of its list."""

    kind: str
    fields: dict[str, str]
    items: list[dict[str, str]]


class QaFields(Frozen):
    """A question and its answer, or a list of them about one context."""

    context: Paths = Field(["context", "passage"], description="text that the questions are about; optional")
    pairs: Paths = Field(["qas", "qa", "questions"], description="list of records with a question and an answer each")
    question: Paths = ["question", "query", "prompt", "instruction"]
    answer: Paths = ["answer", "answers.text.0", "answers.0.text", "answers.0", "response", "output", "completion"]


class MultipleChoiceFields(Frozen):
    """A question, its choices and the right one."""

    context: Paths = ["context", "passage"]
    question: Paths = ["question.stem", "question", "query", "stem"]
    choices: Paths = Field(["choices.text", "choices", "options", "question.choices"], description="texts, in order")
    labels: Paths = Field(["choices.label"], description="labels of the choices; default 0, 1, … and A, B, …")
    answer: Paths = Field(
        ["gold", "answerKey", "answer", "label"], description="index from 0, label, letter or text of the right choice"
    )


class DialogueFields(Frozen):
    """Turns of a conversation."""

    context: Paths = Field(["context", "title"], description="stands before the first turn; optional")
    turns: Paths = ["messages", "conversations", "conversation", "turns", "utterances", "dialogue", "dialog"]
    speaker: Paths = ["speaker", "role", "from", "author"]
    text: Paths = ["content", "text", "value", "utterance"]


def find(record: Any, paths: Paths, text: str | None = None) -> Any:
    """The first value that is there, not null and not an empty text or list; None otherwise."""
    for path in paths:
        value = text if path == TEXT_PATH else _follow(record, path)
        if value is not None and value != "" and value != []:
            return value
    return None


def _follow(value: Any, path: str) -> Any:
    for key in path.split("."):
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isdecimal() and len(key) < 10 and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def as_text(value: Any) -> str | None:
    """A text or a number as text without white space at its ends; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value).strip() or None


def read_qa(record: Record, fields: QaFields, text: str | None) -> Structure | None:
    """One pair, or the complete pairs of a list; None where there is none."""
    listed = find(record, fields.pairs)
    items = []
    for number, one in enumerate(listed if isinstance(listed, list) else [record], 1):
        question, answer = as_text(find(one, fields.question, text)), as_text(find(one, fields.answer, text))
        if question and answer:
            items.append({"number": str(number), "question": question, "answer": answer})
    return Structure("qa", _optional(context=find(record, fields.context, text)), items) if items else None


def read_multiple_choice(record: Record, fields: MultipleChoiceFields, text: str | None) -> Structure | None:
    """None unless there are a question, 2 to 26 choices, all texts, and a right one among them."""
    question, listed = as_text(find(record, fields.question, text)), find(record, fields.choices)
    if question is None or not isinstance(listed, list) or not 2 <= len(listed) <= 26:
        return None
    choices = [as_text(one.get("text") if isinstance(one, dict) else one) for one in listed]
    labels = find(record, fields.labels) or [one.get("label") for one in listed if isinstance(one, dict)]
    right = _right_choice(find(record, fields.answer), choices, labels)
    if right is None or not all(choices):
        return None
    items = [{"letter": chr(65 + k), "choice": str(choice)} for k, choice in enumerate(choices)]
    given = _optional(context=find(record, fields.context, text))
    return Structure("multiple_choice", given | {"question": question} | _answered(items[right]), items)


def _answered(item: dict[str, str]) -> dict[str, str]:
    return {"letter": item["letter"], "answer": item["choice"]}


def _right_choice(answer: Any, choices: list[str | None], labels: Any) -> int | None:
    """Index of the right choice: by its label, as an index from 0, as a letter, or by its text."""
    if isinstance(labels, list) and len(labels) == len(choices) and answer in labels:
        return labels.index(answer)
    if isinstance(answer, int) and not isinstance(answer, bool):
        return answer if 0 <= answer < len(choices) else None
    if not isinstance(answer, str):
        return None
    if answer.strip() in choices:
        return choices.index(answer.strip())
    letter = ord(answer) - 65 if len(answer) == 1 else -1
    return letter if 0 <= letter < len(choices) else None


def read_dialogue(record: Record, fields: DialogueFields, text: str | None) -> Structure | None:
    """None unless there are two turns or more, each with a speaker and a text."""
    turns = find(record, fields.turns)
    if not isinstance(turns, list) or len(turns) < 2:
        return None
    items = []
    for turn in turns:
        speaker, said = as_text(find(turn, fields.speaker)), as_text(find(turn, fields.text))
        if speaker is None or said is None:
            return None
        items.append({"speaker": speaker, "text": said})
    return Structure("dialogue", _optional(context=find(record, fields.context, text)), items)


def _optional(context: Any) -> dict[str, str]:
    text = as_text(context)
    return {"context": text} if text else {}
