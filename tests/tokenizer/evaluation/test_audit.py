"""What the audit of a vocabulary promises: dead, weak and partial tokens, digits, indentation, round trips."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tokenizer.evaluation_examples import cutter, vocabulary
from tokenizer.encoding.engines import Ids
from tokenizer.evaluation.audit import audit, audit_subject
from tokenizer.evaluation.long_tokens import longest_by_script, script_of
from tokenizer.evaluation.occurrences import token_occurrences
from tokenizer.evaluation.probes import digit_policy, digit_tokens, indentation, round_trip
from tokenizer.evaluation.reachability import partial_characters, reachability
from tokenizer.evaluation.subjects import Subject, byte_text, merge_model, subject_of_vocabulary
from tokenizer.evaluation.yardsticks import installed
from tokenizer.vocabulary import Vocabulary
from tokenizer.words import word_counts_of


def id_of(made: Vocabulary, token: bytes) -> int:
    return made.tokens().index(token)


# --- after full encoding


def test_occurrences_are_counted_after_full_encoding_not_when_the_pair_was_merged() -> None:
    made = vocabulary("then")  # th, the, then
    found = token_occurrences(made, word_counts_of({b"then": 7, b"the": 2, b"x": 5, b"never": 0}))
    assert [int(found[id_of(made, token)]) for token in (b"th", b"the", b"then", b"x")] == [0, 2, 7, 5]
    assert found.sum() == 14


@given(st.dictionaries(st.binary(min_size=1, max_size=9), st.integers(0, 2**33), max_size=20))
def test_occurrences_equal_the_encoding_of_each_word(counts: dict[bytes, int]) -> None:
    made = vocabulary("aa", "aaa", b"\x00\x01\x00", "\u00e9a")
    model = merge_model(made)
    expected = np.zeros(made.vocab_size, np.int64)
    for word, count in counts.items():
        for number in model.encode(byte_text(word)).ids:
            expected[number] += count
    assert (token_occurrences(made, word_counts_of(counts)) == expected).all()


def test_under_trained_tokens_need_counts_and_leave_out_single_bytes() -> None:
    made = vocabulary("then")
    assert audit(made).under_trained is None
    weak = audit(made, word_counts_of({b"then": 100, b"the": 99, b"th": 1})).under_trained
    assert weak is not None and (weak.threshold, weak.count, weak.never) == (100, 2, 0)
    assert [token.text for token in weak.examples] == ["th", "the"]


# --- reachability


def test_a_token_that_the_merges_never_make_is_dead() -> None:
    made = vocabulary("ab", "aba", "abab")  # ab·ab: no merge joins them, so aba and then b is never reached
    found = reachability(subject_of_vocabulary("toy", made))
    assert [made.tokens()[i] for i in found.by_merges] == [b"abab"] and found.by_pattern == []


def test_a_token_over_a_border_of_the_pattern_is_dead() -> None:
    made = vocabulary("a b", "1234", "ab1")
    found = reachability(subject_of_vocabulary("toy", made))
    assert found.by_merges == []
    assert sorted(made.tokens()[i] for i in found.by_pattern) == [b"1234", b"a ", b"a b", b"ab1"]


def test_a_token_that_only_a_neighbour_makes_possible_is_alive() -> None:
    """Alone the pattern cuts a line end from a slash; after punctuation it does not."""
    made = vocabulary("\n/")
    assert reachability(subject_of_vocabulary("toy", made)).by_pattern == []
    gpt2 = vocabulary("\n/", pattern="gpt2")
    assert len(reachability(subject_of_vocabulary("toy", gpt2)).by_pattern) == 1


def test_the_front_of_a_contraction_is_alive() -> None:
    made = vocabulary("you'")  # alone the pattern gives "you" and "'", but "you'LL" is one word
    assert reachability(subject_of_vocabulary("toy", made)).by_pattern == []


def test_an_occurrence_is_evidence_enough() -> None:
    made = vocabulary("a b")
    occurs = np.zeros(made.vocab_size, np.int64)
    occurs[id_of(made, b"a b")] = 1
    found = reachability(subject_of_vocabulary("toy", made), occurs)
    assert [made.tokens()[i] for i in found.by_pattern] == [b"a "]


def test_every_token_trained_from_words_is_reachable() -> None:
    train = pytest.importorskip("tokenizer.training.train").train
    words = ["the", " then", " theme", "12", "123", "  ", "\n\n", "été", " 日本", "('", "');", "don't"]
    counts = word_counts_of({word.encode(): 3 + i for i, word in enumerate(words)})
    made = Vocabulary(vocabulary().pattern, np.asarray(train(counts, 300).merges, np.int32))
    found = audit(made, counts)
    assert found.unreachable.count == 0 and made.vocab_size > 280


def test_foreign_tokens_are_tried_by_their_text_and_the_rest_is_said_to_be_unchecked() -> None:
    texts = ["abcd", "é"]
    subject = cutter("two", 2, texts)
    found = reachability(subject)
    assert (found.by_merges, found.by_pattern, found.unchecked) == ([], [], 0)
    three = cutter("three", 3, ["日x日"])  # b"x日" is cut into x + 2 bytes: parts of characters
    assert reachability(three).unchecked == len(partial_characters(three.tokens)) > 0


def test_only_twelve_tokens_of_o200k_fail_alone_and_none_between_neighbours() -> None:
    pytest.importorskip("rs_bpe")
    subject = installed(["o200k"])[0]
    texts = [(i, token.decode()) for i, token in enumerate(subject.tokens) if is_text(token)]
    ids, offsets = subject.encoder.encode(pa.array([text for _, text in texts], pa.large_string()))
    alone = sum(ids[offsets[row] : offsets[row + 1]].tolist() != [i] for row, (i, _) in enumerate(texts))
    assert alone == 12 and reachability(subject).by_pattern == []


def is_text(token: bytes) -> bool:
    return token.decode("utf-8", "ignore").encode() == token


def test_partial_characters_are_tokens_that_begin_or_end_inside_a_character() -> None:
    made = vocabulary("日本", "é")
    found = [made.tokens()[i] for i in partial_characters(made.tokens())]
    assert found == ["日".encode()[:2], "日本".encode()[:4], "日本".encode()[:5]]


# --- digits, indentation, round trip


@pytest.mark.parametrize(
    ("pattern", "policy"),
    [("o200k", "up to 3 digits a token, grouped from the left"), ("o200k-1digit", "one digit a token")],
)
def test_the_digit_policy_is_read_off_the_pieces(pattern: str, policy: str) -> None:
    numbers = [str(n) for n in range(1000)] + [f"{n:02}" for n in range(100)] + [f"{n:03}" for n in range(1000)]
    subject = subject_of_vocabulary("toy", vocabulary(*numbers, pattern=pattern))
    assert digit_policy(subject) == policy
    assert digit_tokens(subject) == {1: 10, 2: 100, 3: 1000}


def test_free_digit_groups_are_told_from_fixed_ones() -> None:
    assert digit_policy(cutter("five", 5, ["12345678901234567890"])) == "no fixed groups: pieces of up to 5 digits"


def test_indentation_counts_the_tokens_before_and_with_the_letter() -> None:
    found = indentation(subject_of_vocabulary("toy", vocabulary("    ")))
    by_width = {(one.kind, one.width): one.tokens for one in found}
    # the pattern gives the last space to the letter: 4 spaces and x are "   " and " x"
    assert by_width["spaces", 1] == 2 and by_width["spaces", 4] == 3 and by_width["spaces", 8] == 5
    assert by_width["tabs", 8] == 9


def test_every_text_special_name_and_byte_string_comes_back() -> None:
    found = round_trip(subject_of_vocabulary("toy", vocabulary("the", "日本", "    ", specials=("<|a|>", "<|b|>"))))
    assert (found.text_failures, found.special_failures, found.byte_failures, found.missing_bytes) == (0, 0, 0, 0)
    assert found.texts > 1_000 and found.byte_strings and found.byte_strings > 1_000 and found.specials >= 2


def test_a_tokenizer_that_loses_text_is_caught() -> None:
    class Lossy:
        def encode(self, texts: pa.LargeStringArray) -> Ids:
            ids = [[ord(c) for c in text.lower() if ord(c) < 128] for text in texts.to_pylist()]
            offsets = np.cumsum([0, *map(len, ids)])
            return np.array([number for row in ids for number in row], np.uint32), offsets

    subject = Subject("lossy", Lossy(), [bytes([byte]) for byte in range(128)], 128)
    found = round_trip(subject)
    assert found.text_failures > 1_000 and found.missing_bytes == 128 and found.byte_strings is None


# --- longest tokens


@pytest.mark.parametrize(
    ("text", "script"),
    [
        (" the", "Latin"), ("что", "Cyrillic"), ("日本", "Han"), ("です", "Hiragana"), ("한국", "Hangul"),
        ("हिन्दी", "Devanagari"), ("123", "digits"), ("----", "symbols and spaces"), ("ꦗꦮ", "other scripts"),
        ("(日", "Han"), ("١٢", "digits"),
    ],
)  # fmt: skip
def test_the_script_is_that_of_the_first_letter(text: str, script: str) -> None:
    assert script_of(text) == script


def test_the_longest_tokens_of_each_script_come_with_their_counts() -> None:
    tokens = [b"a", b"", "日本語".encode(), "日".encode(), b"abc", b"abd", b"\xe6\x97", b"\xe6"]
    found = {one.script: one for one in longest_by_script(tokens, np.arange(8), listed=2)}
    assert [(one.text, one.characters, one.seen) for one in found["Latin"].longest] == [("abc", 3, 4), ("abd", 3, 5)]
    assert found["Han"].tokens == 2 and found["parts of characters"].longest[0].text == "\\xe6\\x97"
    assert sum(one.tokens for one in found.values()) == 6


def test_an_audit_is_the_same_twice() -> None:
    made = vocabulary("the", "1234")
    assert audit(made) == audit(made)
    assert audit_subject(subject_of_vocabulary("tokenizer", made)) == audit(made)
