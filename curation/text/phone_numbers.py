"""Telephone numbers in running text: international, national with an unmistakable form, or announced by a word.

Own shapes and no library: without a text's country, libphonenumber reads international numbers only
(15 of the 92 of the labelled set), and takes 9 of those 15, which are made up, for invalid.
Sources: ITU-T E.164 (country codes, at most 15 digits), E.123 (notation), NANP numbering.
"""

from __future__ import annotations

import re

DIGITS = range(7, 16)
CUE_BYTES = 40  # how far before a number a word may announce it

# Assigned country codes of ITU-T E.164: one, two or three digits.
_CODES_1 = "1 7"
_CODES_2 = (
    "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 "
    "90 91 92 93 94 95 98"
)
_CODES_3 = "21 22 23 24 25 26 29 35 37 38 42 50 59 67 68 69 80 85 87 88 96 97 99"  # the first two digits of three
_COUNTRY = re.compile(rb"[17]|" + b"|".join((_CODES_2 + " " + _CODES_3).encode().split()))

# A run of 7 to 15 digits, at most one separator and a parenthesis between neighbours; only a `+` may begin in one.
_GAP = rb"(?:\)[ ./-]?|[ ./-]?\(|[ ./-])?"
CANDIDATE = re.compile(
    rb"(?:(?<![\w\x80-\xff+])\(?\+|(?<![\w\x80-\xff.+$\xa3#=/-])(?<!\d[ (),/-])(?<!\d\)[ ./-])(?<!\d[ ./-]\()\(?)"
    rb"\d(?:" + _GAP + rb"\d){6,14}+(?:\s?(?:x|ext\.?)\s?\d{1,6})?+(?![\w\x80-\xff%])(?!" + _GAP + rb"\d)(?!,\d)"
)
_LABEL_AFTER = re.compile(rb"[ \-,(]{0,2}(?:office|fax|mobile|cell|home|work|phone|desk|tel)\b", re.IGNORECASE)
_CUE = re.compile(
    rb"(?:\b(?:phones?|tele?(?:phone)?s?|telefono?|telefone|telefax|mobiles?|cell(?:phone|ular)?|fax|dial|whatsapp|"
    rb"viber|hotline|helpline|desk|answering|reach|call(?:s|ed|ing)?|(?:sms|texts?|messages?) (?:to|from|on|at)|"
    rb"handy|mobil|movil|tlf|tfno|puhelin|gsm|rufnummer|ph)\b|t\xc3\xa9l|\xd1\x82\xd0\xb5\xd0\xbb|"
    rb"\xe9\x9b\xbb\xe8\xa9\xb1|\xe7\x94\xb5\xe8\xaf\x9d|\xec\xa0\x84\xed\x99\x94|\xe6\x89\x8b\xe6\x9c\xba)"
    rb"[^0-9\n=]{0,24}\n?[^0-9\n=]{0,4}$",
    re.IGNORECASE,
)
_NANP = re.compile(
    rb"(?:\+?1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d([.-]))\d{3}(?(1)\1|[ .-])\d{4}(?:\s?(?:x|ext\.?)\s?\d{1,6})?"
)
_TRUNK = re.compile(
    rb"(?:0[1-9]\d{1,3}([ /-])\d{2,4}(?:[ -]\d{2,4}){1,3}|0[1-9]([ .-])\d\d(?:\2\d\d){3}|0[1-9]\d{2,4}[ /-]\d{6,8}|"
    rb"\(0[1-9]\d{0,4}\) ?\d{2,4}(?:[ -]?\d{2,4}){1,3})"
)
# One kind of separator between groups; an area code may stand in parentheses.
_EVEN = re.compile(
    rb"(?:(?:\d{1,3}[ -]?)?\(\d{1,5}\)[ .-]?)?\d+(?:([ .-])\d{2,})?(?:\1\d{2,}){0,4}|"
    rb"\d{1,4}[ /-]\d{2,}(?:[ -]\d{2,}){0,3}"
)
_DATE = re.compile(rb"\+?\d{0,2}\d{4}-[01]\d-[0-3]\d(?!\d)|\d{1,2}([./-])\d{1,2}\1(?:1[5-9]|20)\d\d(?!\d)")
_SSN = re.compile(rb"\d{3}-\d\d-\d{4}")  # a US social security number is no telephone number
_YEARS = re.compile(rb"(?:1[5-9]|20)\d\d(?:[ ./()-]{1,3}(?:1[5-9]|20)\d\d)+")
_NUMBER = re.compile(rb"\d{1,3}(?:\.\d{3})+|\d+\.\d+|(?:\d{1,3}\.){3}\d{1,3}")  # thousands, a decimal, an address
_CALLING_CODE = re.compile(rb"00[ ]?[1-9]|001-[2-9]")


def is_phone(found: bytes, before: bytes, after: bytes) -> bool:
    """Whether a match of CANDIDATE is a telephone number.

    before: the CUE_BYTES bytes before it; after: some bytes that follow it.
    """
    number = re.split(rb"\s?[xe]", found, maxsplit=1)[0]
    digits = re.sub(rb"\D", b"", number)
    if len(digits) not in DIGITS or _DATE.match(number) or _YEARS.fullmatch(number) or _SSN.fullmatch(number):
        return False
    if number.startswith((b"+", b"(+")):
        return len(digits) >= (9 if _groups(number) == 1 else 8) and _COUNTRY.match(digits) is not None
    if _CALLING_CODE.match(number) and len(digits) >= 10 and _groups(number) > 1 and b"/" not in number:
        return _COUNTRY.match(digits[2:]) is not None
    if _NANP.fullmatch(found) or (_TRUNK.fullmatch(number) and 9 <= len(digits) <= 11):
        return True
    if _EVEN.fullmatch(number) is None or _NUMBER.fullmatch(number):
        return False
    return not after.lstrip().startswith(b"=") and bool(_CUE.search(before) or _LABEL_AFTER.match(after))


def _groups(number: bytes) -> int:
    return len(re.findall(rb"\d+", number))
