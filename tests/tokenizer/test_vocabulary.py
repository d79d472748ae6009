"""What a vocabulary promises: its layout, its identity, and that it cannot hold a token before it exists."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import pre_tokenizers

from curation.pipeline.errors import UsageError
from tokenizer.splitting.patterns import pattern_of
from tokenizer.vocabulary import BYTE_CHARACTERS, BYTE_IDS, DEFAULT_SPECIALS, Vocabulary
from tokenizer.words import WordCounts, word_counts_of

MERGES = np.array([[64, 65], [256, 66], [257, 257]], np.int32)


def vocabulary(merges: np.ndarray = MERGES, **changes: object) -> Vocabulary:
    return Vocabulary(**{"pattern": pattern_of("o200k"), "merges": merges, **changes})  # type: ignore[arg-type]


def test_byte_ids_are_the_ranks_of_hugging_faces_alphabet() -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    assert [alphabet[BYTE_IDS[byte]] for byte in range(256)] == list(BYTE_CHARACTERS)
    for text in ("a b\n", "é", "日本", "\x00\x7f\xad"):
        pieces = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text)
        assert pieces[0][0] == "".join(BYTE_CHARACTERS[byte] for byte in text.encode())


def test_tokens_are_the_bytes_and_then_one_per_merge() -> None:
    tokens = vocabulary().tokens()
    assert sorted(tokens[:256]) == [bytes([byte]) for byte in range(256)]
    assert tokens[256:] == [b"ab", b"abc", b"abcabc"]


def test_rows_are_whole_blocks_with_specials_after_the_merges() -> None:
    assert vocabulary().vocab_size == 259
    assert vocabulary().rows == 320
    ids = vocabulary().special_ids
    assert ids[DEFAULT_SPECIALS[0]] == 259
    assert list(ids.values()) == list(range(259, 320))
    assert list(ids)[-1] == f"<|reserved_{320 - 259 - len(DEFAULT_SPECIALS) - 1}|>"
    assert vocabulary(specials=()).special_ids["<|reserved_0|>"] == 259


def test_the_default_size_gives_the_rows_of_the_contract() -> None:
    chain = np.stack([np.full(199_744, 64, np.int32), np.arange(199_744, dtype=np.int32) + 255], axis=1)
    chain[0] = 64, 65
    assert (vocabulary(chain).vocab_size, vocabulary(chain).rows) == (200_000, 200_064)


def test_truncating_keeps_the_first_merges() -> None:
    assert vocabulary().truncated(257).tokens()[256:] == [b"ab"]
    assert vocabulary().truncated(256).vocab_size == 256
    for size in (255, 260):
        with pytest.raises(UsageError, match="cannot be cut"):
            vocabulary().truncated(size)


def test_the_hash_sees_all_that_decides_ids_and_nothing_else() -> None:
    base = vocabulary().hash
    assert base == vocabulary(provenance={"note": 1}).hash == vocabulary(MERGES.copy()).hash
    others = [
        vocabulary(MERGES[:2]),
        vocabulary(specials=("<|endoftext|>",)),
        vocabulary(pattern=pattern_of("gpt2")),
        vocabulary(unicode_version="other"),
    ]
    assert len({base, *(other.hash for other in others)}) == 5


@pytest.mark.parametrize(
    ("merges", "message"),
    [
        (np.array([[64, 256]], np.int32), "does not exist yet"),
        (np.array([[64, -1]], np.int32), "does not exist yet"),
        (np.array([[64, 65], [64, 65]], np.int32), "occurs twice"),
        (np.array([[64, 65]], np.int64), "int32"),
    ],
)
def test_merges_that_cannot_be_are_refused(merges: np.ndarray, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        vocabulary(merges)


@pytest.mark.parametrize("specials", [("<|a|>", "<|a|>"), ("",), ("<|reserved_3|>",)])
def test_bad_specials_are_refused(specials: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="special token"):
        vocabulary(specials=specials)


def test_word_counts_check_their_types() -> None:
    words = pa.array([b"a", b"b"], pa.large_binary())
    for counts in (np.array([1], np.int64), np.array([1, 2], np.int32), np.array([1, -2], np.int64)):
        with pytest.raises(UsageError, match="count"):
            WordCounts(words, counts)
    with pytest.raises(UsageError, match="large_binary"):
        WordCounts(words.cast(pa.binary()), np.array([1, 2], np.int64))


def test_the_digest_of_word_counts_sees_words_not_buffers() -> None:
    whole = word_counts_of({b"a": 1, b"bb": 2, b"ccc": 3})
    part = WordCounts(whole.words.slice(1), whole.counts[1:])
    assert part.digest == word_counts_of({b"bb": 2, b"ccc": 3}).digest
    assert len({whole.digest, part.digest, word_counts_of({b"b": 2, b"bccc": 3}).digest}) == 3
