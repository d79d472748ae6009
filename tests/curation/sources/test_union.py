"""What the union promises: one of the two texts, whole, chosen by a stated rule, with its origin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.sources.union import MISSED_SHARE, UNIONS, complement, longer


def test_trafilaturas_text_is_taken_when_it_found_most_of_what_resiliparse_found() -> None:
    assert complement("menu one two three", "one two three") == ("one two three", "trafilatura")


def test_resiliparses_text_is_taken_when_trafilatura_missed_a_part() -> None:
    assert complement("one two three four five", "one two") == ("one two three four five", "resiliparse")
    assert complement("one", "") == ("one", "resiliparse")


def test_the_boundary_counts_characters_without_white_space() -> None:
    assert complement("abc def ghi", "abc    def") == ("abc    def", "trafilatura")  # 6 of 9: exactly two thirds
    assert complement("abc def ghi", "abc de") == ("abc def ghi", "resiliparse")
    assert complement("日本語の文章", "日本語") == ("日本語の文章", "resiliparse")


def test_an_empty_page_stays_empty() -> None:
    assert complement("", "")[0] == ""


def test_longer_takes_the_longer() -> None:
    assert longer("one two", "one") == ("one two", "resiliparse")
    assert longer("one", "one two") == ("one two", "trafilatura")


@pytest.mark.parametrize("policy", UNIONS)
@given(resiliparse=st.text(), trafilatura=st.text())
def test_every_policy_gives_one_of_the_two_texts_and_names_it(policy: str, resiliparse: str, trafilatura: str) -> None:
    text, origin = UNIONS[policy](resiliparse, trafilatura)  # type: ignore[index]
    assert text == {"resiliparse": resiliparse, "trafilatura": trafilatura}[origin]
    assert sum(map(len, text.split())) >= MISSED_SHARE * sum(map(len, resiliparse.split()))
