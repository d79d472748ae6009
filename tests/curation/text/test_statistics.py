"""Promises of the one-pass statistics: equal to the slow reference on any text, exact, bounded, null-safe."""

from __future__ import annotations

import time

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.text.seen import MAX_MEMBERS, MAX_SLOTS, new_seen
from curation.text.segment import new_workspace
from curation.text.statistics import FIELDS, STATISTICS, measure
from curation.text.statistics_reference import measure_reference

# Jane Austen, Pride and Prejudice (1813), public domain.
AUSTEN = (
    "It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in "
    "want of a wife.\n\nHowever little known the feelings or views of such a man may be on his first entering "
    "a neighbourhood, this truth is so well fixed in the minds of the surrounding families, that he is "
    "considered as the rightful property of some one or other of their daughters.\n\n"
    "“My dear Mr. Bennet,” said his lady to him one day, “have you heard that Netherfield Park is let at last?”"
)
PIECES = [
    "the", "of", "can't", "cannot", "wed.", "Mr.", "U.S.A.", "e.g.", "):", ":)", "5km", "US$5", "3-4", "--", "...",
    "…", "http://a.com/b?c", "x@y.org", "well-known", "and/or", "word.Word", "a,b", "'tis", "John's", "(8)", "\n",
    "\n\n", "\r\n", "\u2028", "\x1c", "\t", " ", "•", "-", "#", "中文", "，", "กำ", "\u0301", "e\u0301", "👩‍💻", "\x00",
    "\u200b", "°C.", "²", "9%", "ÅÉ.", "«x»", ".", ",",
]  # fmt: skip
texts = st.one_of(
    st.text(max_size=80),
    st.lists(st.sampled_from(PIECES), max_size=60).map("".join),
    st.lists(st.sampled_from([*PIECES[:8], "\n", "\n\n"]), max_size=120).map(" ".join),
)


def measured(text: str, max_words: int = MAX_MEMBERS) -> dict[str, int]:
    row: dict[str, int] = measure(pa.array([text], pa.large_string()), max_words).to_pylist()[0]
    return row


@settings(max_examples=400, deadline=None)
@given(texts)
def test_kernel_equals_reference_on_any_text(text: str) -> None:
    assert measured(text) == measure_reference(text)


@settings(max_examples=100, deadline=None)
@given(texts, st.integers(1, 30))
def test_ngrams_of_a_long_document_cover_its_first_words(text: str, max_words: int) -> None:
    assert measured(text, max_words) == measure_reference(text, max_words)


@pytest.mark.parametrize("text", ["", " ", "\n", "\n\n", "one", "a b c d", "?!...", "\u0301", "\x00", "中"])
def test_corner_cases(text: str) -> None:
    assert measured(text) == measure_reference(text)


def test_long_documents_and_lines() -> None:
    for text in ("ab" * 70_000, "ก" + "\u0e31" * 70_000, AUSTEN * 30, "a b\n" * 3000, ") " * 5000):
        assert measured(text) == measure_reference(text)


@pytest.mark.parametrize("piece", [")", "(", ".x", "a@", "'s", "5%", ":)", "-", "\u2026"])
def test_time_is_linear_in_hostile_runs(piece: str) -> None:
    def seconds(text: str) -> float:
        column = pa.array([text], pa.large_string())
        start = time.process_time()
        measure(column)
        return time.process_time() - start

    measured("compile first")
    # Linear: a few hundredths of a second for 1 MB without white space; quadratic in a run: ten seconds.
    assert seconds(piece * (1_000_000 // len(piece))) < 2


def test_golden_paragraph() -> None:
    """The word counts are those of datatrove 0.10 with spaCy 3.8."""
    row = measured(AUSTEN)
    expected = {
        "chars": 487, "newlines": 4, "words": 105, "non_symbol_words": 92, "stop_words": 6,
        "lines": 3, "paragraphs": 3, "nonblank_lines": 3, "punctuated_lines": 2,
        "top_2_gram_chars": 12, "duplicate_5_gram_chars": 0,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected


def test_the_first_of_equally_frequent_ngrams_counts() -> None:
    # Both 2-grams occur twice; the longer one first, though the shorter reaches two first.
    assert measured("long words a b a b long words")["top_2_gram_chars"] == 2 * len("long words")


def test_slices_nulls_and_empty_arrays() -> None:
    whole = pa.array(["x", "first text", None, AUSTEN, ""], pa.large_string())
    rows = measure(whole.slice(1)).to_pylist()
    assert rows[1] is None
    assert [rows[0], rows[2], rows[3]] == [measure_reference(text) for text in ("first text", AUSTEN, "")]
    assert len(measure(pa.array([], pa.large_string()))) == 0
    assert measure(pa.array([""], pa.large_string())).type == STATISTICS
    assert measure(pa.array([None], pa.large_string())).to_pylist() == [None]


def test_other_arrays_are_refused() -> None:
    with pytest.raises(TypeError, match="LargeStringArray"):
        measure(pa.array(["a"], pa.string()))


def test_a_document_does_not_depend_on_its_neighbours() -> None:
    documents = [AUSTEN, "a b a b " * 50, AUSTEN[:100], "", "a b a b " * 50]
    together = measure(pa.array(documents, pa.large_string())).to_pylist()
    assert together == [measured(text) for text in documents]


def test_scratch_memory_of_the_largest_document_is_bounded() -> None:
    work = new_workspace(MAX_MEMBERS)
    scratch = sum(array.nbytes for array in work) + new_seen(1 << 24).slots.nbytes + 5 * MAX_MEMBERS
    assert scratch < 150e6
    assert MAX_MEMBERS < 0.75 * MAX_SLOTS


def test_every_field_is_an_exact_integer() -> None:
    assert STATISTICS.num_fields == len(FIELDS)
    assert all(field.type == pa.int64() for field in STATISTICS)
