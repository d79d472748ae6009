"""Two texts side by side with the words that only one of them has, for near-duplicates.

Works on texts that are already masked, clipped and marked (`curation.text.display`); what comes
back are pieces for a template, which escapes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

WORDS = 400  # compared on each side: bounds the matcher, whose worst case is quadratic
_PIECE = re.compile(r"\s+|\S+")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of one text; `only` where the other text has nothing like it."""

    text: str
    only: bool


def side_by_side(left: str, right: str) -> tuple[list[Piece], list[Piece]]:
    """Both texts as pieces; beyond the first WORDS words nothing is compared or marked."""
    a, b = _PIECE.findall(left), _PIECE.findall(right)
    head = 2 * WORDS  # words and the gaps between them
    blocks = SequenceMatcher(None, a[:head], b[:head], autojunk=False).get_opcodes()
    ours = [(tag == "equal", start, end) for tag, start, end, _, _ in blocks]
    theirs = [(tag == "equal", start, end) for tag, _, _, start, end in blocks]
    return list(_pieces(a, ours)), list(_pieces(b, theirs))


def _pieces(words: list[str], blocks: list[tuple[bool, int, int]]) -> Iterator[Piece]:
    end = 0
    for same, start, end in blocks:
        if start < end:
            yield Piece("".join(words[start:end]), not same)
    if rest := "".join(words[end:]):
        yield Piece(rest, False)
