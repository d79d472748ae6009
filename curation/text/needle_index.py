"""An index of texts to be found again: hashes of their windows, and the tables that a kernel probes.

A text's *windows* are WINDOW bytes of its letters (`curation.text.letters`), one every STRIDE bytes; so any
run of WINDOW + STRIDE − 1 bytes of it holds one.  A window of more than MAX_TEXTS texts is a template's, it says
nothing of any of them and is left out; of one text a window's first MAX_PLACES places are kept.  The hashes are
an on-disk format (version INDEX_VERSION, golden vectors in the tests); they only say where to compare.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.text.hashing import MASK, MIX, STEP
from curation.text.letters import Letters, letters

INDEX_VERSION = 1
WINDOW = 16
STRIDE = 8
MAX_TEXTS = 64  # a passage with its questions is one to some thirty items; a prompt's frame is hundreds
MAX_PLACES = 4
FILTER_BITS = 32  # at least, per window; with three bits set for each, one probe in 500 passes for nothing

WINDOW_SCHEMA = pa.schema(
    [
        pa.field("hash", pa.uint64(), nullable=False),  # ascending
        pa.field("text", pa.int32(), nullable=False),  # number of the text
        pa.field("place", pa.int32(), nullable=False),  # where the window begins, in bytes of the text's letters
    ]
)


class Windows(NamedTuple):
    """Rows of WINDOW_SCHEMA, sorted by hash, text, place."""

    hash: NDArray[np.uint64]
    text: NDArray[np.int32]
    place: NDArray[np.int32]


class NeedleIndex(NamedTuple):
    """What the kernel `common_runs` reads; texts are the needles."""

    data: NDArray[np.uint8]  # letters of all texts, then WINDOW zeros
    begins: NDArray[np.uint8]
    start: NDArray[np.int32]  # byte of the text at which a letter starts
    stop: NDArray[np.int32]
    halves: NDArray[np.int32]  # half words from the beginning of `data` to the end of the word a byte is in
    weight: NDArray[np.uint8]  # half words of that word: 1 in a script without spaces, where a letter is a word, else 2
    letter: NDArray[np.int32]  # number of the letter
    first: NDArray[np.int64]  # [texts + 1] each text's part of `data`
    hash: NDArray[np.uint64]
    text: NDArray[np.int32]
    place: NDArray[np.int64]  # in `data`
    directory: NDArray[np.int64]  # first row with these top bits of the hash
    filter: NDArray[np.uint64]  # by the top bits of the hash: the `filter_masks` of all that have these, together
    shifts: NDArray[np.uint64]  # [2] how far a hash is shifted for `directory` and for `filter`


def windows(of: Letters) -> Windows:
    """The windows of all texts; see the module for which are left out."""
    first = np.concatenate([[0], of.ends[:-1]]) if len(of.ends) else np.zeros(0, np.int64)
    count = np.maximum((of.ends - first - WINDOW) // STRIDE + 1, 0)
    text = np.repeat(np.arange(len(first)), count)
    nth = np.arange(len(text)) - np.repeat(np.cumsum(count) - count, count)
    place = nth * STRIDE
    hashes = window_hashes(of.data, np.repeat(first, count) + place)
    order = np.lexsort((place, text, hashes))
    hashes, text, place = hashes[order], text[order], place[order]
    kept = _rank(hashes, text) < MAX_PLACES
    hashes, text, place = hashes[kept], text[kept], place[kept]
    new_text = np.concatenate([[True], (hashes[1:] != hashes[:-1]) | (text[1:] != text[:-1])])[: len(hashes)]
    _, group, sizes = np.unique(hashes, return_inverse=True, return_counts=True)
    texts = np.bincount(group, weights=new_text, minlength=len(sizes))
    kept = texts[group] <= MAX_TEXTS
    return Windows(hashes[kept], text[kept].astype(np.int32), place[kept].astype(np.int32))


def window_hashes(data: NDArray[np.uint8], places: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Hash of the WINDOW bytes at each place; equals `window_hash` of the kernel."""
    low, high = np.zeros(len(places), np.uint64), np.zeros(len(places), np.uint64)
    for k in range(8):
        low |= data[places + k].astype(np.uint64) << np.uint64(8 * k)
        high |= data[places + 8 + k].astype(np.uint64) << np.uint64(8 * k)
    value: NDArray[np.uint64] = (low * STEP) ^ (high * MIX)
    hashes: NDArray[np.uint64] = (value ^ (value >> np.uint64(32))) * STEP
    return hashes


def filter_masks(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Three bits of a 64-bit word for each hash, from its lowest bits (Bloom filter of one word a key)."""
    masks = np.zeros(len(hashes), np.uint64)
    for shift in (0, 6, 12):
        masks |= np.uint64(1) << (hashes >> np.uint64(shift) & np.uint64(63))
    return masks


def window_hash_reference(window: bytes) -> int:
    """Hash of WINDOW bytes, in plain Python."""
    low, high = (int.from_bytes(window[i : i + 8], "little") for i in (0, 8))
    value = (low * int(STEP) & MASK) ^ (high * int(MIX) & MASK)
    return (value ^ (value >> 32)) * int(STEP) & MASK


def build_index(texts: pa.LargeStringArray, found: Windows | None = None) -> NeedleIndex:
    """The tables for `common_runs`; `found` are the texts' windows where they are known already."""
    of = letters(texts)
    hashes, text, place = windows(of) if found is None else found
    first = np.concatenate([[0], of.ends]).astype(np.int64)
    weights = np.where(of.begins == 0, 0, 3 - of.begins.astype(np.int32))
    last_word = np.maximum.accumulate(np.where(of.begins != 0, np.arange(len(of.data)), 0))
    bits = max(len(hashes).bit_length(), 1)
    wide = max((len(hashes) * FILTER_BITS // 64).bit_length(), 1)
    shifts = np.array([64 - bits, 64 - wide], np.uint64)
    directory = np.searchsorted(hashes >> shifts[0], np.arange((1 << bits) + 1, dtype=np.uint64))
    marks = np.zeros(1 << wide, np.uint64)
    np.bitwise_or.at(marks, hashes >> shifts[1], filter_masks(hashes))
    pad = np.zeros(WINDOW, np.uint8)
    return NeedleIndex(
        np.concatenate([of.data, pad]), of.begins, of.start, of.stop, np.cumsum(weights, dtype=np.int32),
        weights[last_word].astype(np.uint8), np.cumsum(of.data & 0xC0 != 0x80, dtype=np.int32), first,
        np.ascontiguousarray(hashes), np.ascontiguousarray(text), first[text] + place, directory.astype(np.int64),
        marks, shifts,
    )  # fmt: skip


def _rank(*keys: NDArray[np.generic]) -> NDArray[np.int64]:
    """The how manieth row of its group each row is; rows sorted by the keys."""
    n = len(keys[0])
    new = np.ones(n, np.bool_)
    new[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    starts = np.flatnonzero(new)
    return np.arange(n) - np.repeat(starts, np.diff(np.append(starts, n)))
