"""Untrusted text made safe for people's eyes, in a terminal or in HTML (whose escaping is the template's).

Personal data is masked, the text is clipped, and every character that could act (ANSI escapes,
bidi controls) or hide (zero-width, tags) becomes a visible mark.  Cost grows with what is shown,
not with the text.  Source of the lists: Unicode 16, chapter 23; UTR 36 and UTS 39.
"""

from __future__ import annotations

import re

from curation.text.pii import LONGEST, mask_prefix

LINE_CHARACTERS = 200
BLOCK_CHARACTERS = 1_500

# Controls, invisible formatting, bidi controls, separators, tag characters, lone surrogates.
_ACTIVE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff\ud800-\udfff]"
)
# Joiners between letters of a script that needs them (Persian, Hindi) and inside emoji act on nothing else.
_JOINER = re.compile("(?<=[^\x00-\xff\u200b-\u200f])[\u200c\u200d](?=[^\x00-\xff\u200b-\u200f])")
_COMBINING = "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
_STACKED = re.compile(f"({_COMBINING}{{4}}){_COMBINING}+")  # no script stacks five; more would cover other lines


def line(text: str, limit: int = LINE_CHARACTERS) -> str:
    """One line: names, file paths, URLs, details.  Line breaks and tabs become visible too."""
    return _visible(text, limit, keep="")


def block(text: str, limit: int = BLOCK_CHARACTERS) -> str:
    """Several lines: a document's text.  Keeps line breaks and tabs; `\\r\\n` counts as one break.

    Ends with `… (+9,999,000 characters)` where more than `limit` characters were there.
    """
    return _visible(text, limit, keep="\n\t")


def name(text: str, limit: int = LINE_CHARACTERS) -> str:
    """One line that is *not* masked: ids, file names, rules, settings.  Masked, they could not be looked up."""
    return _marked(text[:limit], keep="") + clipped(len(text), limit)


def settings(text: str, limit: int) -> str:
    """Several unmasked lines of the user's own configuration."""
    return _marked(text[:limit], keep="\n\t") + clipped(len(text), limit)


def raw(sample: bytes, limit: int = LINE_CHARACTERS) -> str:
    """Bytes of a damaged record as one line; bytes that are no UTF-8 are written \\xNN."""
    return line(sample[: 4 * limit + 1_300].decode("utf-8", "backslashreplace"), limit)


def clipped(total: int, shown: int) -> str:
    """The note that ends a clipped text, empty where nothing is missing."""
    return f" … (+{total - shown:,} characters)" if total > shown else ""


def prefix(text: str, total: int, limit: int = BLOCK_CHARACTERS) -> str:
    """`block` for a text of `total` characters of which only the first ones were loaded.

    The loaded part must be the whole text or exceed the limit by `pii.LONGEST`: raises ValueError
    otherwise, since personal data at the cut could not be recognised.
    """
    return _visible(text, limit, keep="\n\t", total=total)


def _visible(text: str, limit: int, keep: str, total: int | None = None) -> str:
    total = len(text) if total is None else total
    if len(text) < min(total, limit + LONGEST):
        raise ValueError(f"{len(text)} of {total} characters loaded: {limit + LONGEST} are needed to mask {limit}")
    shown, stands_for = mask_prefix(text, limit)
    return _marked(shown, keep) + clipped(total, stands_for)


def _marked(text: str, keep: str) -> str:
    if "\n" in keep:
        text = text.replace("\r\n", "\n")
    joiners = {match.start() for match in _JOINER.finditer(text)}

    def mark(match: re.Match[str]) -> str:
        character = match.group()
        return character if character in keep or match.start() in joiners else _mark(ord(character))

    return _STACKED.sub(r"\1", _ACTIVE.sub(mark, text))


def _mark(code: int) -> str:
    if code < 0x20:
        return chr(0x2400 + code)  # Control Pictures: ␛ for ESC
    return "␡" if code == 0x7F else f"⟨U+{code:04X}⟩"
