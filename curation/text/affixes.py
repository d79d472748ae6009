"""The splitting rules of the segmenter: what comes off the front, the end and out of the middle of a run.

A run is what stands between white space, as code points `cp` with their class bits `fl`;
rules see only [lo, hi), the part not split off yet.  They follow spaCy 3.8's English
tokenizer (lang/punctuation.py, lang/en/punctuation.py, tokenizer_exceptions.URL_PATTERN),
rewritten as linear scans; docs/segmenter.md lists the differences.
"""

from __future__ import annotations

import numpy as np

from curation.text.character_classes import CharacterClass
from curation.text.exceptions import LONGEST_UNIT, UNIT, find_exception
from curation.text.kernel import kernel_function

ALPHA = np.uint32(CharacterClass.ALPHA)
ALPHA_OR_DIGIT = np.uint32(CharacterClass.ALPHA | CharacterClass.DIGIT)
BEFORE_PERIOD = np.uint32(CharacterClass.BEFORE_PERIOD)
CURRENCY = np.uint32(CharacterClass.CURRENCY)
DIGIT = np.uint32(CharacterClass.DIGIT)
HOST = np.uint32(CharacterClass.HOST)
HYPHEN = np.uint32(CharacterClass.HYPHEN)
ICON = np.uint32(CharacterClass.ICON)
LOWER = np.uint32(CharacterClass.LOWER)
LOWER_OR_QUOTE = np.uint32(CharacterClass.LOWER | CharacterClass.QUOTE)
PREFIX = np.uint32(CharacterClass.PREFIX)
SUFFIX = np.uint32(CharacterClass.SUFFIX)
UPPER = np.uint32(CharacterClass.UPPER)
UPPER_OR_QUOTE = np.uint32(CharacterClass.UPPER | CharacterClass.QUOTE)
WORD = np.uint32(CharacterClass.WORD)

PERIOD, PLUS, MINUS, STAR, CARET, COMMA = ord("."), ord("+"), ord("-"), ord("*"), ord("^"), ord(",")
COLON, SLASH, QUESTION, NUMBER, AT, UNDERSCORE = ord(":"), ord("/"), ord("?"), ord("#"), ord("@"), ord("_")
LESS, EQUAL, GREATER, DOLLAR, DEGREE = ord("<"), ord("="), ord(">"), ord("$"), ord("°")
ELLIPSIS, EM_DASH, APOSTROPHE, RIGHT_QUOTE = ord("…"), ord("—"), ord("'"), ord("’")
SMALL_S, BIG_S, BIG_U, BIG_C, BIG_A = ord("s"), ord("S"), ord("U"), ord("C"), ord("A")
DEGREE_LETTERS = (ord("C"), ord("F"), ord("K"))

LONGEST_LABEL = 64  # code points of one label of a host name
TOP_LEVEL = (2, 63)
PORT = (2, 5)


@kernel_function
def prefix_length(cp, fl, lo, hi):  # type: ignore[no-untyped-def]
    """Code points that come off the front of cp[lo:hi], or 0."""
    if fl[lo] & PREFIX:
        return 1
    c = cp[lo]
    if c == PERIOD:
        end = lo + 1
        while end < hi and cp[end] == PERIOD:
            end += 1
        return end - lo if end - lo > 1 else 0
    if c == PLUS:
        return 0 if lo + 1 < hi and fl[lo + 1] & DIGIT else 1
    if c in (BIG_C, BIG_A) and lo + 1 < hi and cp[lo + 1] == DOLLAR:
        return 2
    if c == BIG_U and lo + 2 < hi and cp[lo + 1] == BIG_S and cp[lo + 2] == DOLLAR:
        return 3
    return 0


@kernel_function
def suffix_length(buffer, at, cp, fl, lo, hi, maybe, hashes, entries):  # type: ignore[no-untyped-def]
    """Code points that come off the end of cp[lo:hi], or 0; the longest rule wins."""
    if hi <= lo:
        return 0
    last = hi - 1
    c = cp[last]
    if c == PERIOD:
        return _period_length(cp, fl, lo, last)
    possessive = last > lo and (cp[last - 1] == APOSTROPHE or cp[last - 1] == RIGHT_QUOTE)
    if possessive and c in (SMALL_S, BIG_S):
        return 2
    if c == ELLIPSIS and last > lo and cp[last - 1] == ELLIPSIS:
        return 2
    length = 0
    if fl[last] & SUFFIX or (c == PLUS and last > lo and fl[last - 1] & DIGIT):
        length = 1
    # A unit or currency follows a digit: walk back to the nearest one.
    i = last
    while i > lo and last - i < LONGEST_UNIT and not fl[i] & DIGIT:
        i -= 1
    if i < last and fl[i] & DIGIT:
        n = last - i
        dollar = c == DOLLAR and n <= 3 and prefix_length(cp, fl, i + 1, hi) == n
        money = dollar or (n == 1 and fl[last] & CURRENCY)
        if money or (n > length and find_exception(buffer, at, cp, i + 1, hi, maybe, hashes, entries) & UNIT):
            length = n
    return length


@kernel_function
def _period_length(cp, fl, lo, last):  # type: ignore[no-untyped-def]
    first = last
    while first > lo and cp[first - 1] == PERIOD:
        first -= 1
    if first < last:
        return last - first + 1
    if last == lo:
        return 0
    if fl[last - 1] & BEFORE_PERIOD:
        return 1
    if last - 2 >= lo:
        if fl[last - 1] & UPPER and fl[last - 2] & UPPER:
            return 1
        if cp[last - 2] == DEGREE and cp[last - 1] in DEGREE_LETTERS:
            return 1
    return 0


@kernel_function
def infix_length(cp, fl, lo, i, hi):  # type: ignore[no-untyped-def]
    """Code points at i, inside cp[lo:hi], that are a word of their own between their neighbours, or 0."""
    c = cp[i]
    if c == PERIOD:
        end = i + 1
        while end < hi and cp[end] == PERIOD:
            end += 1
        if end - i > 1:
            return end - i
        return 1 if i > lo and fl[i - 1] & LOWER_OR_QUOTE and end < hi and fl[end] & UPPER_OR_QUOTE else 0
    if c == ELLIPSIS or fl[i] & ICON:
        return 1
    if i == lo or i + 1 >= hi:
        return 0
    before, after = fl[i - 1], fl[i + 1]
    if c in (PLUS, MINUS, STAR, CARET) and before & DIGIT and (after & DIGIT or cp[i + 1] == MINUS):
        return 1
    if c == COMMA:
        return 1 if before & ALPHA and after & ALPHA else 0
    if not before & ALPHA_OR_DIGIT:
        return 0
    if fl[i] & HYPHEN:
        if after & ALPHA:
            return 1
        longest = 3 if c == MINUS else (2 if c == EM_DASH else 1)
        for n in range(2, longest + 1):
            if i + n >= hi or cp[i + n - 1] != c:
                return 0
            if fl[i + n] & ALPHA:
                return n
        return 0
    if c in (COLON, LESS, GREATER, EQUAL, SLASH):
        return 1 if after & ALPHA else 0
    return 0


@kernel_function
def is_url(cp, fl, lo, hi):  # type: ignore[no-untyped-def]
    """Whether cp[lo:hi] is [scheme://] [user@] host.tld [:port] [/?#rest]; linear in its length."""
    base = lo
    i = lo
    while i < hi and (fl[i] & WORD or cp[i] == PLUS or cp[i] == MINUS or cp[i] == PERIOD):
        i += 1
    if i - lo >= 2 and i + 2 < hi and cp[i] == COLON and cp[i + 1] == SLASH and cp[i + 2] == SLASH:
        base = i + 3
        if _is_host(cp, fl, base, hi):
            return True
    if _is_host(cp, fl, lo, hi):
        return True
    for i in range(lo + 1, hi):  # noqa: SIM110  numba has no generators here
        if cp[i] == AT and _is_host(cp, fl, i + 1, hi):
            return True
    return False


@kernel_function
def _is_host(cp, fl, lo, hi):  # type: ignore[no-untyped-def]
    """Whether cp[lo:hi] is labels.tld [:port] [/?#rest]."""
    label, labels, end = lo, 0, lo
    while end < hi and (fl[end] & HOST or cp[end] == UNDERSCORE or cp[end] == MINUS or cp[end] == PERIOD):
        if cp[end] == PERIOD:
            if end == label or end - label > LONGEST_LABEL or not fl[label] & HOST or not fl[end - 1] & HOST:
                return False
            label = end + 1
            labels += 1
        end += 1
    if labels == 0 or not TOP_LEVEL[0] <= end - label <= TOP_LEVEL[1]:
        return False
    for i in range(label, end):
        if not fl[i] & LOWER:
            return False
    if end < hi and cp[end] == COLON:
        digits = end + 1
        while digits < hi and fl[digits] & DIGIT:
            digits += 1
        if not PORT[0] <= digits - end - 1 <= PORT[1]:
            return False
        end = digits
    return end == hi or cp[end] == SLASH or cp[end] == QUESTION or cp[end] == NUMBER
