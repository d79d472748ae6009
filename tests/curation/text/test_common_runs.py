"""Promises of common runs: everything reported is there, everything long enough is reported, and hostile texts end."""

from __future__ import annotations

import random
import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.text import needle_index
from curation.text.common_runs import RUN, WHOLE_WORDS, common_runs, common_runs_reference
from curation.text.letters import letters, letters_reference
from curation.text.needle_index import STRIDE, WINDOW, build_index, window_hash_reference, window_hashes, windows

LIMIT = needle_index.MAX_TEXTS
WORDS = [f"{a}{b}" for a in ("gravel", "Marsh", "ünder", "o", "12", "can't", "語日") for b in ("", "ing", "-set")]


def column(*texts: str | None) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


def runs(text: str, needles: list[str], words: int = 13, bytes_: int = 50) -> list[tuple[int, int, int, int]]:
    found = common_runs(column(text), build_index(column(*needles)), words, bytes_)
    return list(zip(*(values.tolist() for values in found[1:]), strict=True))


@st.composite
def quotations(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A text that quotes stretches of needles, changed here and there."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    needles = [" ".join(chance.choices(WORDS, k=chance.randint(1, 30))) for _ in range(chance.randint(1, 4))]
    parts: list[str] = []
    for _ in range(draw(st.integers(0, 4))):
        words = chance.choice(needles).split()
        low = chance.randrange(len(words))
        quoted = words[low : low + chance.randint(1, 30)]
        parts += [" ".join(chance.choices(WORDS, k=3)), chance.choice([" ", "\n", ", "]).join(quoted)]
    return " ".join(parts).upper() if chance.random() < 0.3 else " ".join(parts), needles


@settings(max_examples=120, deadline=None)
@given(quotations(), st.sampled_from([(13, 50), (5, 30), (100, 1000)]))
def test_every_run_is_one_of_the_reference_and_every_needle_of_the_reference_is_found(
    case: tuple[str, list[str]], limits: tuple[int, int]
) -> None:
    text, needles = case
    found = runs(text, needles, *limits)
    letters_of_text = letters_reference(text)[0].encode()
    for number, needle in enumerate(needles):
        expected = common_runs_reference(text, needle, *limits)
        ours = {(start, place, length) for start, n, place, length in found if n == number}
        assert ours <= expected
        assert bool(ours) == bool(expected)
        letters_of_needle = letters_reference(needle)[0].encode()
        for start, place, length in ours:
            assert letters_of_text[start : start + length] == letters_of_needle[place : place + length]


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300), st.text(min_size=1, max_size=60))
def test_any_text_agrees_with_the_reference(text: str, needle: str) -> None:
    quoted = f"{text} {needle} {text}"
    found = {(start, place, length) for start, _, place, length in runs(quoted, [needle])}
    expected = common_runs_reference(quoted, needle, 13, 50)
    assert found <= expected and bool(found) == bool(expected)


QUESTION = "Which of the following would be the least destructive to the land around the river mouth?"


def test_a_run_counts_from_thirteen_words_or_fifty_bytes() -> None:
    words = QUESTION.split()
    assert len(runs("we ask " + " ".join(words[:8]), [QUESTION])) == 0  # 46 bytes
    assert len(runs("we ask " + " ".join(words[:9]), [QUESTION])) == 1  # 58 bytes
    short = "is it so or is it not so as he or we do it to us or me"
    assert len(runs("a b " + " ".join(short.split()[:12]), [short])) == 0
    assert len(runs("a b " + " ".join(short.split()[:13]), [short])) == 1  # 31 letters


def test_a_short_needle_counts_as_a_whole_between_ends_of_words() -> None:
    needle = "The reed bends, the oak breaks"
    assert len(runs("He wrote: THE REED BENDS the oak\nbreaks!", [needle])) == 1
    assert runs("the reed bends, the oak breakspear", [needle]) == []
    assert runs("breathe reed bends, the oak breaks", [needle]) == []
    assert runs("the reed bends, the oak", [needle]) == []
    assert WHOLE_WORDS == 5
    assert runs("the reed bends the oak", ["reed bends the oak"]) == []


def test_scripts_without_spaces_need_more_letters_than_words() -> None:
    assert runs("ประสบความสำเร็จ", ["ประสบความสำเร็จในชีวิตการงาน"]) == []  # one Thai word of 15 letters
    text = "".join(chr(0x4E00 + 7 * i) for i in range(40))
    assert runs(text[:25], [text + "終"]) == [(0, 0, 0, 75)]  # 75 bytes, 25 letters
    assert runs(text[:16], [text + "終"]) == []  # 48 bytes


def test_quotations_at_any_place_are_found_whatever_stands_around_them() -> None:
    chance = random.Random(1)
    needle = " ".join(chance.choices(WORDS, k=200))
    whole = letters_reference(needle)[0]
    for start in range(0, 120, 7):
        piece = whole[start : start + 60]
        found = runs(f"{'x' * (start % 9)} {piece} yy", [needle], 5, 30)
        assert sum(length for *_, length in found) >= RUN, piece


def test_windows_of_more_texts_than_the_limit_are_left_out() -> None:
    frame = "Is the following statement true or false? Answer with one of these two words."
    needles = [f"{frame} {number * 7919} is what gravel number {number} costs" for number in range(1, LIMIT + 2)]
    assert runs(frame, needles) == []
    assert max(runs(needles[5], needles), key=lambda run: run[3])[1] == 5
    assert len(runs(frame, needles[:-1])) == LIMIT


def test_hashes_are_pinned_and_the_same_in_numpy_and_python() -> None:
    data = np.frombuffer("whichofthefollowinggivesüber".encode(), np.uint8)
    places = np.arange(len(data) - WINDOW + 1)
    expected = [window_hash_reference(data[i : i + WINDOW].tobytes()) for i in places]
    assert window_hashes(data, places).tolist() == expected
    assert expected[:2] == GOLDEN
    assert (needle_index.INDEX_VERSION, WINDOW, STRIDE) == (1, 16, 8)


def test_windows_are_sorted_and_every_text_has_its_own() -> None:
    found = windows(letters(column(QUESTION, QUESTION, "short")))
    assert found.hash.tolist() == sorted(found.hash.tolist())
    count = (len(letters_reference(QUESTION)[0]) - WINDOW) // STRIDE + 1
    assert np.bincount(found.text, minlength=3).tolist() == [count, count, 0]


def test_empty_inputs() -> None:
    index = build_index(column())
    assert len(common_runs(column("a text", None, ""), index, 13, 50).text) == 0
    assert len(common_runs(column(), build_index(column(QUESTION)), 13, 50).text) == 0
    assert len(common_runs(column(None, "", "!?"), build_index(column(QUESTION)), 13, 50).text) == 0
    with pytest.raises(TypeError):
        common_runs(pa.array(["a"]), index, 13, 50)


@pytest.mark.parametrize(
    "needle",
    ["a" * 3000, "ab " * 1000, QUESTION * 20, "differences between " * 100],
    ids=["a", "ab", "question", "pair"],
)
def test_self_similar_texts_end(needle: str) -> None:
    text = needle * (2_000_000 // len(needle))
    index = build_index(column(*(f"{needle[: 400 + i]} {i}" for i in range(60))))
    common_runs(column("warm"), index, 13, 50)
    start = time.process_time()
    found = common_runs(column(text), index, 13, 50)
    assert len(found.text)
    assert time.process_time() - start < 20


GOLDEN = [17135411058971077982, 6687041448658008694]
