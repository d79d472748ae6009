"""The segmenter's specification in plain Python: regular expressions over strings.

The property tests hold the kernel (`segment.py`) to it on arbitrary Unicode text; it is
two orders of magnitude slower and used nowhere else.  Rules: docs/segmenter.md.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import groupby

import numpy as np

from curation.text.character_classes import CharacterClass as C
from curation.text.character_classes import class_table
from curation.text.exceptions import LONGEST, exceptions
from curation.text.segment import LONGEST_RUN


def segment(text: str) -> list[tuple[int, int]]:
    """The words of `text` as (start, end) in code points."""
    words = []
    for start, end, unspaced in _runs(text):
        pieces = [text[start:end]] if unspaced else _split_run(text[start:end])
        for piece in pieces:
            words.append((start, start + len(piece)))
            start += len(piece)
    return words


def _runs(text: str) -> list[tuple[int, int, bool]]:
    """Stretches without white space; one code point of an unspaced script stands alone, with its marks."""
    bits = class_table()
    runs: list[tuple[int, int, bool]] = []
    start, unspaced = 0, False
    for i, character in enumerate(text):
        here = bits[ord(character)]
        if here & (C.SPACE | C.UNSPACED) or i - start == LONGEST_RUN or (unspaced and not here & C.MARK):
            runs.append((start, i, unspaced))
            start = i + 1 if here & C.SPACE else i
            unspaced = bool(here & C.UNSPACED)
    runs.append((start, len(text), unspaced))
    return [run for run in runs if run[0] < run[1]]


def _split_run(run: str) -> list[str]:
    whole, rules = exceptions().whole, _rules()
    front: list[str] = []
    back: list[str] = []
    size = -1
    while run and len(run) != size and run not in whole:
        size = len(run)
        prefix = _group(rules["prefix"].match(run))
        if prefix and run[len(prefix) :] in whole:
            front.append(prefix)
            run = run[len(prefix) :]
            break
        suffix = _group(rules["suffix"].search(run[len(prefix) :]))
        if suffix and run[: -len(suffix)] in whole:
            back.append(suffix)
            run = run[: -len(suffix)]
            break
        front.append(prefix)
        back.append(suffix)
        run = run[len(prefix) : len(run) - len(suffix)]
    middle = list(whole[run]) if run in whole else _split_middle(run)
    return _merge_exceptions([word for word in front + middle + back[::-1] if word])


def _split_middle(run: str) -> list[str]:
    if _rules()["url"].fullmatch(run):
        return [run]
    words, start = [], 0
    for match in _rules()["infix"].finditer(run):
        if match.start() > 0:
            words += [run[start : match.start()], match.group()]
            start = match.end()
    return [*words, run[start:]]


def _merge_exceptions(words: list[str]) -> list[str]:
    merge = exceptions().merge
    out: list[str] = []
    while words:
        count = len(words)
        while count > 1 and not ("".join(words[:count]) in merge and len("".join(words[:count])) <= LONGEST):
            count -= 1
        out += merge["".join(words[:count])] if count > 1 else words[:1]
        words = words[count:]
    return out


def _group(match: re.Match[str] | None) -> str:
    return match.group() if match else ""


@cache
def _rules() -> dict[str, re.Pattern[str]]:
    """spaCy's English rules, over our pinned character classes."""
    alpha, digit, lower, upper = _set(C.ALPHA), "0-9", _set(C.LOWER), _set(C.UPPER)
    quote, icon, currency = _set(C.QUOTE), _set(C.ICON), _set(C.CURRENCY)
    money = rf"US\$|C\$|A\$|[{currency}]"
    units = "|".join(re.escape(unit) for unit in exceptions().units)
    label = rf"[{_set(C.HOST)}](?:[{_set(C.HOST)}_-]{{0,62}}[{_set(C.HOST)}])?"
    patterns = {
        "prefix": rf"[{_set(C.PREFIX)}]|\+(?![0-9])|\.\.+|US\$|C\$|A\$",
        "suffix": "|".join(
            [
                rf"(?:[{_set(C.SUFFIX)}]|……|\.\.+|['’][sS])\Z",
                rf"(?<=[0-9])(?:\+|{money}|{units})\Z",
                rf"(?<=[{_set(C.BEFORE_PERIOD)}])\.\Z|(?<=[{upper}][{upper}])\.\Z|(?<=°[FfCcKk])\.\Z",
            ]
        ),
        "infix": "|".join(
            [
                rf"\.\.+|…|[{icon}]",
                r"(?<=[0-9])[+\-*^](?=[0-9-])",
                rf"(?<=[{lower}{quote}])\.(?=[{upper}{quote}])",
                rf"(?<=[{alpha}]),(?=[{alpha}])",
                rf"(?<=[{alpha}{digit}])(?:[{_set(C.HYPHEN)}]|--|---|——)(?=[{alpha}])",
                rf"(?<=[{alpha}{digit}])[:<>=/](?=[{alpha}])",
            ]
        ),
        "url": rf"(?:[{_set(C.WORD)}+.-]{{2,}}://)?(?:.+@)?(?:{label}\.)+[{lower}]{{2,63}}(?::[0-9]{{2,5}})?(?:[/?#].*)?",
    }
    return {name: re.compile(pattern, re.DOTALL) for name, pattern in patterns.items()}


def _set(flag: C) -> str:
    """The inside of a regular-expression character set with every code point of the class."""
    codes = np.flatnonzero(class_table() & np.uint32(flag))
    ranges = []
    for _, group in groupby(enumerate(codes.tolist()), key=lambda pair: pair[1] - pair[0]):
        run = [code for _, code in group]
        ranges.append(f"{re.escape(chr(run[0]))}-{re.escape(chr(run[-1]))}")
    return "".join(ranges)
