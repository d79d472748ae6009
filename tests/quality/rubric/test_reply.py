"""Promises of reading a reply: exactly the schema or an error that says why; nothing is repaired."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quality.rubric.expectation import expectations
from quality.rubric.reply import InvalidReply, parse_reply
from quality.rubric.rubric import load_rubric

RUBRIC = load_rubric()
GOOD: dict[str, Any] = {
    "evidence": "explains why", "knowledge_depth": 3, "practicality": 1, "coherence": 4, "conciseness": 3,
    "educational_value": 3, "helpfulness": 2, "category": "games", "category2": None, "confidence": 0.8,
}  # fmt: skip


def read(content: Any, *, secondary: bool = True) -> Any:
    return parse_reply(content, RUBRIC, secondary=secondary)


def test_a_good_reply_bare_or_fenced() -> None:
    text = json.dumps(GOOD)
    for content in (text, f"  {text}\n", f"```json\n{text}\n```", f"```\n{text}\n```"):
        judged = read(content)
        assert judged.scores == {"knowledge_depth": 3, "practicality": 1} and judged.category == "games"
    assert read(json.dumps(GOOD | {"category2": "games"})).category2 is None  # the same again is no second one
    assert read(json.dumps(GOOD | {"confidence": 1})).confidence == 1.0


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "no content"),
        ("", "no content"),
        (json.dumps(GOOD)[:-5], "no JSON"),
        (json.dumps(GOOD) * 2, "Extra data"),
        (f"Here it is:\n```json\n{json.dumps(GOOD)}\n```", "no JSON"),
        (f"```json\n{json.dumps(GOOD)}\n``` That is all.", "no JSON"),
        (f"```json\n{json.dumps(GOOD)}", "no JSON"),
        ("[]", "not an object"),
        ('{"evidence": "a", "evidence": "b"}', "twice"),
        ("[" * 15_000, "nested|no JSON"),
        (json.dumps(GOOD) + " " * 30_000 + "x", "characters"),
        (json.dumps(GOOD | {"knowledge_depth": "3"}), "knowledge_depth is '3'"),
        (json.dumps(GOOD | {"knowledge_depth": 3.0}), "knowledge_depth is 3.0"),
        (json.dumps(GOOD | {"knowledge_depth": True}), "knowledge_depth is True"),
        (json.dumps(GOOD | {"practicality": 6}), "practicality is 6"),
        (json.dumps(GOOD | {"category": "gaming"}), "'gaming', no category"),
        (json.dumps(GOOD | {"category": None}), "None, no category"),
        (json.dumps(GOOD | {"category2": []}), "no category"),
        (json.dumps(GOOD | {"confidence": 1.5}), "confidence"),
        (json.dumps(GOOD | {"confidence": math.nan}), "NaN"),
        (json.dumps(GOOD | {"evidence": "\ud800"}), "surrogate"),
        (json.dumps(GOOD | {"evidence": 5}), "evidence"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "helpfulness"}), "no helpfulness"),
        (json.dumps(GOOD | {"note": 1}), "extra 'note'"),
    ],
)
def test_anything_else_is_invalid(content: Any, told: str) -> None:
    with pytest.raises(InvalidReply, match=told):
        read(content)


def test_secondary_scores_come_only_where_they_were_asked_for() -> None:
    with pytest.raises(InvalidReply, match="extra 'coherence'"):
        read(json.dumps(GOOD), secondary=False)


@given(st.text(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_no_reply_crashes_the_reader(content: Any) -> None:
    with pytest.raises(InvalidReply):
        read(content if isinstance(content, str) else json.dumps(content))


def tokens(text: str, alternatives: dict[str, float], at: int) -> dict[str, Any]:
    """Single-character tokens; at the place `at` these alternatives."""
    content = [{"token": c, "logprob": 0.0, "top_logprobs": [{"token": c, "logprob": 0.0}]} for c in text]
    content[at]["top_logprobs"] = [{"token": t, "logprob": math.log(p)} for t, p in alternatives.items()]
    return {"content": content}


def test_the_expectation_is_over_the_digits_where_the_judge_chose() -> None:
    text = json.dumps(GOOD | {"evidence": 'says "knowledge_depth": 0 itself'})
    at = text.index('"knowledge_depth": 3') + len('"knowledge_depth": ')
    found = expectations(text, tokens(text, {"3": 0.6, "4": 0.3, " 2": 0.06, "x": 0.04}, at), GOOD)
    assert found["knowledge_depth"] == pytest.approx((3 * 0.6 + 4 * 0.3 + 2 * 0.06) / 0.96)
    assert found["practicality"] == pytest.approx(1.0)


def test_without_trustworthy_log_probabilities_there_is_no_expectation() -> None:
    text = json.dumps(GOOD)
    at = text.index('"knowledge_depth": 3') + len('"knowledge_depth": ')
    nothing = {"knowledge_depth": None, "practicality": None}
    for bad in (None, {}, {"content": None}, {"content": [{"token": "x"}]}, {"content": [5]}):
        assert expectations(text, bad, GOOD) == nothing
    assert expectations(text, tokens(text, {"3": 0.5, "x": 0.5}, at), GOOD)["knowledge_depth"] is None
    assert expectations(text, tokens(text, {"3": 1.0}, at), GOOD | {"knowledge_depth": 4})["knowledge_depth"] is None
