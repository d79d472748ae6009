"""Promises of content hashes: what normalisation forgets, what it keeps, kernel = reference."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.text.normalize import content_hash_reference, content_hashes, normalize_reference


def hashed(*texts: str | None) -> list[bytes | None]:
    hashes: list[bytes | None] = content_hashes(pa.array(texts, pa.large_string())).to_pylist()
    return hashes


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=40)), max_size=5))
def test_kernel_equals_reference(texts: list[str | None]) -> None:
    assert hashed(*texts) == [None if text is None else content_hash_reference(text) for text in texts]


def test_white_space_and_invisible_characters_are_forgotten() -> None:
    same = hashed("a b", " a\n\u3000b ", "a \u200b b", "\ufeffa b", "a\u00ad b\x00")
    assert len(set(same)) == 1


def test_case_digits_punctuation_and_word_borders_are_kept() -> None:
    assert len(set(hashed("a 1.", "A 1.", "a 2.", "a 1", "a1."))) == 5


def test_normalised_text_is_a_fixed_point() -> None:
    once = normalize_reference(" Ab\t\u200b c\r\n")
    assert once == "Ab c" == normalize_reference(once)


def test_golden_vector_slices_nulls_and_types() -> None:
    column = pa.array(["skipped", "Hello,\n world", None], pa.large_string()).slice(1)
    assert [value and value.hex() for value in content_hashes(column).to_pylist()] == [GOLDEN, None]
    assert content_hashes(column).type == pa.binary(16)
    assert hashed("") == hashed(" \u200b")
    with pytest.raises(TypeError, match="LargeStringArray"):
        content_hashes(pa.array(["a"]))


GOLDEN = "61f0632fb079b54d7386e91040cf00c3"  # xxh3-128 of `Hello, world`
