"""The longest tokens of each script: where spam, boilerplate and markup of the training text show first.

A vocabulary trained on uncleaned pages holds long tokens of gambling and pornography (reference §6, citing
arXiv 2508.17771), which a person recognises at once.  A token's script is that of its first letter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import regex
from numpy.typing import NDArray

SCRIPTS = (
    "Latin", "Cyrillic", "Greek", "Armenian", "Georgian", "Hebrew", "Arabic", "Syriac", "Devanagari", "Bengali",
    "Gurmukhi", "Gujarati", "Oriya", "Tamil", "Telugu", "Kannada", "Malayalam", "Sinhala", "Thai", "Lao", "Tibetan",
    "Myanmar", "Khmer", "Ethiopic", "Mongolian", "Hangul", "Hiragana", "Katakana", "Han",
)  # fmt: skip
OTHER, NUMBERS, SYMBOLS, PARTS = "other scripts", "digits", "symbols and spaces", "parts of characters"
LISTED = 16


@dataclass(frozen=True)
class LongToken:
    """characters: code points.  seen: occurrences in the training counts or, without them, in the documents."""

    id: int
    text: str
    characters: int
    seen: int | None


@dataclass(frozen=True)
class ScriptTokens:
    script: str
    tokens: int
    longest: list[LongToken]


@cache
def _first_letter() -> regex.Pattern[str]:
    return regex.compile("|".join(rf"(?P<{name}>[\p{{Script={name}}}&&\p{{L}}])" for name in SCRIPTS), regex.V1)


def script_of(text: str) -> str:
    """The script of the first letter; `digits` or `symbols and spaces` for a text without letters."""
    match = _first_letter().search(text)
    if match is not None:
        return str(match.lastgroup)
    if any(character.isalpha() for character in text):
        return OTHER
    return NUMBERS if any(character.isnumeric() for character in text) else SYMBOLS


def longest_by_script(
    tokens: Sequence[bytes], seen: NDArray[np.int64] | None = None, listed: int = LISTED
) -> list[ScriptTokens]:
    """Every script that has tokens, most tokens first, with its longest ones (ties by id).

    Parts of characters (not valid UTF-8, two bytes or more) are a group of their own, by bytes.
    """
    members: dict[str, list[tuple[int, int, str]]] = {}
    for number, token in enumerate(tokens):
        try:
            text = token.decode()
            script = script_of(text)
        except UnicodeDecodeError:
            if len(token) == 1:
                continue  # one of the 128 bytes above ASCII that every vocabulary has
            text, script = token.decode("utf-8", "backslashreplace"), PARTS
        if token:
            members.setdefault(script, []).append((-len(text) if script != PARTS else -len(token), number, text))
    return [
        ScriptTokens(
            script,
            len(found),
            [
                LongToken(number, text, -length, None if seen is None else int(seen[number]))
                for length, number, text in sorted(found)[:listed]
            ],
        )
        for script, found in sorted(members.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
