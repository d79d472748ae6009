"""Promises of the excerpts: short, deterministic, whole characters, no personal data, any document."""

from __future__ import annotations

import time
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from quality.judge.windows import WINDOW_CHARS, excerpt


def test_a_short_text_is_sent_whole() -> None:
    for text in ("", "a", "x" * WINDOW_CHARS):
        assert excerpt(text).windows == (text,) and excerpt(text).left_out == ()


def test_a_long_text_gives_begin_middle_and_end() -> None:
    text = "".join(f"{i:06d} " for i in range(5_000))
    made = excerpt(text)
    assert len(made.windows) == 3 and made.chars == len(text)
    assert text.startswith(made.windows[0]) and text.endswith(made.windows[2]) and made.windows[1] in text
    assert sum(map(len, made.windows)) <= WINDOW_CHARS
    assert sum(map(len, made.windows)) + sum(made.left_out) == len(text)
    assert excerpt(text) == made != excerpt(text + "!")


PIECES = ["a", " ", "é", "e\u0301", "\u200d", "👩‍🔬", "中", "\u0300"]


@given(st.lists(st.sampled_from(PIECES), max_size=120).map("".join), st.integers(6, 60))
def test_windows_are_in_order_and_begin_with_no_loose_mark(text: str, limit: int) -> None:
    made = excerpt(text, limit=limit, mask=False)
    assert sum(map(len, made.windows)) + sum(made.left_out) == len(text)
    assert all(gap >= 0 for gap in made.left_out)
    place = 0
    for window, gap in zip(made.windows, (*made.left_out, 0), strict=True):
        assert text[place : place + len(window)] == window
        marks = len(window) - len(window.lstrip("\u0300\u0301\u200d"))
        if place and window and marks == 0:
            assert not unicodedata.combining(window[0])
        place += len(window) + gap


def test_personal_data_is_masked_also_where_a_window_would_cut_it() -> None:
    each = WINDOW_CHARS // 3
    for shift in range(0, 26):
        text = "a" * (each - shift - 1) + " john.smith@example.org " + "b " * 4_000
        sent = "".join(excerpt(text).windows)
        assert "john" not in sent and "smith" not in sent and "example" not in sent, shift
    assert "john@example.org" in excerpt("mail john@example.org", mask=False).windows[0]


def test_forty_megabytes_cost_little() -> None:
    text = "many words " * 3_700_000
    begin = time.process_time()
    made = excerpt(text)
    assert sum(map(len, made.windows)) <= WINDOW_CHARS and made.chars == len(text) > 40_000_000
    assert time.process_time() - begin < 2.0


def test_a_run_of_combining_marks_moves_an_edge_only_so_far() -> None:
    made = excerpt("a" + "\u0301" * 50_000)
    assert len(made.windows) == 3 and all(made.windows)
