"""The scanner cuts text exactly where Hugging Face's `Split` does, in linear time, whatever the text."""

from __future__ import annotations

import random
import time
import warnings

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenizer.splitting.patterns import PATTERNS, Pattern, pattern_of
from tokenizer.splitting.pretokenize import word_ends, word_ends_reference
from tokenizer.splitting.scan_rules import rules_of
from tokenizer.splitting.unicode_table import unicode_classes

SCANNED = [pattern for pattern in PATTERNS.values() if rules_of(pattern) is not None]
O200K = PATTERNS["o200k"]

# Every class, its neighbours, and what the expressions name; reference §10, no. 8.
PIECES = [
    *"aBǅ中éʰ1٣Ⅷ½ \t\n\r'sSſtTmMdD/-🙂_.,!Kßक", "\u0301", "\u093f", "\u00a0", "\u3000", "\u200d", "\ufe0f", "\x0b",
    "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\u200b", "\ufeff", "\x00", "'re", "'VE", "'ll", "'Ll", "'LL", "’s",
    "\r\n", "ﬆ", "👩\u200d👧", "e\u0301", "İ", "\U00010d40", "\u0c5c", "\U000323b0", "\U0010ffff", "\ud7ff", "\ue000",
    "don't", "I'M", "  ",
]  # fmt: skip


def words(texts: list[str | None], pattern: Pattern) -> list[list[bytes]]:
    """The words of each text by `word_ends`."""
    array = pa.array(texts, pa.large_string())
    ends, first = word_ends(array, pattern)
    assert ends.dtype == first.dtype == np.int64
    assert len(first) == len(texts) + 1
    found, begin = [], 0
    data = "".join(text or "" for text in texts).encode()
    for row in range(len(texts)):
        found.append([])
        for end in ends[first[row] : first[row + 1]].tolist():
            found[-1].append(data[begin:end])
            begin = end
    assert begin == len(data)
    return found


def expected(texts: list[str], pattern: Pattern) -> list[list[bytes]]:
    return [word_ends_reference(text, pattern) for text in texts]


def test_all_presets_but_the_three_staged_have_a_scanner() -> None:
    assert set(PATTERNS) - {pattern.name for pattern in SCANNED} == {"deepseek-v3"}


@pytest.mark.parametrize("pattern", SCANNED, ids=lambda pattern: pattern.name)
@given(texts=st.lists(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), min_size=1, max_size=8))
@settings(max_examples=150)
def test_risky_characters_are_cut_as_hugging_face_cuts_them(pattern: Pattern, texts: list[str]) -> None:
    assert words(texts, pattern) == expected(texts, pattern)


@pytest.mark.parametrize("pattern", SCANNED, ids=lambda pattern: pattern.name)
@given(text=st.text(max_size=40))
@settings(max_examples=60)
def test_any_text_is_cut_as_hugging_face_cuts_it(pattern: Pattern, text: str) -> None:
    assert words([text], pattern) == expected([text], pattern)


@pytest.mark.parametrize("pattern", SCANNED, ids=lambda pattern: pattern.name)
def test_code_points_around_every_class_border(pattern: Pattern) -> None:
    """Four code points around each border between two classes, in contexts that make every class visible."""
    borders = np.flatnonzero(np.diff(unicode_classes().astype(int)))
    codes = sorted({int(b) + d for b in borders for d in (-1, 0, 1, 2)} - set(range(0xD800, 0xE000)))
    characters = [chr(code) for code in codes if 0 <= code < 0x110000]
    text = "".join(f"a{c}b {c}A1{c}!'{c}\n {c}{c}  {c}B" for c in characters)
    assert words([text], pattern) == expected([text], pattern)


@pytest.mark.parametrize("pattern", SCANNED, ids=lambda pattern: pattern.name)
def test_random_mixtures_of_long_texts(pattern: Pattern) -> None:
    chance = random.Random(7)
    texts = ["".join(chance.choices(PIECES, k=chance.randrange(400))) for _ in range(150)]
    assert words(texts, pattern) == expected(texts, pattern)


@pytest.mark.parametrize(
    "unit", [" ", "\n", "a", "A", "中", "\t", "1", "!", "\u0301", "'", "aA", " \n", "中A", "'s", " a"]
)
def test_a_million_of_anything_is_cut_in_linear_time(unit: str) -> None:
    """Quadratic time would be hours; regular-expression engines overflow their stack on some of these."""
    words(["warm"], O200K)
    text = unit * (1_000_000 // len(unit))
    start = time.process_time()
    found = words([text], O200K)[0]
    assert time.process_time() - start < 5
    assert b"".join(found) == text.encode()
    # the words of a long repetition repeat: its head and tail are those of a short one
    short = word_ends_reference(unit * 40, O200K)
    if len(short) > 2:
        assert found[:2] == short[:2]
        assert len(found[-1]) <= len(short[-1]) + 4
    else:
        assert len(found) == len(short)


def test_whitespace_before_a_word_leaves_one_space_to_it() -> None:
    spaces = " " * 1_000_000
    assert words([spaces + "x"], O200K) == [[spaces[1:].encode(), b" x"]]


def test_empty_null_and_sliced_columns() -> None:
    assert words([], O200K) == []
    assert words(["", None, "a b", None, ""], O200K) == [[], [], [b"a", b" b"], [], []]
    column = pa.array(["skipped", "one two", "three"], pa.large_string()).slice(1)
    ends, first = word_ends(column, O200K)
    assert (ends - len("skipped")).tolist() == [3, 7, 12]
    assert first.tolist() == [0, 2, 3]


def test_words_of_a_document_do_not_depend_on_its_neighbours() -> None:
    texts = ["ends in space ", " begins", "don'", "t", "1", "23\n", "\nx"]
    assert words(texts, O200K) == [words([text], O200K)[0] for text in texts]


@given(data=st.lists(st.binary(max_size=30), min_size=1, max_size=4))
def test_bytes_that_are_no_utf8_are_covered_without_a_crash(data: list[bytes]) -> None:
    """Arrow does not check; each broken byte counts as one U+FFFD."""
    array = pa.array(data, pa.large_binary()).view(pa.large_string())
    for pattern in (O200K, PATTERNS["gpt2"]):
        ends, first = word_ends(array, pattern)
        lengths = np.cumsum([len(one) for one in data])
        assert (np.diff(ends, prepend=0) > 0).all()
        assert [int(ends[k - 1]) if k else 0 for k in first[1:]] == lengths.tolist()


@pytest.mark.parametrize("name", ["deepseek-v3", r"\p{L}+|\s+(?=x)"])
def test_other_patterns_take_the_slow_path_and_say_so(name: str) -> None:
    texts = ["Hello 12345 中国カナ !abc", "", "x y\n\n z  x", "مرحبا 🙂"]
    pattern = pattern_of(name)
    with pytest.warns(UserWarning, match="slow path"):
        assert words(texts, pattern) == expected(texts, pattern)


def test_the_scanner_does_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        words(["a"], O200K)
