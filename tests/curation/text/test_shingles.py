"""Promises of shingles: what a word is, kernel = reference, short and huge documents, a pinned format."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.text.make_case_folding import fold
from curation.text.shingles import (
    BLOCK,
    CODE,
    distinct,
    shingle_hashes,
    shingles_reference,
    word_table,
    words_reference,
)


def lists(texts: list[str | None], words: int = 5) -> list[list[int]]:
    values, ends = shingle_hashes(pa.array(texts, pa.large_string()), words)
    return [part.tolist() for part in np.split(values, ends[:-1])]


wordy = st.text(st.sampled_from("aB1_é̂ \n.,-ไทย中文\u200b\u00ad\x00ΣςİКの́😀"), max_size=60)


@settings(max_examples=200)
@given(st.lists(st.one_of(st.none(), st.text(max_size=60), wordy), max_size=5), st.sampled_from([1, 5]))
def test_kernel_equals_reference(texts: list[str | None], words: int) -> None:
    assert lists(texts, words) == [shingles_reference(text or "", words) for text in texts] or not texts


@settings(max_examples=100)
@given(st.text(st.characters(max_codepoint=0x24F, blacklist_categories=["Cc", "Cf", "M"]), max_size=80))
def test_words_of_latin_text_are_those_of_a_regular_expression(text: str) -> None:
    if "İ" not in text:  # Python lowers it to two code points
        assert words_reference(text) == re.findall(r"\w+", text.lower().translate({0xB5: 0x3BC, 0x17F: "s"}))


def test_words_of_other_scripts() -> None:
    assert words_reference("नमस्ते दुनिया") == ["नमस्ते", "दुनिया"]  # `\\w+` would cut at the vowel signs
    assert words_reference("ที่นี่ abc中文x") == ["ที่", "นี่", "abc", "中", "文", "x"]
    assert words_reference("soft\u00adhyphen zero\u200bwidth") == ["softhyphen", "zerowidth"]
    assert words_reference("ΟΔΟΣ οδος ς") == ["οδοσ", "οδοσ", "σ"]
    assert words_reference("İstanbul ISTANBUL") == ["istanbul", "istanbul"]


def test_digits_are_not_folded_and_punctuation_is_no_word() -> None:
    assert lists(["on 1 may 2020 we met"]) != lists(["on 1 may 2021 we met"])
    assert lists(["", " \n", "—…!? *** ()"]) == [[], [], []]
    assert lists(["A, b! C; d. E?"]) == lists(["a b c d e"])


def test_documents_of_one_to_four_words_are_one_hash_of_all_words() -> None:
    texts = ["one", "one two", "one two three", "one two three four", "one two three four five"]
    hashes = lists([*texts, "ONE, two THREE."])
    assert [len(one) for one in hashes] == [1] * 6
    assert len({one[0] for one in hashes[:5]}) == 5
    assert hashes[5] == hashes[2]


def test_words_across_the_borders_of_blocks() -> None:
    for count in (BLOCK - 3, BLOCK - 2, BLOCK - 1, BLOCK, 3 * BLOCK + 7):
        text = " ".join(f"w{i}" for i in range(count))
        assert lists([text]) == [shingles_reference(text)]
    assert len(lists(["中" * (2 * BLOCK)])[0]) == 2 * BLOCK - 4


def test_distinct_sorts_each_document_and_drops_repetitions() -> None:
    text = "to be or not to be or not to be or not"
    values, ends = distinct(shingle_hashes(pa.array([text, "", text + " x"], pa.large_string())))
    first = sorted(set(shingles_reference(text)))
    assert values[: ends[0]].tolist() == first and len(first) == 4
    assert ends.tolist() == [4, 4, 9]
    assert values[4:].tolist() == sorted(set(shingles_reference(text + " x")))


def test_the_folding_table_is_idempotent_and_that_of_this_module() -> None:
    folded = (word_table() & CODE).tolist()
    assert all(folded[folded[code]] == folded[code] for code in range(0x20000))
    assert [folded[ord(c)] for c in "AZaz09_ÉЯΣς"] == [ord(c) for c in "azaz09_éяσσ"]
    assert fold(ord("Q")) == ord("q") and fold(0xD800) == 0xD800


def test_golden_vectors_slices_and_types() -> None:
    column = pa.array(["skipped", "The quick brown fox jumps over", None, "two words"], pa.large_string()).slice(1)
    values, ends = shingle_hashes(column)
    assert (values.tolist(), ends.tolist()) == (GOLDEN, [2, 2, 3])
    with pytest.raises(TypeError, match="LargeStringArray"):
        shingle_hashes(pa.array(["a"]))


@pytest.mark.slow
def test_a_document_of_forty_megabytes() -> None:
    text = "a b " * 10_000_000
    values, ends = distinct(shingle_hashes(pa.array([text], pa.large_string())))
    assert values.tolist() == sorted(set(shingles_reference("a b a b a b"))) and ends.tolist() == [2]


GOLDEN = [3942845772, 2841460616, 4230993265]
