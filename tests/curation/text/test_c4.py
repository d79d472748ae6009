"""Promises of the C4 line editor: the published code's order and conditions, every edit logged, any text survived."""

from __future__ import annotations

import time
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curation.text.blocked_words import compile_blocked_words
from curation.text.c4 import C4, RULES, C4Parameters, edit
from curation.text.c4_reference import edit_reference
from curation.text.needles import compile_needles
from curation.text.sentences_reference import count_sentences_reference
from tests.curation.text.editing import check_log, column, rows, rules

ORIGINAL = C4Parameters('.?!"', 5, 1000, True)
DATATROVE = C4Parameters(".?!\"'", 3, 1000, False)
FINEWEB = C4Parameters("", 3, 1000, False)
STRICT = C4Parameters('.?!"', 2, 6, True, blocked_words=True)
BLOCKED = ("bad", "bad luck", "kinky", "very bad luck", "s&m")

PIECES = [
    "A", "line", "of", "words", "here.", "Mr. Bennet", "etc. ", "U.S. ", "It ends!", "or not?", '"Quoted."', "'", "...",
    "…", "[1]", "[edit]", "[citation needed]", "[", "]", "[١٢]", "[]", "[1][2]", " ", "  ", "\t", "\n", "\n", "\n",
    "\r\n", "\r", "\x85", "\u2028", "\xa0", "\x1f", "lorem ipsum", "Lorem  Ipsum", "LOREM IPSUM", "javascript",
    "JavaScript", "java[1]script", "{", "}", "privacy policy", "Use cookies", "use coo\u212aies", "uses cookİes",
    "terms of use", "bad", "BAD", "bad luck", "very bad luck.", "\u212ainky", "\u212abad", "İbad", "badİ", "s&m", "é",
    "。", "中文。", "٣", "a.b", "3.14", "x.Y", "(so.)", ". . .", "?!", ".”", "😀", "\u0301", "longest-word", ".", "!",
]  # fmt: skip
texts = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from(PIECES), max_size=50).map("".join),
    st.lists(st.sampled_from([*PIECES, "\n", "good words stand here."]), max_size=50).map(" ".join),
)


@settings(max_examples=600, deadline=None)
@given(texts, st.sampled_from([ORIGINAL, DATATROVE, FINEWEB, STRICT]))
@example("[1] [2] Foo bar baz.\nFoo [1] bar. [2]", FINEWEB)
@example("[1]  [2]\n\n [edit] a b c [1] \n", FINEWEB)
def test_the_kernel_equals_the_reference_and_the_log_explains_every_change(text: str, parameters: C4Parameters) -> None:
    given_texts = column(text, None, "Short.", text)
    edited = edit(given_texts, parameters, BLOCKED)
    check_log(given_texts, edited)
    expected, counts = edit_reference(text, parameters, BLOCKED)
    assert edited.text.to_pylist()[0] == edited.text.to_pylist()[3] == expected
    assert rows(edited)[0] == rows(edited)[3] == counts


@pytest.mark.parametrize(
    ("line", "parameters", "rule"),
    [
        ("Navigation and search", DATATROVE, "c4.no_terminal_punctuation"),
        ("It goes on and on...", DATATROVE, "c4.no_terminal_punctuation"),
        ("He said 'go on'", DATATROVE, None),
        ("He said it is 'on'", ORIGINAL, "c4.no_terminal_punctuation"),
        ("So it is.", DATATROVE, None),
        ("So it is.", ORIGINAL, "c4.too_few_words"),
        ("It is.", DATATROVE, "c4.too_few_words"),
        ("So it is [1] [2].", ORIGINAL, "c4.too_few_words"),
        ("It is [1].", DATATROVE, "c4.citation"),
        ("Please enable JavaScript to read this page.", DATATROVE, "c4.javascript"),
        ("We have changed our Privacy Policy, read it.", DATATROVE, "c4.policy"),
        ("A word " + "x" * 1001 + " of great length.", DATATROVE, "c4.word_too_long"),
        ("A word " + "é" * 1000 + " of great length.", DATATROVE, None),
        ("A citation [12] in the text.", DATATROVE, "c4.citation"),
        ("Earth moves round the sun. [1]", DATATROVE, "c4.no_terminal_punctuation"),
    ],
)
def test_why_a_line_is_edited(line: str, parameters: C4Parameters, rule: str | None) -> None:
    kept = "This is a line of many words."
    edited = edit(column(f"{kept}\n{line}\n{kept}"), parameters)
    assert rules(edited) == ([rule] if rule else [])
    assert edited.text[0].as_py().startswith(kept) and edited.text[0].as_py().endswith(kept)


def test_lines_are_joined_by_one_break_and_the_white_space_is_logged() -> None:
    edited = edit(column("  One line of text.  \r\n\r\n  Two lines of text.\n"), DATATROVE)
    assert edited.text.to_pylist() == ["One line of text.\nTwo lines of text."]
    assert rules(edited) == ["c4.white_space"] * 3


def test_lorem_ipsum_and_curly_brackets_are_counted_only_in_lines_that_pass_the_checks_before() -> None:
    counts = [
        rows(edit(column(text), DATATROVE))[0]
        for text in (
            "Lorem ipsum dolor sit amet.", "lorem ipsum menu", "function f() { return 1 }", "A set {a, b} of letters.",
            "In javascript one writes {a}.", "Our {privacy policy} is long.",
        )
    ]  # fmt: skip
    assert [(c["lorem_ipsum_lines"], c["curly_bracket_lines"]) for c in counts if c] == [
        (1, 0), (0, 0), (0, 0), (0, 1), (0, 0), (0, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "sentences"),
    [
        ("One. Two. Three.", 3),
        ("Mr. Bennet went home. He slept.", 2),
        ("I live in the U.S. It is nice.", 1),
        ("Hello world. \"Yes,\" he said. And so.", 3),
        ("What?! No. :) Ok", 3),
        ("End. [1] more", 2),
        ("It costs 3.14 euros. Really", 2),
        ("Wait.What is it?", 2),
        ("no marks at all", 1),
        ("One.  \"", 2),
        ("One. \"", 1),
    ],
)  # fmt: skip
def test_sentences_are_spacys(line: str, sentences: int) -> None:
    """Expected values printed by spaCy 3.8: spacy.blank("en") with the pipe `sentencizer`."""
    assert count_sentences_reference(line) == sentences
    assert edit_reference(line, C4Parameters("", 1, 1000, False))[1]["sentences"] == sentences
    assert rows(edit(column(line), C4Parameters("", 1, 1000, False)))[0]["sentences"] == sentences  # type: ignore[index]


def test_blocked_words_need_another_character_on_both_sides() -> None:
    lines = ["It is bad.", "bad is it.", "It is badly done.", "It is BAD LUCK.", "It is 'bad'.", "His badİ is so."]
    found = [rows(edit(column(line), STRICT, BLOCKED))[0]["blocked_word_lines"] for line in lines]  # type: ignore[index]
    assert found == [1, 0, 0, 1, 1, 0]


def test_an_unchanged_batch_is_the_given_one_and_a_slice_is_as_good() -> None:
    kept = column("One two three. Four five six.", None, "")
    edited = edit(kept, DATATROVE)
    assert edited.text is kept and edited.edits.to_pylist() == [[], [], []]
    longer = column("x", "menu\nOne two three four.", None)
    edited = edit(longer.slice(1), DATATROVE)
    check_log(longer.slice(1), edited)
    assert edited.text.to_pylist() == ["One two three four.", None]
    assert edited.columns["c4"].type == C4 and rows(edited)[1] is None
    assert set(rules(edited)) <= set(RULES)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "\n", "[" * 200_000, "." * 200_000, "a[citation needed]" * 60_000 + ".", "7" * 300_000,
        "中。" * 100_000,
        "a.\n" * 100_000, "cookie " * 50_000, "[1]" * 100_000, "a . " * 70_000, "x." * 100_000,
    ],
)  # fmt: skip
def test_extreme_documents_take_time_in_proportion(text: str) -> None:
    edit(column("One two three."), FINEWEB)
    start = time.process_time()
    for parameters in (DATATROVE, FINEWEB):
        check_log(column(text), edit(column(text), parameters))
    assert time.process_time() - start < 5


def test_broken_utf8_is_read_within_its_bounds() -> None:
    data = b"One two three\xe2\x80.\xf0\xff \xc2"
    broken = pa.LargeStringArray.from_buffers(
        1, pa.py_buffer(pa.array([0, len(data)]).buffers()[1]), pa.py_buffer(data)
    )
    edited = edit(broken, FINEWEB)
    assert edited.edits.to_pylist() == [[]]


def test_senseless_parameters_and_arrays_are_refused() -> None:
    for values in (("é", 3, 9, True), (". ", 3, 9, True), (".", 0, 9, True), (".", 3, 0, True)):
        with pytest.raises(ValueError):
            C4Parameters(*values)
    with pytest.raises(TypeError):
        edit(pa.array(["x"]), DATATROVE)
    with pytest.raises(ValueError):
        compile_blocked_words([""])
    bad: Any
    for bad in ("é1", "A b", "x", "tai"):
        with pytest.raises(ValueError):
            compile_needles({bad: 1})
