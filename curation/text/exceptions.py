"""Strings that the segmenter treats by name: contractions, abbreviations, emoticons, units, stop words.

`data/exceptions.tsv` (from spaCy's English tokenizer, MIT) becomes one open-addressing table
from word hash to a packed entry, behind a filter that spares most words the hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curation.text.character_classes import data_lines
from curation.text.hashing import hash_bytes, hash_word_reference
from curation.text.kernel import kernel_function

SLOTS = 8192
FILTER_SLOTS = 16384
LONGEST = 12  # code points of the longest exception
LONGEST_UNIT = 5
LONGEST_STOP_WORD = 4
STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")  # Gopher, Rae et al. 2021, A.1.1

# An entry: lengths of up to three words in four bits each, then flags, then the stop word's index.
WHOLE = 1 << 12
MERGE = 1 << 13
UNIT = 1 << 14
STOP = 1 << 15
STOP_INDEX = 16


class ExceptionTable(NamedTuple):
    """Open addressing by word hash; an entry of 0 is an empty slot."""

    maybe: NDArray[np.bool_]  # [FILTER_SLOTS], by `signature`: false where no exception can be
    hashes: NDArray[np.uint64]  # [SLOTS]
    entries: NDArray[np.uint32]  # [SLOTS]


@dataclass(frozen=True)
class Exceptions:
    """The data file as Python values: what the reference uses and the table is built from."""

    whole: dict[str, tuple[str, ...]]
    merge: dict[str, tuple[str, ...]]
    units: frozenset[str]


@cache
def exceptions() -> Exceptions:
    rows = [line.split("\t") for line in data_lines("exceptions.tsv")]
    whole = {"".join(words): tuple(words) for kind, *words in rows if kind != "unit"}
    merge = {"".join(words): tuple(words) for kind, *words in rows if kind == "merge"}
    return Exceptions(whole, merge, frozenset(words[0] for kind, *words in rows if kind == "unit"))


@cache
def exception_table() -> ExceptionTable:
    packed: dict[str, int] = {}
    known = exceptions()
    for string, words in known.whole.items():
        lengths = sum(len(word) << 4 * k for k, word in enumerate(words))
        packed[string] = lengths | WHOLE | (MERGE if string in known.merge else 0)
    for unit in known.units:
        packed[unit] = packed.get(unit, 0) | UNIT
    for index, word in enumerate(STOP_WORDS):
        packed[word] = packed.get(word, 0) | STOP | index << STOP_INDEX
    maybe, hashes = np.zeros(FILTER_SLOTS, np.bool_), np.zeros(SLOTS, np.uint64)
    entries = np.zeros(SLOTS, np.uint32)
    for string, entry in packed.items():
        cp = np.array([ord(character) for character in string], np.uint32)
        if entry & (WHOLE | UNIT):  # stop words are found by `find_hash` alone
            maybe[signature.py_func(cp, 0, len(cp))] = True
        value = hash_word_reference(string)
        slot = value % SLOTS
        while entries[slot]:
            slot = (slot + 1) % SLOTS
        hashes[slot], entries[slot] = value, entry
    return ExceptionTable(maybe, hashes, entries)


@kernel_function
def mix_ends(first, second, last, length):  # type: ignore[no-untyped-def]
    """Index into the filter for a string, from its first, second (or 0) and last code point and its length."""
    ends = np.int64(first) * 40503 + np.int64(second) * 34283 + np.int64(last) * 10103
    return (ends + length * 24593) & (FILTER_SLOTS - 1)


@kernel_function
def signature(cp, lo, hi):  # type: ignore[no-untyped-def]
    """Index into the filter for cp[lo:hi]."""
    return mix_ends(cp[lo], cp[lo + 1] if hi - lo > 1 else np.uint32(0), cp[hi - 1], hi - lo)


@kernel_function
def find_exception(buffer, at, cp, lo, hi, maybe, hashes, entries):  # type: ignore[no-untyped-def]
    """The entry of the string cp[lo:hi] = buffer[at[lo]:at[hi]], or 0."""
    if hi - lo > LONGEST or not maybe[signature(cp, lo, hi)]:
        return np.uint32(0)
    return find_hash(hash_bytes(buffer, at[lo], at[hi]), hashes, entries)


@kernel_function
def find_hash(value, hashes, entries):  # type: ignore[no-untyped-def]
    """The entry of the word with this hash, or 0."""
    slot = value & np.uint64(SLOTS - 1)
    while entries[slot] != 0:
        if hashes[slot] == value:
            return entries[slot]
        slot = (slot + np.uint64(1)) & np.uint64(SLOTS - 1)
    return np.uint32(0)
