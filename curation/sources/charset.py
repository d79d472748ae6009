"""From the bytes of a page to text: which charset, decided from the bytes before the declarations.

First stop of every HTML page and text file.  About 6 % of real pages are not
valid UTF-8, and many that declare another charset were re-saved as UTF-8 and kept
the old declaration; so the order is byte order mark, valid UTF-8, then HTTP
header, `<meta>` and a statistical detector (labels by https://encoding.spec.whatwg.org).
"""

from __future__ import annotations

import codecs
import re

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# How far browsers look for <meta charset> (WHATWG: 1024 bytes; Chromium goes on to the end of <head>).
PRESCAN_BYTES = 8192
SAMPLE_BYTES = 1 << 20  # what the detector sees of a long page: half from each end

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

# WHATWG's encodings are supersets of the standards that Python's codecs of the same name follow.
_SUPERSETS = {
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
    "gbk": "gb18030",
    "gb2312": "gb18030",
    "iso8859-11": "cp874",
}

# `charset=` in a <meta>, or the encoding of an XML declaration; bounded, so linear in the page.
_META = re.compile(
    rb"""<(?:meta\s[^>]{0,512}?charset|\?xml\s[^>]{0,128}?encoding)\s{0,8}=\s{0,8}["']?\s{0,8}([\w.:+-]{2,40})""",
    re.IGNORECASE,
)

# Share of the characters beyond ASCII that may be undecodable in a charset that "fits": one stray byte
# (cp1252 leaves five undefined) should not hand the page to a charset in which every byte means something.
_TOLERATED = 0.05

_JAPANESE = "iso2022_jp"  # made of ASCII bytes, so its pages are also valid UTF-8

_MULTI_BYTE = {"gb18030", "cp932", "euc_jp", "cp949", "big5hkscs", "iso2022_jp"}


def decode(data: bytes, declared: str | None = None) -> tuple[str, str]:
    """Text of a page and the charset it was decoded from (a Python codec name); never raises.

    `declared` is what the HTTP header says.  A declared charset is believed when the bytes are
    valid in it; where none fits, the most plausible one is used and undecodable bytes become
    U+FFFD, so `text.count(REPLACEMENT)` counts them (with any that the page itself contains).
    The text holds no lone surrogates and no byte order mark.
    """
    for mark, name in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(name, "replace"), name
    wide = _utf16_without_mark(data)
    if wide is not None:
        return data.decode(wide, "replace"), wide
    try:
        text, valid = data.decode("utf-8"), True
    except UnicodeDecodeError:
        text, valid = data.decode("utf-8", "replace"), False
    if valid or _is_damaged_utf8(data, text):
        if b"\x1b$" in data and data.isascii() and _JAPANESE in _candidates(data, declared):
            japanese = data.decode(_JAPANESE, "replace")
            if REPLACEMENT not in japanese and not japanese.isascii():
                return japanese, _JAPANESE
        return text, "utf-8"
    attempts = []
    for name in _candidates(data, declared):
        text = data.decode(name, "replace")
        share = text.count(REPLACEMENT) / max(1, _beyond_ascii(text))
        if share <= _TOLERATED:
            return text, name
        attempts.append((share, text, name))
    _, text, name = min(attempts, key=lambda attempt: attempt[0])
    return text, name


def codec_name(label: str | None) -> str | None:
    """The Python codec for a charset label as WHATWG maps it (`latin1` → `cp1252`); None when unknown."""
    if label is None or not label.isascii():
        return None
    label = label.strip().lower()
    name = "cp949" if label == "cp949" else map_encoding_to_html5(label, fallback_utf8=False)
    return None if name is None else _SUPERSETS.get(name, name)


def _candidates(data: bytes, declared: str | None) -> list[str]:
    """Codecs to try in order.  Declared UTF-8 is left out: the bytes have already refuted it.

    Almost any bytes are valid in a single-byte charset, so a declared one proves nothing where the
    detector recognises the structure of a multi-byte charset; there the detector goes first.
    """
    meta = _META.search(data[:PRESCAN_BYTES])
    labels = [codec_name(declared), codec_name(meta[1].decode("ascii", "ignore")) if meta else None]
    # Mapped by us: resiliparse 2.0's own mapping turns a detected cp949 into UTF-8.
    guess = codec_name(detect_encoding(data, max_len=SAMPLE_BYTES, html5_compatible=False))
    names = [name for name in labels if name is not None and not name.startswith("utf-")]
    if guess is not None and not guess.startswith("utf-"):
        names.insert(0 if guess in _MULTI_BYTE else len(names), guess)
    names.append("cp1252")  # the web's default for western pages
    return list(dict.fromkeys(names))


def _is_damaged_utf8(data: bytes, text: str) -> bool:
    """Is this UTF-8 with a few bad bytes (cut characters, a pasted fragment) rather than another charset?

    Text in another charset hardly ever forms valid multi-byte UTF-8 sequences, so the majority decides.
    """
    bad = text.count(REPLACEMENT) - data.count(REPLACEMENT.encode())
    return _beyond_ascii(text) - bad > bad


def _beyond_ascii(text: str) -> int:
    return len(text) - len(text.encode("ascii", "ignore"))


def _utf16_without_mark(data: bytes) -> str | None:
    """UTF-16 that lost its mark: markup is ASCII, so every other byte of its start is zero."""
    head = data[:1024]
    even, odd = head[0::2], head[1::2]
    if len(head) < 16 or not head.count(0):
        return None
    if odd.count(0) > 0.7 * len(odd) and not even.count(0):
        return "utf-16-le"
    if even.count(0) > 0.7 * len(even) and not odd.count(0):
        return "utf-16-be"
    return None
