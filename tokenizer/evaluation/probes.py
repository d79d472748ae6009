"""Small texts that show a tokenizer's policy: digits, indentation, and whether everything comes back.

Source: reference §6 (digit policy, indentation, round trip over arbitrary bytes).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from curation.pipeline.hashing import Purpose, derive_seed
from tokenizer.evaluation.subjects import Subject, byte_text, merge_model

NUMBERS = (
    "7", "42", "365", "2026", "31415", "123456", "1234567", "12345678901234567890", "3.14159", "1,234,567",
    "2026-11-21", "0x1F4A9", "1e-05", "١٢٣٤", "१२३४",
)  # fmt: skip
SPACES = (1, 2, 3, 4, 8, 12, 16, 20, 24, 28, 32, 40, 64)
TABS = (1, 2, 3, 4, 6, 8)
ROUND_TRIPS = 2_000
_LONGEST = 48


@dataclass(frozen=True)
class Probe:
    """A text and the pieces it is cut into (bytes that are no characters are written \\xNN)."""

    text: str
    pieces: list[str]


@dataclass(frozen=True)
class Indentation:
    """How many tokens `width` spaces or tabs and a letter take."""

    kind: str
    width: int
    tokens: int


@dataclass(frozen=True)
class RoundTrip:
    """Random Unicode texts and special names through the encoder; random bytes through the merges (ours only)."""

    texts: int
    text_failures: int
    specials: int
    special_failures: int
    byte_strings: int | None
    byte_failures: int | None
    missing_bytes: int  # byte values that have no token of their own


def pieces(subject: Subject, texts: list[str]) -> list[list[bytes]]:
    """The bytes of each token of each text."""
    ids, offsets = subject.encoder.encode(pa.array(texts, pa.large_string()))
    table = subject.tokens
    return [
        [table[i] if i < len(table) else b"" for i in ids[offsets[row] : offsets[row + 1]].tolist()]
        for row in range(len(texts))
    ]


def digits(subject: Subject) -> list[Probe]:
    """How numbers are cut."""
    return [
        Probe(text, [_shown(p) for p in cut]) for text, cut in zip(NUMBERS, pieces(subject, list(NUMBERS)), strict=True)
    ]


def digit_policy(subject: Subject) -> str:
    """One line: the longest piece of a run of digits and from which end it is cut."""
    cut = [len(piece) for piece in pieces(subject, ["12345678901234567890"])[0]]
    longest = max(cut)
    if longest == 1:
        return "one digit a token"
    if longest > 3:
        return f"no fixed groups: pieces of up to {longest} digits"
    end = "left" if cut[0] == longest else "right"
    return f"up to {longest} digits a token, grouped from the {end}"


def digit_tokens(subject: Subject) -> dict[int, int]:
    """Number of tokens that are ASCII digits and nothing else, by length."""
    found: dict[int, int] = {}
    for token in subject.tokens:
        if token.isdigit():
            found[len(token)] = found.get(len(token), 0) + 1
    return dict(sorted(found.items()))


def indentation(subject: Subject) -> list[Indentation]:
    """Tokens of n spaces or tabs before a letter."""
    cases = [("spaces", " ", n) for n in SPACES] + [("tabs", "\t", n) for n in TABS]
    found = pieces(subject, [character * n + "x" for _, character, n in cases])
    return [Indentation(kind, n, len(cut)) for (kind, _, n), cut in zip(cases, found, strict=True)]


def round_trip(subject: Subject, seed: int = 0) -> RoundTrip:
    """Whether ids spell what was encoded, for seeded random texts over all planes, specials' names and bytes."""
    generator = np.random.Generator(np.random.PCG64(derive_seed(seed, Purpose.SUBSET, "tokenizer round trip")))
    texts = [_random_text(generator) for _ in range(ROUND_TRIPS)]
    names = [f"a{name}b {name}" for name in subject.specials]
    failures = sum(b"".join(cut) != text.encode() for text, cut in zip(texts, pieces(subject, texts), strict=True))
    special_failures = sum(
        b"".join(cut) != text.encode() for text, cut in zip(names, pieces(subject, names), strict=True)
    )
    strings: int | None = None
    byte_failures: int | None = None
    if subject.vocabulary is not None:
        sample = [generator.bytes(int(n)) for n in generator.integers(1, _LONGEST, ROUND_TRIPS)]
        model = merge_model(subject.vocabulary)
        found = model.encode_batch_fast([byte_text(data) for data in sample], add_special_tokens=False)
        spelt = [b"".join(subject.tokens[i] for i in encoding.ids) for encoding in found]
        strings, byte_failures = ROUND_TRIPS, sum(a != b for a, b in zip(spelt, sample, strict=True))
    single = {token for token in subject.tokens if len(token) == 1}
    return RoundTrip(
        len(texts), failures, len(names), special_failures, strings, byte_failures, 256 - len(single)
    )  # fmt: skip


def _random_text(generator: np.random.Generator) -> str:
    """Up to 48 code points: ASCII, the first planes, or anything at all; surrogates are no text."""
    top = (0x80, 0x3000, 0x10000, 0x110000)[int(generator.integers(4))]
    codes = generator.integers(0, top, int(generator.integers(0, _LONGEST))).tolist()
    return "".join(chr(code) for code in codes if not 0xD800 <= code < 0xE000)


def _shown(piece: bytes) -> str:
    return piece.decode("utf-8", "backslashreplace")
