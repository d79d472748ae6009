"""Promises of letters: what survives reformatting, the same from the kernel and from plain Python, with its places."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.text.letters import LETTERS_VERSION, letters, letters_reference

TEXTS = st.text(
    st.one_of(
        st.sampled_from("aZ _-'\n.,1²éßΣςÅȺ"), st.characters(codec="utf-8"), st.sampled_from("नमस्ते日本ไทย\u200b")
    ),
    max_size=40,
)


def of(text: str) -> str:
    return letters(pa.array([text], pa.large_string())).data.tobytes().decode()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(TEXTS, st.none()), max_size=5), st.integers(0, 2))
def test_the_kernel_agrees_with_the_reference(texts: list[str | None], skipped: int) -> None:
    column = pa.array(texts, pa.large_string()).slice(skipped)
    found, start = letters(column), 0
    for text, end in zip(texts[skipped:], found.ends.tolist(), strict=True):
        expected, begins = letters_reference(text or "")
        data = found.data[start:end].tobytes()
        assert data.decode() == expected
        leads = [i for i, byte in enumerate(data) if byte & 0xC0 != 0x80]
        assert [leads.index(i) for i in range(len(data)) if found.begins[start + i]] == begins
        whole = (text or "").encode()
        for i in range(len(data)):
            character = whole[found.start[start + i] : found.stop[start + i]].decode()
            assert letters_reference(character)[0] == expected[sum(lead <= i for lead in leads) - 1]
        start = end


@pytest.mark.parametrize(
    "text",
    ["WHAT DOESNT A TIMESERIES SHOW", "what\ndoesn't\na\ntime-series\nshow?", "- **What** doesn’t a _time series_ show",
     "What doesn't a time\u00adseries show"],
)  # fmt: skip
def test_reformatting_leaves_the_letters(text: str) -> None:
    assert of(text) == "whatdoesntatimeseriesshow"


def test_the_letters_are_pinned() -> None:
    assert LETTERS_VERSION == 1
    assert of("Ünïcode_ 3.14² ΣΑΣ ǅ नमस्ते 日本\U0001f600") == "ünïcode314²σασǆनमस्ते日本"
    assert letters(pa.array(["", None, "!"], pa.large_string())).ends.tolist() == [0, 0, 0]


def test_a_word_begins_at_each_letter_of_a_script_without_spaces() -> None:
    found = letters(pa.array(["ab 日本 c"], pa.large_string()))
    assert found.begins.tolist() == [1, 0, 2, 0, 0, 2, 0, 0, 1]


def test_folding_may_lengthen_a_text() -> None:
    assert of("Ⱥ" * 1000) == "ⱥ" * 1000
