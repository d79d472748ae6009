"""Masking of personal data wherever text is shown or sent: e-mail, IP, phone, card, account numbers.

Leans to masking too much: a shown text loses little, a leaked address cannot be taken back.
Every pattern is linear: a run of its characters is entered once (look-behind) and left once
(possessive or bounded quantifiers).  Everything that the `pii` rule would mask is masked here too.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from curation.text import personal_data
from curation.text.identifiers import passes_luhn, passes_mod_97

LONGEST = 320  # characters of one item: RFC 3696 gives 64 + 1 + 255 for an e-mail address, all others are shorter


@dataclass(frozen=True)
class Span:
    """Characters start to end (exclusive) of the text hold personal data of this kind."""

    start: int
    end: int
    kind: str


def _is_ip(found: str) -> bool:
    try:
        ipaddress.IPv6Address(found)
    except ValueError:
        return False
    return any(character.isalnum() for character in found)  # `::` alone is an operator


def _passes_luhn(found: str) -> bool:
    digits = "".join(character for character in found if character.isdigit())
    return 13 <= len(digits) <= 19 and passes_luhn(digits)


def _passes_mod_97(found: str) -> bool:
    plain = found.replace(" ", "")
    return 15 <= len(plain) <= 34 and passes_mod_97(plain)


def _is_phone(found: str) -> bool:
    digits = sum(character.isdigit() for character in found)
    return (7 if found.startswith("+") else 9) <= digits <= 15


def _always(found: str) -> bool:
    return True


_SHOWN = {"card": "number", "iban": "number"}  # how these kinds of `personal_data` are written
_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_DATE = r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}(?!\d)"

# In order of precedence; a match must also pass its check.
PATTERNS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("email", re.compile(r"(?<![\w.+%'-])[\w.+%'-]++@[\w-]++(?:\.[\w-]++)++"), _always),
    ("ip", re.compile(rf"(?<![\w.]){_OCTET}(?:\.{_OCTET}){{3}}(?!\w|\.\d)", re.ASCII), _always),
    ("ip", re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{2,39}(?<=[0-9A-Fa-f:])(?:\d*\.\d+){0,3}(?![\w:])", re.ASCII), _is_ip),
    (
        "number",
        re.compile(r"(?<!\w)[A-Z]{2}\d\d(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)", re.ASCII),
        _passes_mod_97,
    ),
    ("number", re.compile(r"(?<![\w.])\d{3,6}(?:[ -]\d{3,7}){2,5}(?![\w-])", re.ASCII), _passes_luhn),
    ("number", re.compile(r"(?<![\w.-])\d{3}-\d\d-\d{4}(?![\w-])", re.ASCII), _always),
    ("number", re.compile(r"(?<![\d.])\d{12,}+", re.ASCII), _always),
    (
        "phone",
        re.compile(rf"(?<![\w.+])(?<!\d )(?!{_DATE})(?:\+|\(?0)(?:[ ./()-]{{0,2}}\d){{6,15}}(?!\w)", re.ASCII),
        _is_phone,
    ),
    ("phone", re.compile(r"(?<![\w.+-])(?:1[ .-])?\(?\d{3}\)?[ .-]{1,2}\d{3}[ .-]\d{4}(?![\w-])", re.ASCII), _always),
)


def find(text: str) -> Iterator[Span]:
    """The personal data in a text, left to right, not overlapping."""
    spans = [
        Span(match.start(), match.end(), kind)
        for kind, pattern, passes in PATTERNS
        for match in pattern.finditer(text)
        if passes(match.group())
    ]
    spans += _precise(text)
    end = 0
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if span.start >= end:
            yield span
        elif span.end > end:  # the rest of an overlap is masked too
            yield Span(end, span.end, span.kind)
        end = max(end, span.end)


def _precise(text: str) -> list[Span]:
    """What `curation.text.personal_data` finds, with offsets in characters."""
    found = []
    encoded = text.encode("utf-8", "surrogatepass")
    end, position = 0, 0  # the same place in bytes and in characters
    for one in personal_data.find(encoded):
        position += len(encoded[end : one.start].decode("utf-8", "surrogatepass"))
        start, end = position, one.end
        position += len(encoded[one.start : end].decode("utf-8", "surrogatepass"))
        found.append(Span(start, position, _SHOWN.get(one.kind, one.kind)))
    return found


def mask(text: str) -> str:
    """The text with `<email>`, `<ip>`, `<phone>`, `<number>` in place of personal data; linear in its length."""
    return mask_prefix(text, len(text))[0]


def mask_prefix(text: str, limit: int) -> tuple[str, int]:
    """(the masked first `limit` characters, how many characters of the text they stand for).

    An item that begins before the limit is masked as a whole; nothing beyond limit + LONGEST is read.
    """
    parts, position = [], 0
    for span in find(text[: limit + LONGEST]):
        if span.start >= limit:
            break
        parts += [text[position : span.start], f"<{span.kind}>"]
        position = span.end
    parts.append(text[position : max(limit, position)])
    return "".join(parts), min(max(limit, position), len(text))
