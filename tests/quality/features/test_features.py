"""Promises of the features: equal to the slow reference on any text, independent of the batch, bounded."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.features import counters as c
from quality.features import scoring
from quality.features.hashing import document_frequency, hashed_features, known_share, weighted
from quality.features.occurrences import new_workspace
from quality.features.reference import (
    counters_reference,
    features_reference,
    known_share_reference,
    score_reference,
    tokens_reference,
)
from quality.features.scoring import score, score_and_style, style_features
from quality.features.space import FeatureSpace, RowIndex
from quality.features.style import STYLE_NAMES, STYLES
from tests.quality.features.texts import PIECES, column, texts

SMALL = FeatureSpace(8, 6)  # so few buckets that features share them
SPACE = FeatureSpace()
HOSTILE = "".join(PIECES)
PINNED = [
    185111, 313841, 541736, 818877, 865100, 950045, 960979, 1055439, 1116754, 1123336, 1164261, 1167055, 1195874,
    1232850, 1267303, 1272070,
]  # fmt: skip


def counted(text: str) -> dict[str, int]:
    row = scoring.count(column(text))[0]
    return {name: int(row[at]) for name, at in vars(c).items() if name.isupper() and 128 <= at < c.WIDTH}


@settings(max_examples=250)
@given(texts)
def test_counters_equal_the_reference_on_any_text(text: str) -> None:
    found, expected = counted(text), counters_reference(text)
    assert {name: found[name] for name in expected} == expected
    assert set(found) - set(expected) == {"MARKERS"}  # another name of the first list


@settings(max_examples=200)
@given(texts)
def test_ascii_characters_are_counted_as_they_stand(text: str) -> None:
    row = scoring.count(column(text))[0]
    assert row[:128].tolist() == [text.count(chr(x)) for x in range(128)]


@settings(max_examples=300)
@given(st.lists(st.one_of(st.none(), texts), max_size=4), st.sampled_from([SMALL, SPACE]))
def test_hashed_features_equal_the_reference_on_any_text(rows: list[str | None], space: FeatureSpace) -> None:
    found = hashed_features(column(*rows), space)
    assert (len(found.indptr), found.indptr[0], found.indptr[-1]) == (len(rows) + 1, 0, len(found.indices))
    for d, text in enumerate(rows):
        part = slice(found.indptr[d], found.indptr[d + 1])
        expected = features_reference(text or "", space)
        assert dict(zip(found.indices[part].tolist(), found.counts[part].tolist(), strict=True)) == expected
        assert found.indices[part].tolist() == list(expected)


@settings(max_examples=200)
@given(st.lists(texts, max_size=3), st.integers(0, 2**32 - 1), st.integers(0, 9), st.booleans(), st.booleans())
def test_score_equals_the_definition(rows: list[str], seed: int, heads: int, pruned: bool, with_idf: bool) -> None:
    random = np.random.default_rng(seed)
    kept = np.flatnonzero(random.random(SMALL.buckets) < random.random()).astype(np.int32) if pruned else None
    n = SMALL.buckets if kept is None else len(kept)
    weights = random.normal(size=(n, heads)).astype(np.float32)
    idf = (random.random(n) * 5 + 0.1).astype(np.float32) if with_idf else None
    found, _, known = score_and_style(column(*rows), SMALL, weights, idf, kept)
    assert found.dtype == np.float32 and found.shape == (len(rows), heads)
    held = np.isin(np.arange(SMALL.buckets), np.arange(SMALL.buckets) if kept is None else kept)
    assert known.tolist() == [known_share_reference(text, SMALL, kept) for text in rows]
    assert known.tolist() == known_share(hashed_features(column(*rows), SMALL), held).tolist()
    x = weighted(hashed_features(column(*rows), SMALL), kept, idf)
    for d, text in enumerate(rows):
        part = slice(x.indptr[d], x.indptr[d + 1])
        from_rows = x.counts[part].astype(np.float64) @ weights[x.indices[part]].astype(np.float64)
        np.testing.assert_allclose(found[d], from_rows, atol=2e-5)
        np.testing.assert_allclose(found[d], score_reference(text, SMALL, weights, idf, kept), atol=2e-5)


def test_score_equals_the_definition_in_the_full_space() -> None:
    weights = np.random.default_rng(0).normal(size=(SPACE.buckets, 40)).astype(np.float32)
    text = HOSTILE * 30 + " ".join(f"word{i}" for i in range(5000))
    found = score(column(text), SPACE, weights)[0]
    x = weighted(hashed_features(column(text), SPACE), None, None)
    np.testing.assert_allclose(found, x.counts.astype(np.float64) @ weights[x.indices], atol=2e-5)


def test_a_count_beyond_the_table_of_logarithms() -> None:
    weights = np.random.default_rng(0).normal(size=(SMALL.buckets, 3)).astype(np.float32)
    text = "to be or not to be " * 2000
    np.testing.assert_allclose(score(column(text), SMALL, weights)[0], score_reference(text, SMALL, weights), atol=2e-5)


@settings(max_examples=50)
@given(st.lists(st.one_of(st.none(), texts), min_size=1, max_size=6))
def test_a_document_does_not_depend_on_its_batch(rows: list[str | None]) -> None:
    weights = np.random.default_rng(1).normal(size=(SMALL.buckets, 5)).astype(np.float32)
    whole = score_and_style(column(*rows), SMALL, weights)
    sliced = score_and_style(column("before", *rows, "after").slice(1, len(rows)), SMALL, weights)
    for d, row in enumerate(rows):
        alone = score_and_style(column(row), SMALL, weights)
        assert np.array_equal(whole.scores[d], alone.scores[0]) and np.array_equal(whole.style[d], alone.style[0])
        assert np.array_equal(whole.scores[d], sliced.scores[d]) and np.array_equal(whole.style[d], sliced.style[d])


def test_more_documents_than_a_block() -> None:
    rows = [f"text number {i} of many\n" * (i % 5) for i in range(2 * scoring.BLOCK_DOCUMENTS + 3)]
    whole = style_features(column(*rows))
    for d in (0, 1, scoring.BLOCK_DOCUMENTS, len(rows) - 1):
        assert np.array_equal(whole[d], style_features(column(rows[d]))[0])


@settings(max_examples=300)
@given(texts)
def test_style_is_finite_and_shares_are_shares(text: str) -> None:
    row = style_features(column(text))[0]
    assert np.isfinite(row).all() and (row >= 0).all()
    for style, value in zip(STYLES, row, strict=True):
        if "/ words" not in style.formula and "/ word" not in style.formula and "/" in style.formula:
            assert style.name.startswith("log_") or value <= 1.0, style.name


def test_every_statistic_sees_what_its_name_says() -> None:
    shown = {
        "log_chars": "abc", "log_words": "a b", "log_lines": "a\nb", "log_longest_word": "abcdef",
        "word_length": "abcd",
        "word_length_sd": "a abcd", "long_words": "lengthy", "very_long_words": "exceedingly",
        "capitalised_words": "Ab",
        "upper_words": "AB", "words_with_digit": "b2b", "numbers": "42", "dates": "in May 1945", "stop_words": "the",
        "foreign_stop_words": "und", "second_person": "Your", "first_person": "We", "connectives": "Therefore",
        "instructions": "click", "question_words": "Why", "hedges": "perhaps", "terms_of_sale": "SALE",
        "distinct_words": "a", "distinct_pairs": "a b", "distinct_lines": "a", "log_sentence_length": "A b.",
        "log_sentence_length_sd": "A. B c d.", "questions": "Is it?", "exclamations": "Go!", "log_line_length": "abc",
        "log_line_length_sd": "a\nabc", "short_lines": "a", "blank_lines": "a\n\nb", "list_lines": "- a",
        "step_lines": "1. a", "heading_lines": "# a", "indented_lines": "    a", "table_lines": "| a | b |",
        "ended_lines": "a.", "colon_lines": "a:", "code_lines": "a;", "upper_case": "A",
        "digits": "1", "commas": "a, b",
        "semicolons": "a; b", "quotes": '"a"', "brackets": "(a)", "code_characters": "a[0]",
        "formula_characters": "x^2",
        "other_signs": "«a»", "foreign_letters": "é", "unspaced_letters": "中", "invisible": "a\x00",
        "links": "see http://a", "prices": "a $5",
    }  # fmt: skip
    assert tuple(shown) == STYLE_NAMES
    for j, (name, text) in enumerate(shown.items()):
        assert style_features(column(text))[0, j] > 0, name
    absent = style_features(column("abc"))[0]
    present = {"log_chars", "log_words", "log_lines", "log_longest_word", "word_length", "distinct_words"}
    present |= {"distinct_pairs", "distinct_lines", "log_sentence_length", "log_line_length", "short_lines"}
    assert {n for n, v in zip(STYLE_NAMES, absent, strict=True) if v} == present - {"distinct_pairs"}


def test_tokens() -> None:
    assert tokens_reference("Don't stop_it! 中文กิx²") == ["Don", "'", "t", "stop_it", "!", "中", "文", "กิ", "x²"]


def test_empty_null_and_invisible_texts_have_no_features_and_score_nothing() -> None:
    rows = column("", None, " \n\t", "\u200b\x00")
    weights = np.ones((SMALL.buckets, 2), np.float32)
    assert len(hashed_features(rows, SMALL).indices) == 0
    assert not score(rows, SMALL, weights).any()
    assert hashed_features(column(), SMALL).indptr.tolist() == [0]
    assert score(column(), SMALL, weights).shape == (0, 2) and style_features(column()).shape == (0, len(STYLES))


def test_bytes_that_are_not_utf8_neither_crash_nor_vary() -> None:
    data = bytes(range(256)) * 3 + b"\xf4\x8f\xbf" + b"\xe2\x82"
    arrays = [
        pa.LargeStringArray.from_buffers(1, pa.py_buffer(np.array([0, len(data)], np.int64)), pa.py_buffer(data + tail))
        for tail in (b"", b"\xac\xff\xff")
    ]
    weights = np.random.default_rng(0).normal(size=(SMALL.buckets, 3)).astype(np.float32)
    first, second = (score_and_style(array, SMALL, weights) for array in arrays)
    assert np.array_equal(first.scores, second.scores) and np.array_equal(first.style, second.style)


@pytest.mark.parametrize("text", ["7" * 2_000_000, "字" * 700_000, "\n" * 2_000_000, "." * 2_000_000, "a" * 2_000_000])
def test_long_monotonous_documents(text: str) -> None:
    weights = np.ones((SMALL.buckets, 2), np.float32)
    found = score_and_style(column(text), SMALL, weights)
    assert np.isfinite(found.scores).all() and np.isfinite(found.style).all()


def test_scratch_memory_is_bounded_by_the_buckets() -> None:
    for length in (10**8, 10**12):
        work = new_workspace(SPACE, length)
        assert sum(array.nbytes for array in work) < 26e6
    many = " ".join(map(str, np.random.default_rng(0).integers(0, 10**6, 300_000).tolist()))
    small = FeatureSpace(10, 6)
    found = hashed_features(column(many), small)  # every bucket is taken, the table is as full as it gets
    assert len(found.indices) == small.word_buckets + small.char_buckets
    assert document_frequency(found, small).tolist() == [1] * small.buckets


def test_rows_of_kept_buckets() -> None:
    kept = np.array([0, 3, 63, 64, 200, 256, 319], np.int32)
    index = RowIndex.of(SMALL, kept)
    assert index.rows == 7
    held = [b for b in range(SMALL.buckets) if int(index.bits[b >> 6]) >> (b & 63) & 1]
    assert held == kept.tolist() and index.before.tolist() == [0, 3, 4, 4, 5]
    for wrong in ([3, 3], [5, 2], [-1, 2], [320]):
        with pytest.raises(ValueError, match="ascending"):
            RowIndex.of(SMALL, np.array(wrong, np.int32))


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="word_bits"):
        FeatureSpace(30, 18)
    with pytest.raises(ValueError, match="version"):
        FeatureSpace(version=99)
    with pytest.raises(ValueError, match="320 rows"):
        score(column("a"), SMALL, np.zeros((5, 1), np.float32))
    with pytest.raises(ValueError, match="320 rows"):
        score(column("a"), SMALL, np.zeros((320, 1), np.float32), np.zeros(4, np.float32))
    with pytest.raises(TypeError, match="LargeStringArray"):
        hashed_features(pa.array(["a"], pa.string()), SMALL)


def test_buckets_are_pinned() -> None:
    """A model on disk depends on them: a change needs a new FEATURE_VERSION."""
    found = hashed_features(column("Ärger 7 中!"), SPACE)
    assert found.indices.tolist() == PINNED
