"""The judge's reply: its JSON schema, and reading it strictly.

Accepted: one JSON object of exactly the schema's fields, bare or as the only content of one ```json fence.
Nothing is repaired: a cut, doubled or padded reply is invalid, and so is a number in quotes.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from quality.rubric.rubric import DIMENSIONS, LEVELS, SECONDARY, Rubric

EVIDENCE_LIMIT = 2_000  # characters; models miscount the 240 they are asked for
REPLY_LIMIT = 20_000
NAME = "judgement"
_FENCE = re.compile(r"```(?:json)?[ \t]*\n(.*)\n```", re.DOTALL)


class InvalidReply(ValueError):
    """The reply is not what the schema says; the message says how."""


@dataclass(frozen=True)
class Judgement:
    """One valid reply; `secondary` is empty where it was not asked for."""

    scores: dict[str, int]
    secondary: dict[str, int]
    category: str
    category2: str | None
    confidence: float
    evidence: str


def json_schema(rubric: Rubric, *, secondary: bool) -> dict[str, Any]:
    """Strict: every field required, `evidence` first so that the reason comes before the numbers.

    Only keywords that strict modes share (no minimum, no maxLength: `parse_reply` checks what they would).
    """
    level = {"type": "integer", "enum": list(range(LEVELS))}
    names = list(rubric.category_names)
    properties: dict[str, Any] = {
        "evidence": {"type": "string"},
        **dict.fromkeys((*DIMENSIONS, *(SECONDARY if secondary else ())), level),
        "category": {"type": "string", "enum": names},
        "category2": {"anyOf": [{"type": "string", "enum": names}, {"type": "null"}]},
        "confidence": {"type": "number"},
    }
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
    }


def parse_reply(content: Any, rubric: Rubric, *, secondary: bool) -> Judgement:
    """InvalidReply for everything but a reply of the schema."""
    if not isinstance(content, str) or not content.strip():
        raise InvalidReply("no content")
    if len(content) > REPLY_LIMIT:
        raise InvalidReply(f"{len(content):,} characters")
    body = content.strip()
    fenced = _FENCE.fullmatch(body)
    try:
        value = json.loads(fenced[1] if fenced else body, object_pairs_hook=_once, parse_constant=_refuse)
    except RecursionError:
        raise InvalidReply("nested too deep") from None
    except json.JSONDecodeError as error:
        raise InvalidReply(f"no JSON: {error.msg} at character {error.pos}") from None
    if not isinstance(value, dict):
        raise InvalidReply("not an object")
    return _judgement(value, rubric, SECONDARY if secondary else ())


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise InvalidReply("a field stands twice")
    return value


def _refuse(constant: str) -> None:
    raise InvalidReply(f"{constant} is no JSON")


def _judgement(value: dict[str, Any], rubric: Rubric, secondary: Sequence[str]) -> Judgement:
    wanted = {"evidence", *DIMENSIONS, *secondary, "category", "category2", "confidence"}
    if value.keys() != wanted:
        wrong = [f"no {name}" for name in sorted(wanted - value.keys())]
        wrong += [f"extra {name[:40]!r}" for name in sorted(value.keys() - wanted)]
        raise InvalidReply(", ".join(wrong[:6]))
    for name in (*DIMENSIONS, *secondary):
        score = value[name]
        if type(score) is not int or not 0 <= score < LEVELS:
            raise InvalidReply(f"{name} is {score!r:.40}, no integer 0–{LEVELS - 1}")
    for name in ("category", "category2"):
        if value[name] not in rubric.category_names and (name == "category" or value[name] is not None):
            raise InvalidReply(f"{name} is {value[name]!r:.80}, no category")
    confidence = value["confidence"]
    if type(confidence) not in (int, float) or not math.isfinite(confidence) or not 0 <= confidence <= 1:
        raise InvalidReply(f"confidence is {confidence!r:.40}, no number 0–1")
    evidence = value["evidence"]
    if not isinstance(evidence, str) or len(evidence) > EVIDENCE_LIMIT:
        raise InvalidReply("evidence is no string, or too long")
    try:
        evidence.encode()
    except UnicodeEncodeError:
        raise InvalidReply("evidence holds half a surrogate pair") from None
    second = value["category2"]
    return Judgement(
        scores={name: value[name] for name in DIMENSIONS},
        secondary={name: value[name] for name in secondary},
        category=value["category"],
        category2=None if second == value["category"] else second,  # "no other" said in another way
        confidence=float(confidence),
        evidence=evidence,
    )
