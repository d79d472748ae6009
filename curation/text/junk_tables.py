"""The tables behind the junk statistics: words, scores of word pairs, implausible trigrams, mojibake.

Words and trigrams are data files written by make_junk_tables.py; docs/junk.md says from what.  All
arrays are read-only and small enough for a processor's first cache, apart from the character classes.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curation.text.character_classes import class_table, data_lines

LETTER_BITS = np.uint64(5)  # a–z are 1 … 26, the edge of a word is 0
LONGEST_WORD = 12  # letters in a key of 60 bits
LAST_THREE = np.uint64((1 << 15) - 1)
SLOTS = 1 << 11
SLOT_SHIFT = np.uint64(53)
SPREAD = np.uint64(0x9E37_79B9_7F4A_7C15)  # 2^64 / golden ratio (Knuth, TAOCP 6.4)

# A word's entry: its number among the function words (0: none) and what it is evidence of.
FUNCTION = 0xFF
STRONG = 1 << 8  # English text
PLACEHOLDER = 1 << 9
SCRIPT = 1 << 10  # javascript
SWITCH = 1 << 11  # enable, disabled, required …
_KINDS = {"strong": STRONG, "placeholder": PLACEHOLDER, "script": SCRIPT, "switch": SWITCH}

# Bits of `kinds`, by ASCII character: what it means between two letters of a token, MARKUP anywhere in it.
OCR, NOISE, CODE, MARKUP = 1, 2, 4, 8
OCR_CHARACTERS = "0123456789|"
NOISE_CHARACTERS = "^~#%&*+!?|"
CODE_CHARACTERS = "/().:@;$"
MARKUP_CHARACTERS = "_\\=<>{}[]"

# Bits of `damage`: low two bits how many continuations a lead wants, then what a character can be.
WANTED, LATIN_LEAD, CYRILLIC_LEAD, LATIN_TAIL, CYRILLIC_TAIL, LONE = 3, 4, 8, 16, 32, 64


class JunkTables(NamedTuple):
    """What the kernels read."""

    classes: NDArray[np.uint32]  # bits of CharacterClass by code point
    kinds: NDArray[np.uint8]  # by ASCII character
    damage: NDArray[np.uint8]  # by 16-bit code point
    keys: NDArray[np.uint64]  # open addressing, 0 is empty
    entries: NDArray[np.uint32]
    pairs: NDArray[np.int8]  # [a, b]: how usual it is that function word b follows a, in half bits
    trigrams: NDArray[np.uint8]  # by the last three letters of a key: 1 where it hardly ever occurs


def word_key(word: str) -> int:
    """Five bits a letter; only for a–z, at most LONGEST_WORD letters."""
    key = 0
    for letter in word:
        key = key << 5 | (ord(letter) - 96)
    return key


@cache
def vocabulary() -> dict[str, int]:
    """Entry by word (lower case)."""
    found: dict[str, int] = {}
    functions = 0
    for line in data_lines("junk_words.tsv"):
        kind, word, *_ = line.split("\t")
        if kind == "function":
            functions += 1
            found[word] = found.get(word, 0) | functions
        else:
            found[word] = found.get(word, 0) | _KINDS[kind]
    return found


@cache
def pair_scores() -> dict[tuple[str, str], int]:
    """Half bits by pair of function words: 2 log2(how often it was seen / how often by chance)."""
    rows = [line.split("\t") for line in data_lines("junk_words.tsv")]
    scores = {row[1]: row[2] for row in rows if row[0] == "function"}
    return {(a, b): ord(letter) - ord("m") for a, row in scores.items() for b, letter in zip(scores, row, strict=True)}


@cache
def plausible_trigrams() -> frozenset[str]:
    """Trigrams of a–z and ^ and $ at the edges that do occur in English."""
    rows = [line.split("\t") for line in data_lines("junk_trigrams.tsv")]
    return frozenset(first + last for first, lasts in rows for last in lasts)


@cache
def damage_bits() -> dict[int, int]:
    """What a character can be in UTF-8 that was read as Windows-1252, Latin-1 or Windows-1251, by code point.

    Leads are those of one, two and three continuations; of Windows-1251 only those of Cyrillic text
    and of general punctuation.  LONE: U+FFFD, and a C1 control character on its own.
    """
    bits: dict[int, int] = {}
    for byte in range(0x80, 0xC0):
        for codec, tail in (("cp1252", LATIN_TAIL), ("latin-1", LATIN_TAIL), ("cp1251", CYRILLIC_TAIL)):
            code = ord(bytes([byte]).decode(codec, "replace"))
            if code != 0xFFFD:
                bits[code] = bits.get(code, 0) | tail
    for code in range(0x80, 0xA0):
        bits[code] |= LONE
    # ß (0xDF) would lead N'Ko only and often stands before a German closing quote.
    for code in range(0xC2, 0xF5):
        if code != 0xDF:
            bits[code] = LATIN_LEAD | (1 if code < 0xE0 else 2 if code < 0xF0 else 3)
    for byte in (0xD0, 0xD1):
        bits[ord(bytes([byte]).decode("cp1251"))] = CYRILLIC_LEAD | 1
    bits[ord(b"\xe2".decode("cp1251"))] = CYRILLIC_LEAD | 2
    bits[0xFFFD] = LONE
    return bits


@cache
def load_tables() -> JunkTables:
    kinds = np.zeros(128, np.uint8)
    for characters, bit in (
        (OCR_CHARACTERS, OCR),
        (NOISE_CHARACTERS, NOISE),
        (CODE_CHARACTERS, CODE),
        (MARKUP_CHARACTERS, MARKUP),
    ):
        for character in characters:
            kinds[ord(character)] |= bit
    damage = np.zeros(1 << 16, np.uint8)
    for code, bit in damage_bits().items():
        damage[code] = bit
    keys, entries = np.zeros(SLOTS, np.uint64), np.zeros(SLOTS, np.uint32)
    for word, entry in vocabulary().items():
        key = word_key(word)
        slot = (key * int(SPREAD) & 0xFFFF_FFFF_FFFF_FFFF) >> int(SLOT_SHIFT)
        while keys[slot]:
            slot = (slot + 1) % SLOTS
        keys[slot], entries[slot] = key, entry
    pairs = np.zeros((FUNCTION + 1, FUNCTION + 1), np.int8)
    for (a, b), half_bits in pair_scores().items():
        pairs[vocabulary()[a] & FUNCTION, vocabulary()[b] & FUNCTION] = half_bits
    trigrams = np.ones(int(LAST_THREE) + 1, np.uint8)
    for trigram in plausible_trigrams():
        trigrams[word_key(trigram.replace("^", "`").replace("$", "`"))] = 0  # ` stands before a
    tables = JunkTables(class_table(), kinds, damage, keys, entries, pairs, trigrams)
    for array in tables:
        array.setflags(write=False)
    return tables
