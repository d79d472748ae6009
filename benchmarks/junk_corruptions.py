"""Real texts spoiled in known ways, like those that the thresholds of `curate-junk` were chosen on.

Used by benchmarks/junk.py.  Genres: textbooks, abstracts, documentation, maths problems, dialogues, novels in
five languages.  All randomness is seeded.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Callable

ENGLISH = (
    "osbooks-astronomy", "osbooks-us-history", "osbooks-university-physics-bundle", "llm-foundry", "book",
    "react-native-website", "docs", "grade-school-math", "Taskmaster", "d2l-en", "examples", "stacks-project",
)  # fmt: skip
EUROPEAN = ("ELTeC-deu", "ELTeC-fra", "ELTeC-spa", "ELTeC-por", "ELTeC-hun", "ELTeC-ukr", "doc-ru")
SHORTEST, LONGEST = 400, 5000  # characters: longer texts are cut, shorter ones are left out

Spoil = Callable[[str, random.Random], str]


def misread(encoding: str, before: str = "") -> Spoil:
    """UTF-8 read as another encoding; `before` is a letter that gets an accent first, as in the controlled set."""

    def spoil(text: str, rng: random.Random) -> str:
        accented = text.replace("e", before) if before else text
        return "".join(bytes([byte]).decode(encoding, "replace") for byte in accented.encode())

    return spoil


def shuffle(text: str, rng: random.Random) -> str:
    words = text.split()
    rng.shuffle(words)
    return " ".join(words)


def damage(share: float, letters: str) -> Spoil:
    """Half of `share` of the characters dropped, half replaced by one of `letters`."""

    def spoil(text: str, rng: random.Random) -> str:
        kept = []
        for character in text:
            draw = rng.random()
            if draw >= share / 2 or character.isspace():
                kept.append(rng.choice(letters) if draw < share and character.isalpha() else character)
        return "".join(kept)

    return spoil


def symbols(share: float) -> Spoil:
    def spoil(text: str, rng: random.Random) -> str:
        return "".join(rng.choice("#$%^&*_+=~|\\<>[]{}/") if rng.random() < share else c for c in text)

    return spoil


KINDS: dict[str, tuple[tuple[str, ...], Spoil]] = {
    "all capitals": ((*ENGLISH, *EUROPEAN), lambda text, rng: text.upper()),
    "mojibake, é for e, Windows-1252": (ENGLISH, misread("cp1252", "é")),
    "mojibake, é for e, Latin-1": (ENGLISH, misread("latin-1", "é")),
    "mojibake, European, Windows-1252": (EUROPEAN, misread("cp1252")),
    "mojibake, Cyrillic, Windows-1251": (EUROPEAN[-2:], misread("cp1251")),
    "word salad, English": (ENGLISH, shuffle),
    "word salad, other languages": (EUROPEAN, shuffle),
    "OCR noise 0.06, digits and bars": (ENGLISH, damage(0.06, "01|lOqz`")),
    "OCR noise 0.1, digits and bars": (ENGLISH, damage(0.1, "01|lOqz`")),
    "OCR noise 0.2, digits and bars": (ENGLISH, damage(0.2, "01|lOqz`")),
    "OCR noise 0.15, letters only": (ENGLISH, damage(0.15, "etaoinshrlcu")),
    "OCR noise 0.2, other languages": (EUROPEAN, damage(0.2, "01|lOqz`")),
    "no spaces": ((*ENGLISH, *EUROPEAN), lambda text, rng: "".join(text.split())),
    "base64 in lines": (ENGLISH, lambda text, rng: base64.encodebytes(text.encode()).decode()),
    "hexadecimal": (ENGLISH, lambda text, rng: text.encode().hex()),
    "symbols in 0.2 of the characters": (ENGLISH, symbols(0.2)),
}


def spoiled(texts: dict[str, list[str]], kind: str, limit: int) -> list[str]:
    """Up to `limit` spoiled texts of each source (last part of its name)."""
    sources, spoil = KINDS[kind]
    rng = random.Random(kind)
    chosen = []
    for source in sources:
        long_enough = [text for text in texts.get(source, []) if len(text) >= SHORTEST][:limit]
        for text in long_enough:
            start = rng.randrange(max(1, len(text) - LONGEST))
            chosen.append(spoil(text[start : start + rng.randint(SHORTEST, LONGEST)], rng))
    return chosen
