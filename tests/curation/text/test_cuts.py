"""Promises of the cutter: what stays is stitched cleanly, and the edits tell exactly what happened."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.text.cuts import Cuts, cut
from curation.text.cuts_reference import cut_reference
from curation.text.line_units import find_units, units_reference
from tests.curation.text.editing import check_log, column

ALPHABET = "ab  \n\n\r\t.é\u0301\u200b中\u200d😀\u2028\x1c\u00a0\x00"
TEXTS = st.lists(st.text(ALPHABET, max_size=30), min_size=1, max_size=3)


def cut_one(text: str, *passages: str, at_words: bool = False) -> str:
    """The text without the first occurrence of each passage."""
    starts = [text.encode().index(passage.encode()) for passage in passages]
    stops = [start + len(passage.encode()) for start, passage in zip(starts, passages, strict=True)]
    cuts = Cuts(np.array(starts), np.array(stops), np.array([len(starts)]))
    edited, _ = cut(column(text), cuts, "x", at_words=at_words)
    check_log(column(text), edited)
    return str(edited.text[0])


@pytest.mark.parametrize(
    ("text", "passage", "left"),
    [
        ("A\n\nX\n\nB", "X", "A\n\nB"),  # one gap stays
        ("A\nX\n\nB", "X", "A\n\nB"),  # the larger one
        ("A\n\n\nX\nB", "X", "A\n\n\nB"),
        ("A\r\nX\r\nB", "X", "A\r\nB"),
        ("A\nX", "X", "A"),  # no line break is left at the end where there was none
        ("A\n\nX\n", "X", "A\n"),
        ("\n\nX\n\n  B\n", "X", "  B\n"),
        ("if a:\n    X\n  b", "X", "if a:\n  b"),  # indentation of the line that follows
        ("foo X bar", "X", "foo bar"),
        ("foo X, bar", "X", "foo , bar"),
        ("foo (X) bar", "X", "foo () bar"),
        ("foo.X.bar", ".X.", "foo bar"),  # words do not meet
        ("中X中", "X", "中中"),  # where there are no spaces none is needed
        ("X", "X", ""),
    ],
)
def test_stitching(text: str, passage: str, left: str) -> None:
    assert cut_one(text, passage) == left


def test_passages_with_only_white_space_between_are_one_edit() -> None:
    assert cut_one("A\n\nX\n\n\n\nY\nB", "X", "Y") == "A\n\nB"


def test_ends_move_to_words_and_never_into_characters() -> None:
    assert cut_one("the house of words", "use of wo", at_words=True) == "the house words"
    text = "éé aé\u0301 中文"
    starts, stops = np.array([1]), np.array([len(text.encode()) - 1])  # inside é, inside 文
    edited, _ = cut(column(text), Cuts(starts, stops, np.array([1])), "x", at_words=True)
    assert edited.text.to_pylist() == ["éé 文"]
    assert cut_one("a" * 400, "a" * 300, at_words=True) == "a" * 100  # no word ends near: at a character


def test_only_white_space_is_never_cut() -> None:
    assert cut_one("A" + " " * 50 + "B", " " * 40) == "A" + " " * 50 + "B"


def test_nulls_stay_null_and_slices_work() -> None:
    texts = pa.array(["skipped", "ab cd", None, "ef"], pa.large_string()).slice(1)
    edited, blank = cut(texts, Cuts(np.array([0, 0]), np.array([2, 2]), np.array([1, 1, 2])), "x", at_words=False)
    assert edited.text.to_pylist() == ["cd", None, ""]
    assert blank.tolist() == [False, True, True]


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.booleans(), st.data())
def test_the_kernel_equals_its_reference(texts: list[str], at_words: bool, data: st.DataObject) -> None:
    ranges = []
    for text in texts:
        size = len(text.encode())
        whole = [len(text[:i].encode()) for i in range(len(text) + 1)]
        places = st.integers(0, size) if at_words else st.sampled_from(whole)
        found = sorted(data.draw(st.sets(places, max_size=6)))
        ranges.append([(found[i], found[i + 1]) for i in range(0, len(found) - 1, 2)])
    flat = [pair for some in ranges for pair in some]
    starts, stops = (np.array([pair[k] for pair in flat], np.int64) for k in (0, 1))
    ends = np.cumsum([len(some) for some in ranges])
    edited, blank = cut(column(*texts), Cuts(starts, stops, ends), "x", at_words=at_words)
    check_log(column(*texts), edited)
    for i, text in enumerate(texts):
        rows = [(e["start"], e["length"], e["before"], e["after"]) for e in edited.edits[i].as_py()]
        assert (edited.text[i].as_py(), rows, bool(blank[i])) == cut_reference(text, ranges[i], at_words=at_words)


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.booleans())
def test_line_units_equal_their_reference(texts: list[str], paragraphs: bool) -> None:
    units = find_units(column(*texts), paragraphs=paragraphs)
    starts = np.concatenate([[0], units.ends])
    found = [
        (int(units.first[u]), int(units.last[u]), units.bytes[starts[u] : starts[u + 1]].tobytes().decode())
        for u in range(len(units.first))
    ]
    assert found == [unit for text in texts for unit in units_reference(text, paragraphs=paragraphs)]
    assert units.chars.tolist() == [len(form) for _, _, form in found]
    assert units.document_ends[-1] == len(found)
