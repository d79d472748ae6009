"""Promises of the kernel hashes: golden vectors, and kernel = reference."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from curation.text.hashing import (
    SEED,
    hash_bytes,
    hash_bytes_reference,
    hash_word_reference,
    hash_words,
    hash_words_reference,
)


def test_golden_vectors() -> None:
    assert int(SEED) == GOLDEN["seed"]
    assert hash_word_reference("") == GOLDEN["empty"]
    assert hash_word_reference("the") == GOLDEN["the"]
    assert hash_word_reference("語😀") == GOLDEN["語😀"]
    assert hash_words_reference(["of", "the"]) == GOLDEN["of the"]
    assert hash_bytes_reference(b"nine byte") == GOLDEN["nine byte"]


@given(st.binary(max_size=40))
def test_bytes_kernel_equals_reference(data: bytes) -> None:
    buffer = np.frombuffer(b"x" + data, np.uint8)
    assert int(hash_bytes(buffer, 1, len(buffer))) == hash_bytes_reference(data)


@given(st.lists(st.text(max_size=6), min_size=1, max_size=10))
def test_ngram_kernel_equals_reference(words: list[str]) -> None:
    hashes = np.array([hash_word_reference(word) for word in words], np.uint64)
    assert int(hash_words(hashes, 0, len(words))) == hash_words_reference(words)


def test_low_bits_do_not_decide_low_bits() -> None:
    # Under xor-multiply without a shift, words that agree in their low bits have hashes that do.
    words = ["ab", chr(ord("a") + 256) + "b", "a" + chr(ord("b") + 256), chr(ord("a") + 512) + "b"]
    assert len({hash_word_reference(word) & 0xFF for word in words}) > 1


GOLDEN = {
    "seed": 0x046BD49CD69B958D,
    "empty": 0xB1C4FCF84424D63C,
    "the": 0xABEECB223B4BEB17,
    "語😀": 0x3F6D63FE78C3FE9D,
    "of the": 0xF39CD872FA32DD76,
    "nine byte": 0xD0D62A4121EDCADD,
}
