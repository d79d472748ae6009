"""Hostile and ordinary texts for the tests of the features."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import strategies as st

PIECES = [
    "the", "The", "ÅNGSTRÖM", "i", "İstanbul", "ΣΟΦΟΣ", "don't", "x_y", "http://a.com/b?c",
    "WWW.x.org", "www.", "://",
    "1999", "2024", "12", "3.14", "007a", "$5", "€", "£9", "?", "!", "...", "…", "?!", "؟", "。",
    "！", "．", "中文", "字",
    "กำ", "กา", "か\u3099", "नि", "е\u0301", "\u0301", "\n", "\n\n", "\r\n", "\u2028", "\x1c", "\t",
    "    ", " ", "\xa0", "\x00",
    "\u200b", "\u00ad", "👩‍💻", "𝔘", "\U0010ffff", "\ufffd", "|", "| a | b |", "# ", "- ", "* x",
    "• ", "1. ", "12) ", "1234. ",
    "a)", ";", "{", "}", ":", "because", "March", "\U0001003a//", "Ⓐ", "²", "٣",
]  # fmt: skip
texts = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from(PIECES), max_size=40).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=40).map(" ".join),
    st.lists(st.sampled_from(["a", "b", "A", "1", ".", "\n", " "]), max_size=60).map("".join),
    st.lists(st.sampled_from(["a b", "a b.", "- c", "1. d", "", "  "]), max_size=20).map("\n".join),
)


def column(*rows: str | None) -> pa.LargeStringArray:
    return pa.array(rows, pa.large_string())
