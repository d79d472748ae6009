"""Continuous scores from token log-probabilities: the expectation over the digits 0–5 where the judge chose one.

Used only where the server returns the chosen tokens with alternatives (`logprobs` in OpenAI's chat form), the digit
is a token of its own, and the alternatives that are digits hold most of the probability.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from quality.rubric.rubric import DIMENSIONS, LEVELS

TOP = 20  # alternatives asked for: the most that OpenAI and vLLM give by default
ENOUGH = 0.9  # probability on digits below which the expectation says little
_DIGITS = {str(level): level for level in range(LEVELS)}


def expectations(content: str, logprobs: Any, scores: Mapping[str, int]) -> dict[str, float | None]:
    """Per dimension the expected level, or None where the log-probabilities do not give it.

    content: the reply's text; logprobs: `choices[0].logprobs` as it came; scores: what was read from the content.
    """
    tokens = logprobs.get("content") if isinstance(logprobs, dict) else None
    pieces = [str(t.get("token")) for t in tokens if isinstance(t, dict)] if isinstance(tokens, list) else []
    if not tokens or len(pieces) != len(tokens) or "".join(pieces).strip() != content.strip():
        return dict.fromkeys(DIMENSIONS)
    text = "".join(pieces)
    return {name: _expected(text, tokens, name, scores[name]) for name in DIMENSIONS}


def slim(answer: dict[str, Any]) -> dict[str, Any]:
    """A chat completion with only those log-probabilities that `expectations` reads: digits at digits.

    Twenty alternatives for each token of a reply are half a megabyte; these are a few kilobytes.
    """
    choices = []
    for choice in answer.get("choices") or []:
        logprobs = choice.get("logprobs") if isinstance(choice, dict) else None
        if isinstance(logprobs, dict) and isinstance(logprobs.get("content"), list):
            kept = [_slim_token(t) if isinstance(t, dict) else t for t in logprobs["content"]]
            choice = {**choice, "logprobs": {"content": kept}}
        choices.append(choice)
    return {**answer, "choices": choices}


def _slim_token(token: dict[str, Any]) -> dict[str, Any]:
    if not _is_level(token):
        return {"token": token.get("token")}
    others = [t for t in token.get("top_logprobs") or [] if isinstance(t, dict) and _is_level(t)]
    return {
        "token": token.get("token"),
        "top_logprobs": [{"token": t.get("token"), "logprob": t.get("logprob")} for t in others],
    }


def _is_level(token: dict[str, Any]) -> bool:
    return str(token.get("token")).strip() in _DIGITS


def _expected(text: str, tokens: Sequence[dict[str, Any]], name: str, chosen: int) -> float | None:
    places = [match.start(1) for match in re.finditer(rf'"{name}"\s*:\s*([0-9])', text)]
    places = [place for place in places if not _inside_evidence(text, place)]
    if len(places) != 1:
        return None
    end = 0
    for token in tokens:
        end += len(str(token["token"]))
        if end > places[0]:
            break
    if str(token["token"]).strip() != str(chosen):
        return None
    mass = dict.fromkeys(_DIGITS.values(), 0.0)
    for other in token.get("top_logprobs") or []:
        level = _DIGITS.get(str(other.get("token", "")).strip()) if isinstance(other, dict) else None
        value = other.get("logprob") if level is not None else None
        if level is not None and isinstance(value, int | float) and value <= 1e-6:
            mass[level] += math.exp(value)
    total = sum(mass.values())
    if not ENOUGH <= total <= 1 + 1e-3:
        return None
    return sum(level * p for level, p in mass.items()) / total


def _inside_evidence(text: str, place: int) -> bool:
    """Whether `place` lies in the string of the field `evidence` (which may quote anything)."""
    match = re.search(r'"evidence"\s*:\s*', text)
    if match is None:
        return False
    try:
        _, end = json.JSONDecoder().raw_decode(text, match.end())
    except json.JSONDecodeError:
        return True
    return match.end() <= place < end
