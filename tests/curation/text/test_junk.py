"""Promises of the junk statistics: equal to the slow reference, silent where a rule makes no sense, linear."""

from __future__ import annotations

import time

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.text.junk import FIELDS, JUNK, measure_junk
from curation.text.junk_reference import measure_junk_reference

PIECES = [
    "the", "of", "The", "Of", "and", "with", "which", "I", "a", "been", "lorem", "Ipsum", "javascript", "JavaScript",
    "enable", "required", "qzj", "th1s", "wo|d", "x2y", "a1b2", "co^st", "f(x)", "snake_case", "a.b", "end.", "end.”",
    "what?", "no!)", "etc", "...", "Ã©", "â€™", "ðŸ˜€", "Ð°", "РїСЂРё", "вЂ™", "é", "É", "ß“", "\x85", "\x91", "�", "\u00a0",
    "中文", "กำ", "e\u0301", "\u0301", "WORD", "Word", "wOrd", "Ünder", "наверное", "Мир.", "ОЧЕНЬ", "العربية", "12345",
    "7", "-", "'", "’", "\n", "\u2028", "\t", " ", " ", " ", "abcdefghijklm", "z" * 60, "\u200b", "🙂", "\x00",
]  # fmt: skip
texts = st.one_of(
    st.text(max_size=80),
    st.text(alphabet=st.characters(max_codepoint=0x2200), max_size=200),
    st.lists(st.sampled_from(PIECES), max_size=60).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=120).map(" ".join),
)


def measured(text: str) -> dict[str, int]:
    row: dict[str, int] = measure_junk(pa.array([text], pa.large_string())).to_pylist()[0]
    return row


@settings(max_examples=400, deadline=None)
@given(texts)
def test_kernel_equals_reference_on_any_text(text: str) -> None:
    assert measured(text) == measure_junk_reference(text)


@settings(max_examples=100, deadline=None)
@given(texts)
def test_kernel_equals_reference_where_there_is_evidence(text: str) -> None:
    text = f"{text} " * 40
    assert measured(text) == measure_junk_reference(text)
