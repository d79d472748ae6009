"""Promises of RefinedWeb's line corrections: the paper's conditions, every edit logged, any text survived."""

from __future__ import annotations

import time

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.text.refinedweb import REFINEDWEB, RULES, RefinedWebParameters, edit
from curation.text.refinedweb_reference import edit_reference
from tests.curation.text.editing import check_log, column, rows, rules

P = RefinedWebParameters(
    max_uppercase=0.5, min_words=2, counters=["likes", "like", "comments"], short_line=10,
    at_start=["sign-in", "sign in"], at_end=["read more...", "read more…"], anywhere=["items in cart"],
)  # fmt: skip

LONG = "More than the ten words of a short line: items in cart"
PIECES = [
    "MENU", "Home", "some words", "3 likes", "1,234 Comments", "1.2K likes", "•", "12", "٣", "²", "sign in", "Sign-in",
    "sign inside", "read more...", "Read More…", "bread more...", "items in cart", "items in carts", "ITEMS IN CART",
    "\u212a", "ſ", "é", "Ǆ", "Ⅷ", "中文", "\n", "\n", "\n", "\r\n", "\u2028", "\xa0", "\t", " ", " ", " ", "-", "😀",
    "\u0301",
    "one two three four five six seven eight nine ten eleven",
]  # fmt: skip
texts = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from(PIECES), max_size=40).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=40).map(" ".join),
)


@settings(max_examples=600, deadline=None)
@given(texts)
def test_the_kernel_equals_the_reference_and_the_log_explains_every_change(text: str) -> None:
    given_texts = column(text, None, "Home", text)
    edited = edit(given_texts, P)
    check_log(given_texts, edited)
    expected, counts = edit_reference(text, P)
    assert edited.text.to_pylist()[0] == edited.text.to_pylist()[3] == expected
    assert rows(edited)[0] == rows(edited)[3] == counts


@pytest.mark.parametrize(
    ("line", "left", "rule"),
    [
        ("BREAKING NEWS Today", None, "uppercase"),
        ("NASA and ESA agree", "NASA and ESA agree", None),
        ("20261121", None, "numeric"),
        ("3 likes", None, "counter"),
        ("  (1.2K Comments) ", None, "counter"),
        ("3 likes of mine", "3 likes of mine", None),
        ("Home", None, "single_word"),
        ("Sign in to read on", "to read on", "phrase"),
        ("Sign inside the box", "Sign inside the box", None),
        ("The tale of a cat Read more...", "The tale of a cat", "phrase"),
        ("You have 3 items in cart today", "You have 3 today", "phrase"),
        ("Items in Cart", None, "phrase"),
        (LONG, LONG, None),
    ],
)  # fmt: skip
def test_why_a_line_is_edited(line: str, left: str | None, rule: str | None) -> None:
    kept = "This line stays as it is."
    edited = edit(column(f"{kept}\n{line.strip()}\n{kept}"), P)
    assert rules(edited) == ([f"refinedweb.{rule}"] if rule else [])
    assert edited.text.to_pylist() == ["\n".join(part for part in (kept, left, kept) if part)]


def test_removed_words_are_counted_against_all_words() -> None:
    counts = rows(edit(column("MENU\nfour words stand here\nsign in to us now"), P))[0]
    assert counts is not None and (counts["removed_words"], counts["words"]) == (3, 10)


def test_blank_lines_and_white_space_of_an_unedited_text_stay() -> None:
    text = "  A first line.\r\n\r\n\n A second line.\n\n"
    given_texts = column(text, None)
    edited = edit(given_texts, P)
    assert edited.text is given_texts and edited.edits.to_pylist() == [[], []]


def test_a_text_of_nothing_but_such_lines_becomes_empty() -> None:
    edited = edit(column("\n MENU\n\n3 likes\n12\n", "x"), P)
    assert edited.text.to_pylist() == ["", ""]
    assert edited.columns["refinedweb"].type == REFINEDWEB
    assert set(rules(edited)) <= set(RULES)


@pytest.mark.parametrize(
    "text", ["sign in" * 50_000, "items in cart" * 40_000, " items in cart" * 3, "1" * 400_000, "," * 400_000]
)
def test_extreme_documents_take_time_in_proportion(text: str) -> None:
    edit(column("x"), P)
    start = time.process_time()
    check_log(column(text), edit(column(text), P))
    assert time.process_time() - start < 5


def test_senseless_parameters_and_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match="max_uppercase"):
        RefinedWebParameters(1.5, 2, [], 10, [], [], [])
    for phrase in ("", " x", "X"):
        with pytest.raises(ValueError, match="phrase"):
            RefinedWebParameters(0.5, 2, [], 10, [phrase], [], [])
    with pytest.raises(TypeError):
        edit(pa.array(["x"]), P)
