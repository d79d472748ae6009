"""Personal data that a rule may take out of a text for good: e-mail, IP, phone, IBAN, card, each with a check.

Precise, where `curation.text.pii` (for what is shown to people) leans to masking too much.  Works on UTF-8
bytes, so that offsets are those of the log of edits; every pattern is linear (bounded or possessive
quantifiers, and no start inside a run that was tried before).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

from publicsuffixlist import PublicSuffixList

from curation.text.identifiers import IBAN_LENGTH, is_card, is_iban, is_public_ipv4, is_public_ipv6, passes_luhn
from curation.text.phone_numbers import CANDIDATE as PHONE
from curation.text.phone_numbers import CUE_BYTES, is_phone

KINDS = ("email", "ip", "phone", "iban", "card")
LOCAL_BYTES = 64  # RFC 5321, 4.5.3.1.1


class Found(NamedTuple):
    """Bytes start to end (exclusive) hold personal data of this kind."""

    start: int
    end: int
    kind: str


_LATIN = rb"[\xc3-\xc9][\x80-\xbf]"
_LABEL = rb"(?:[A-Za-z0-9]|" + _LATIN + rb")(?:[A-Za-z0-9-]|" + _LATIN + rb"){0,62}+"
_DOMAIN = re.compile(rb"@(" + _LABEL + rb"(?:\." + _LABEL + rb"){1,8}+)(?![A-Za-z0-9_@])")
_LOCAL = re.compile(rb"(?:[A-Za-z0-9._%+'-]|" + _LATIN + rb"){1,65}$")
_IPV4 = re.compile(rb"(?<![\w\x80-\xff.-])(?:\d{1,3}\.){3}\d{1,3}(?![\w\x80-\xff])(?!\.\d|-\d)")
_IPV6 = re.compile(rb"(?<![\w\x80-\xff:.])(?:[0-9A-Fa-f]{1,4}:|::)(?:[0-9A-Fa-f]{0,4}:){1,7}[0-9A-Fa-f]{0,4}+(?![\w:])")
_VERSION = re.compile(
    rb"(?:\b(?:v|ver|version|release|build|chapter|section|sec|clause|rule|table|figure|fig|article|oid|rfc|revision|"
    rb"rev)|\xc2\xa7|[<>!~=]=|~>)[^\w]{0,3}$",
    re.IGNORECASE,
)
_IBAN_HEAD = re.compile(rb"(?<![A-Za-z0-9\x80-\xff])[A-Za-z]{2}\d\d(?=[ ]?[A-Za-z0-9]{4})")
_CARD = re.compile(rb"(?<![\w\x80-\xff.,+])(?<!\d[ -])\d(?:[ -]?\d){11,18}+(?![\w\x80-\xff])(?![ .,-]\d)")
_CARD_CUE = re.compile(
    rb"\b(?:(?:credit|debit|bank)?cards?|cc|visa|mastercard|maestro|amex|american express|jcb|diners|discover|"
    rb"unionpay)\b[^0-9]{0,30}$",
    re.IGNORECASE,
)
_CARD_GROUPS = {(4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4), (4, 4, 4, 1)}


# What a text must hold before a kind is looked for: RE2, linear, far faster than looking.
HINTS = {
    "email": "@",
    "ip": r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]|[0-9A-Fa-f:]:[0-9A-Fa-f]{0,4}:",
    "phone": r"[0-9](?:[ .()/-]{0,3}[0-9]){6}",
    "iban": r"[A-Za-z]{2}[0-9]{2} ?[A-Za-z0-9]{4}",
    "card": r"[0-9](?:[ -]?[0-9]){11}",
}


def find(text: bytes, kinds: tuple[str, ...] = KINDS) -> list[Found]:
    """The personal data of these kinds, left to right, not overlapping.

    Where two kinds overlap the one that is checked best wins: e-mail, IBAN, card, IP, phone.
    """
    found: list[Found] = []
    for kind, finder in _FINDERS.items():
        if kind in kinds:
            found += [Found(*span, kind) for span in finder(text)]
    rank = {kind: k for k, kind in enumerate(_FINDERS)}
    kept: list[Found] = []
    for one in sorted(found, key=lambda span: (span.start, rank[span.kind])):
        if kept and one.start < kept[-1].end:
            if rank[one.kind] < rank[kept[-1].kind]:
                kept[-1] = one
        else:
            kept.append(one)
    return kept


@lru_cache(maxsize=4096)
def is_top_level(label: bytes) -> bool:
    """Whether the label is a top-level domain of the bundled Public Suffix List."""
    return label.isascii() and _suffixes().publicsuffix(label.decode().lower()) is not None


@lru_cache(maxsize=1)
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList(accept_unknown=False)


def _emails(text: bytes) -> Iterator[tuple[int, int]]:
    previous = 0
    for match in _DOMAIN.finditer(text):
        at = match.start()
        run = _LOCAL.search(text, max(previous, at - LOCAL_BYTES - 1), at)
        local = run[0].lstrip(b".'%+-") if run and len(run[0]) <= LOCAL_BYTES else b""
        labels = match[1].split(b".")
        while len(labels) > 1 and not is_top_level(labels[-1]):
            labels.pop()  # `jane@example.org.The next sentence`
        ssh = local == b"git" and text[match.end() : match.end() + 1] in (b":", b"/")
        if local and len(labels) > 1 and not ssh:
            previous = at + 1 + len(b".".join(labels))
            yield at - len(local), previous


def _ips(text: bytes) -> Iterator[tuple[int, int]]:
    for match in _IPV4.finditer(text):
        before = text[max(0, match.start() - 12) : match.start()]
        if is_public_ipv4(match[0].decode()) and not _VERSION.search(before):
            yield match.span()
    for match in _IPV6.finditer(text):
        if is_public_ipv6(match[0].decode()):
            yield match.span()


def _ibans(text: bytes) -> Iterator[tuple[int, int]]:
    for head in _IBAN_HEAD.finditer(text):
        length = IBAN_LENGTH.get(head[0][:2].decode().upper())
        match = _iban_pattern(length).match(text, head.start()) if length else None
        if match is not None and is_iban(match[0].replace(b" ", b"").decode()):
            yield match.span()


@lru_cache(maxsize=64)
def _iban_pattern(length: int) -> re.Pattern[bytes]:
    """So many letters and digits in groups of four, with or without spaces between the groups."""
    groups, rest = divmod(length, 4)
    last = rb" ?[A-Za-z0-9]{%d}" % rest if rest else b""
    return re.compile(rb"[A-Za-z0-9]{4}(?: ?[A-Za-z0-9]{4}){%d}" % (groups - 1) + last + rb"(?![A-Za-z0-9])")


def _cards(text: bytes) -> Iterator[tuple[int, int]]:
    for match in _CARD.finditer(text):
        groups = tuple(map(len, re.split(rb"[ -]", match[0])))
        separators = set(re.sub(rb"\d", b"", match[0]))
        if (len(groups) == 1 or groups in _CARD_GROUPS) and len(separators) <= 1:
            digits = re.sub(rb"\D", b"", match[0]).decode()
            before = text[max(0, match.start() - CUE_BYTES) : match.start()]
            announced = passes_luhn(digits) and _CARD_CUE.search(before) is not None
            if len(set(digits)) > 1 and (announced or is_card(digits)):
                yield match.span()


def _phones(text: bytes) -> Iterator[tuple[int, int]]:
    for match in PHONE.finditer(text):
        start, end = match.span()
        if is_phone(match[0], text[max(0, start - CUE_BYTES) : start], text[end : end + 12]):
            yield start, end


_FINDERS: dict[str, Callable[[bytes], Iterator[tuple[int, int]]]] = {
    "email": _emails,
    "iban": _ibans,
    "card": _cards,
    "ip": _ips,
    "phone": _phones,
}
