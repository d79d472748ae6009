"""Phrases at a place of a line, whole words of any case (A–Z): the comparison behind RefinedWeb's corrections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curation.text.kernel import kernel_function
from curation.text.line_classes import LineClass
from curation.text.utf8 import decode, previous

WORD = np.uint8(LineClass.WORD)
BIG_A, BIG_Z, FOLD = ord("A"), ord("Z"), 0x20


class Phrases(NamedTuple):
    """Some phrases in UTF-8."""

    text: NDArray[np.uint8]  # one after the other, the longest first
    ends: NDArray[np.int64]  # [phrases + 1]


def encode_phrases(phrases: Sequence[str]) -> Phrases:
    """The phrases (lower-case) as the kernel compares them."""
    encoded = sorted((phrase.encode() for phrase in phrases), key=lambda phrase: (-len(phrase), phrase))
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    return Phrases(np.frombuffer(b"".join(encoded), np.uint8), ends)


@kernel_function
def fold(byte):  # type: ignore[no-untyped-def]
    return byte | FOLD if BIG_A <= byte <= BIG_Z else byte


@kernel_function
def _is_word_before(buffer, first, i, classes):  # type: ignore[no-untyped-def]
    if i <= first:
        return False
    c, _ = decode(buffer, previous(buffer, first, i), i)
    return classes[c] & WORD != 0


@kernel_function
def _is_word_at(buffer, i, last, classes):  # type: ignore[no-untyped-def]
    if i >= last:
        return False
    c, _ = decode(buffer, i, last)
    return classes[c] & WORD != 0


@kernel_function
def match_phrase(buffer, first, i, last, phrases, backwards, classes):  # type: ignore[no-untyped-def]
    """Bytes of the longest phrase at byte i (ending there if `backwards`) of buffer[first:last], or 0.

    A phrase does not begin or end inside a word.
    """
    for p in range(len(phrases.ends) - 1):
        begin, stop = phrases.ends[p], phrases.ends[p + 1]
        length = stop - begin
        start = i - length if backwards else i
        if start < first or start + length > last:
            continue
        k = begin
        while k < stop and fold(buffer[start + k - begin]) == phrases.text[k]:
            k += 1
        if k < stop:
            continue
        inside = _is_word_before(buffer, first, start, classes) and _is_word_at(buffer, start, last, classes)
        end = start + length
        inside |= _is_word_at(buffer, end, last, classes) and _is_word_before(buffer, first, end, classes)
        if not inside:
            return length
    return 0
