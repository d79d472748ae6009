"""Text shown to people is masked, clipped, and can neither act on the screen nor hide."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.text import display
from curation.text.pii import LONGEST, mask, mask_prefix

any_text = st.text(st.characters(), max_size=300)  # includes lone surrogates and controls
ACTIVE = {"Cc", "Cs", "Zl", "Zp"}


@given(any_text)
def test_nothing_active_is_left(text: str) -> None:
    shown = display.block(text)
    assert not [c for c in shown if unicodedata.category(c) in ACTIVE and c not in "\n\t"]
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\u200b\ufeff")
    assert "\n" not in display.line(text) and "\t" not in display.line(text)
    assert "\n" not in display.name(text)
    shown.encode("utf-8")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "␛[31mred␛[0m"),
        ("\x9b31m", "⟨U+009B⟩31m"),
        ("user\u202egnp.exe", "user⟨U+202E⟩gnp.exe"),
        ("zero\u200bwidth", "zero⟨U+200B⟩width"),
        ("nul\x00 del\x7f", "nul␀ del␡"),
        ("lone \ud800", "lone ⟨U+D800⟩"),
        ("a\r\nb\rc\td", "a\nb␍c\td"),
        ("\U000e0041", "⟨U+E0041⟩"),
        ("e" + "\u0301" * 40, "e" + "\u0301" * 4),
        ("می\u200cخواهم", "می\u200cخواهم"),  # Persian needs its joiner
        ("pay\u200cpal", "pay⟨U+200C⟩pal"),
        ("<b>&amp;", "<b>&amp;"),  # markup is the template's to escape
    ],
)
def test_acting_and_hiding_characters_become_visible(text: str, shown: str) -> None:
    assert display.block(text) == shown


def test_clipping_says_how_much_is_missing() -> None:
    assert display.block("x" * 10_000_000, 1_000) == "x" * 1_000 + " … (+9,999,000 characters)"
    assert display.block("short") == "short"
    assert display.prefix("x" * 2_000, 10_000_000, 1_000) == "x" * 1_000 + " … (+9,999,000 characters)"
    with pytest.raises(ValueError, match="loaded"):
        display.prefix("x" * 1_000, 10_000_000, 1_000)


def test_a_text_of_10_mb_costs_no_more_than_what_is_shown() -> None:
    for text in ("x" * 10_000_000, "\u202e" * 10_000_000, "a@" * 5_000_000, "1" * 10_000_000):
        started = time.process_time()
        assert len(display.block(text, 1_000)) < 10_000
        assert time.process_time() - started < 0.1


def test_bytes_of_a_damaged_record_are_readable() -> None:
    assert display.raw(b"\xff<b>\x1b[2J caf\xc3\xa9 jane@example.org") == "\\xff<b>␛[2J café <email>"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("write to jane.doe+x@mail.example.org.", "write to <email>."),
        ("mailto:a@b.co?subject=1", "mailto:<email>?subject=1"),
        ("from 192.168.0.1, 10.0.0.255.", "from <ip>, <ip>."),
        ("fe80::1 and 2001:db8::8a2e:370:7334", "<ip> and <ip>"),
        ("card 4111 1111 1111 1111", "card <number>"),
        ("card 4111-1111-1111-1111", "card <number>"),
        ("IBAN DE89 3704 0044 0532 0130 00", "IBAN <number>"),
        ("id 123456789012", "id <number>"),
        ("ssn 123-45-6789", "ssn <number>"),
        ("+1 (555) 123-4567", "<phone>"),
        ("call 555-123-4567 or (555) 123-4567", "call <phone> or <phone>"),
        ("Tel. 030 1234567", "Tel. <phone>"),
        ("+49 30 1234567", "<phone>"),
    ],
)
def test_personal_data_is_masked(text: str, masked: str) -> None:
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    ["2024-01-15 at 12:30:45", "01.02.2024", "std::vector", "3.14159265358979", "1990 1991 1992 1993", "1 000 000 000",
     "version 1.2.3", "card 4111 1111 1111 1112", "user@localhost", "a @ b", "10,000,000"],
)  # fmt: skip
def test_dates_numbers_and_code_are_left_alone(text: str) -> None:
    assert mask(text) == text


@given(st.integers(0, 80), st.integers(1, 60))
def test_an_item_at_the_cut_is_masked_as_a_whole(before: int, limit: int) -> None:
    text = "x " * (before // 2) + "jane.doe@mail.example.org" + " y" * 50
    shown, stands_for = mask_prefix(text, limit)
    begins = before // 2 * 2
    assert "@" not in shown and "jane" not in shown
    assert ("<email>" in shown) == (limit > begins)
    assert stands_for == (max(limit, begins + 25) if limit > begins else limit)


@given(any_text, st.integers(0, 300))
def test_masking_a_prefix_is_the_prefix_of_masking_all(text: str, limit: int) -> None:
    shown, stands_for = mask_prefix(text, limit)
    assert mask(text).startswith(shown)
    assert min(limit, len(text)) <= stands_for <= limit + LONGEST


@pytest.mark.parametrize(
    "unit",
    ["a", "a@", "1 ", "1.", "::", "+0", "a.b@c", "(0", "123 456 ", "-0/", "AB12 ", "1:", "0 ", "@a.", "0.0.0", "f:1.1"],
)
def test_masking_takes_linear_time(unit: str) -> None:
    def cost(length: int) -> float:
        text = unit * (length // len(unit))
        started = time.process_time()
        mask(text)
        return time.process_time() - started

    cost(10_000)
    small = max(min(cost(50_000) for _ in range(3)), 1e-3)
    assert min(cost(400_000) for _ in range(2)) < 8 * 3 * small  # a quadratic pattern would need 64 times as long
