"""Writes data/character_classes.tsv and data/exceptions.tsv from their published sources.

A maintainer's tool, not part of any run: `python -m curation.text.make_tables` in an environment
with `unicodedata2` (general categories), `spacy` 3.8 (MIT: English character classes and
tokenizer exceptions) and `datatrove` 0.10 (Apache-2.0: punctuation sets).  A new source
version may change decisions: raise `SEGMENTER_VERSION` and publish the parity again.
"""

from __future__ import annotations

import re
from importlib.metadata import version
from itertools import groupby
from pathlib import Path

import spacy  # type: ignore[import-not-found]
import unicodedata2 as ucd  # type: ignore[import-not-found]
from datatrove.utils.text import PUNCTUATION_SET, TERMINAL_PUNCTUATION
from spacy.attrs import ORTH  # type: ignore[import-not-found]
from spacy.lang import char_classes as spacy_classes  # type: ignore[import-not-found]
from spacy.lang import punctuation as spacy_punctuation

from curation.text.character_classes import CODE_POINTS
from curation.text.character_classes import CharacterClass as C

DATA = Path(__file__).parent / "data"

# Blocks of scripts that put no spaces between words (Thai to Tibetan, Han, kana, Yi …).
UNSPACED_BLOCKS = [
    (0x0E00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x1950, 0x19DF), (0x1A20, 0x1AAF),
    (0x1B00, 0x1B7F), (0x3005, 0x3007), (0x3021, 0x3029), (0x3031, 0x3035), (0x3038, 0x303C),
    (0x3040, 0x312F), (0x31A0, 0x31BF), (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0xA48F),
    (0xA980, 0xA9FF), (0xAA60, 0xAADF), (0xF900, 0xFAFF), (0xFF66, 0xFF9F), (0x1AFF0, 0x1B16F),
    (0x20000, 0x3FFFF),
]  # fmt: skip
LINE_BREAKS = set("\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029")
LITERAL_PREFIXES = set("§%=—–")
LITERAL_SUFFIXES = set("—–")
OTHER_ACTIVE = set("+-*^,:<>=/.~@|\\'’$")


def single(pieces: list[str]) -> set[str]:
    """The one-character members of one of spaCy's lists of regular expressions."""
    plain = (piece.removeprefix("\\") for piece in pieces)
    return {piece for piece in plain if len(piece) == 1}


def in_set(body: str) -> set[str]:
    """Every character that the regular expression `[body]` matches."""
    return set(re.compile(f"[{body}]").findall("".join(chr(c) for c in range(CODE_POINTS))))


def character_bits() -> list[int]:
    punct, quotes = single(spacy_classes.LIST_PUNCT), single(spacy_classes.LIST_QUOTES)
    currency, icons = single(spacy_classes.LIST_CURRENCY), in_set(spacy_classes.CONCAT_ICONS)
    lower, ellipsis = in_set(spacy_classes.ALPHA_LOWER), {"…"}
    suffixes = spacy_punctuation.TOKENIZER_SUFFIXES
    before_period = next(rule for rule in suffixes if rule.startswith("(?<=[0-9") and "%²" in rule)
    sets = {
        C.LINE_BREAK: LINE_BREAKS,
        C.SYMBOL: set(PUNCTUATION_SET),
        C.TERMINAL: set(TERMINAL_PUNCTUATION),
        C.ALPHA: in_set(spacy_classes.ALPHA),
        C.LOWER: lower,
        C.UPPER: in_set(spacy_classes.ALPHA_UPPER),
        C.DIGIT: set("0123456789"),
        C.QUOTE: in_set(spacy_classes.CONCAT_QUOTES),
        C.ICON: icons,
        C.CURRENCY: currency,
        C.PREFIX: LITERAL_PREFIXES | punct | ellipsis | quotes | currency | icons,
        C.SUFFIX: LITERAL_SUFFIXES | punct | ellipsis | quotes | icons,
        C.BEFORE_PERIOD: in_set(before_period.removeprefix("(?<=[").removesuffix("])\\.")),
        C.HYPHEN: single(spacy_classes.LIST_HYPHENS),
    }
    bits = [0] * CODE_POINTS
    for flag, members in sets.items():
        for character in members:
            bits[ord(character)] |= flag
    for code in range(CODE_POINTS):
        bits[code] |= unicode_bits(code)
        active = C.PREFIX | C.SUFFIX | C.ICON | C.CURRENCY | C.DIGIT | C.HYPHEN
        if bits[code] & active or chr(code) in OTHER_ACTIVE:
            bits[code] |= C.ACTIVE
    return bits


def unicode_bits(code: int) -> int:
    character = chr(code)
    category, bits = ucd.category(character), 0
    space = category == "Zs" or ucd.bidirectional(character) in ("WS", "B", "S")
    letter = category[0] == "L"
    if space:
        bits |= C.SPACE
    if letter:
        bits |= C.LETTER
    if letter or character == "_" or ucd.numeric(character, None) is not None:
        bits |= C.WORD
    if category[0] == "M":
        bits |= C.MARK
    if category in ("Cc", "Cf") and not space:
        bits |= C.INVISIBLE
    if letter and any(first <= code <= last for first, last in UNSPACED_BLOCKS):
        bits |= C.UNSPACED
    if (character.isascii() and character.isalnum()) or 0xA1 <= code <= 0xFFFF:
        bits |= C.HOST
    return bits


def write_classes() -> None:
    bits = character_bits()
    lines = [
        f"# Unicode {ucd.unidata_version} general categories; character classes of",
        f"# spaCy {spacy.__version__} (MIT); punctuation of datatrove {version('datatrove')} (Apache-2.0).",
        "# first code point, last code point, bits of CharacterClass; all hexadecimal; absent: 0",
    ]
    for value, run in groupby(range(CODE_POINTS), key=lambda code: bits[code]):
        codes = list(run)
        if value:
            lines.append(f"{codes[0]:X}\t{codes[-1]:X}\t{value:X}")
    (DATA / "character_classes.tsv").write_text("\n".join(lines) + "\n", "utf-8")


def write_exceptions() -> None:
    tokenizer = spacy.blank("en").tokenizer
    lines = [
        f"# spaCy {spacy.__version__} (MIT): English tokenizer exceptions and units of measurement.",
        "# kind, then the words that the string is split into:",
        "# whole = when it is all that is left of a run; merge = also when the rules have split it;",
        "# unit = a unit of measurement, split off after a digit",
    ]
    for string, pieces in sorted(tokenizer.rules.items()):
        if any(character.isspace() for character in string):
            continue
        rules = tokenizer.find_prefix, tokenizer.find_suffix, tokenizer.find_infix
        affected = any(rule(string) for rule in rules)
        words = [piece[ORTH] for piece in pieces]
        lines.append("\t".join(["merge" if affected else "whole", *words]))
    lines += [f"unit\t{unit}" for unit in sorted(set(spacy_classes.LIST_UNITS))]
    (DATA / "exceptions.tsv").write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    write_classes()
    write_exceptions()
