"""Finding a few long phrases in lower-cased text while reading about two bytes in every eight (Wu and Manber 1994).

"Lower-cased" is Python's str.lower: besides A–Z only the Kelvin sign becomes an ASCII letter by itself
(`k`), so a phrase is also looked for with that sign.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curation.text.edit_log import line_function
from curation.text.kernel import kernel_function

KELVIN = "\u212a"
SLOTS = 1024  # of two folded bytes


class Needles(NamedTuple):
    """The phrases and how far one may jump."""

    lower: NDArray[np.uint8]  # [256] A–Z to a–z
    jump: NDArray[np.uint8]  # [SLOTS] bytes to move on when a window ends in these two; 0: a phrase may stand here
    window: int  # bytes of the shortest phrase
    text: NDArray[np.uint8]  # the phrases one after the other
    ends: NDArray[np.int64]  # [phrases + 1] offsets into `text`
    kinds: NDArray[np.uint8]  # [phrases] one bit each


def compile_needles(phrases: Mapping[str, int]) -> Needles:
    """The search for ASCII phrases (lower-case, at least 2 characters) of each kind.

    Raises ValueError for other phrases, and for one that ends in `i` (which a dotted capital would continue).
    """
    spelled: list[tuple[bytes, int]] = []
    for phrase, kind in phrases.items():
        if not phrase.isascii() or phrase != phrase.lower() or len(phrase) < 2 or phrase.endswith("i"):
            raise ValueError(f"cannot look for {phrase!r}")
        spellings = product(*(("k", KELVIN) if character == "k" else (character,) for character in phrase))
        spelled += [("".join(spelling).encode(), kind) for spelling in spellings]
    window = min(len(phrase) for phrase, _ in spelled)
    if window > 255:
        raise ValueError("phrases of more than 255 bytes")
    lower = np.arange(256, dtype=np.uint8)
    lower[ord("A") : ord("Z") + 1] += 32
    jump = np.full(SLOTS, window - 1, np.uint8)
    for data, _ in spelled:
        for end in range(2, window + 1):
            slot = _slot.py_func(data[end - 2], data[end - 1])
            jump[slot] = min(int(jump[slot]), window - end)
    ends = np.cumsum([0, *(len(phrase) for phrase, _ in spelled)])
    text = np.frombuffer(b"".join(phrase for phrase, _ in spelled), np.uint8)
    return Needles(lower, jump, window, text, ends, np.array([kind for _, kind in spelled], np.uint8))


@kernel_function
def _slot(before, last):  # type: ignore[no-untyped-def]
    """Index of two bytes: their low five bits, which upper and lower case share."""
    return (before & 31) << 5 | (last & 31)


@line_function
def find_needles(buffer, start, end, needles):  # type: ignore[no-untyped-def]
    """The kinds of phrases that the lower-cased buffer[start:end] contains, as bits."""
    found = 0
    i = start + needles.window - 1
    while i < end:
        jump = needles.jump[_slot(np.int64(buffer[i - 1]), np.int64(buffer[i]))]
        if jump:
            i += jump
            continue
        first = i - needles.window + 1
        for p in range(len(needles.kinds)):
            begin, stop = needles.ends[p], needles.ends[p + 1]
            if first + stop - begin <= end:
                k = begin
                while k < stop and needles.lower[buffer[first + k - begin]] == needles.text[k]:
                    k += 1
                if k == stop:
                    found |= needles.kinds[p]
        i += 1
    return found
