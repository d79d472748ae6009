"""Finds what texts share with an index of needles: runs of the same letters, compared byte by byte.

A *run* is a stretch of a text's letters that stands in a needle too, as long as it can be, cut back to where a word
begins on either side.  It counts when it has at least RUN bytes and covers

- `words` words of the needle; in a script without spaces, where each letter is a word, twice as many; or
- `bytes` bytes of the needle as written, and half as many letters (50 bytes of Thai are four words); or
- all of a needle of at least WHOLE_WORDS words and WHOLE_BYTES bytes, between two ends of words.

Hashes only say where to look.  Runs of one needle are taken from left to right: what begins inside an earlier
one of it is not looked for.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.text import character_classes, hashing, letters, needle_index, shingles, utf8
from curation.text.arrow import text_buffers
from curation.text.hashing import MIX, STEP, load_block
from curation.text.kernel import cached_kernel, kernel_function, source_digest
from curation.text.letters import letter_table, letters_reference, room, take_letters
from curation.text.needle_index import WINDOW, NeedleIndex
from curation.text.shingles import ALONE

RUN = 24  # bytes of letters: one more than what surely holds a window
WHOLE_WORDS, WHOLE_BYTES = 5, 20
FIELDS = 5
BLOCK = 2048  # windows hashed at a time: in a loop of its own the hashing vectorises
ONE, HALF = np.uint64(1), np.uint64(32)
LOW6, SIX, TWELVE = np.uint64(63), np.uint64(6), np.uint64(12)


class Runs(NamedTuple):
    """Runs in order of text, then of place; places count bytes of letters."""

    text: NDArray[np.int64]  # row of the text
    start: NDArray[np.int64]  # in the text's letters
    needle: NDArray[np.int64]  # number of the needle
    needle_start: NDArray[np.int64]  # in the needle's letters
    length: NDArray[np.int64]


def common_runs(text: pa.LargeStringArray, index: NeedleIndex, words: int, bytes_: int) -> Runs:
    """All runs of all texts; memory is twice the longest text.  Raises TypeError for other types of array."""
    offsets, buffer = text_buffers(text)
    valid = np.asarray(text.is_valid())
    longest = room(int(np.diff(offsets).max(initial=0)))
    data, begins = np.empty(longest + WINDOW, np.uint8), np.empty(longest + WINDOW, np.uint8)
    block, places = np.empty(BLOCK, np.uint64), np.empty(BLOCK, np.int64)
    needles = len(index.first) - 1
    until, stamp = np.zeros(needles, np.int64), np.zeros(needles, np.int64)
    capacity = 4096
    while True:
        runs = np.empty((capacity, FIELDS), np.int64)
        stamp[:] = 0
        scratch = (data, begins, block, places, until, stamp)
        n = int(_find(buffer, offsets, valid, letter_table(), index, words, bytes_, *scratch, runs))
        if n <= capacity:
            found = runs[:n]
            order = np.lexsort((found[:, 2], found[:, 1], found[:, 0]))
            return Runs(*np.ascontiguousarray(found[order].T))
        capacity = n


def common_runs_reference(text: str, needle: str, words: int, bytes_: int) -> set[tuple[int, int, int]]:
    """Every run (start, needle start, length) of one text and one needle, overlapping ones too; quadratic."""
    a, b = letters_reference(text), letters_reference(needle)
    spread = needle_places_reference(needle)
    found = set()
    for i in range(len(a[0])):
        for k in range(len(b[0])):
            if a[0][i] != b[0][k] or (i and k and a[0][i - 1] == b[0][k - 1]):
                continue
            n = 0
            while i + n < len(a[0]) and k + n < len(b[0]) and a[0][i + n] == b[0][k + n]:
                n += 1
            run = _judged(a, b, spread, (i, k, n), words, bytes_)
            if run is not None:
                found.add(run)
    return found


def needle_places_reference(needle: str) -> list[tuple[int, int]]:
    """For each letter of a needle the bytes that it takes in the needle as written."""
    found, at = [], 0
    for character in needle:
        size = len(character.encode())
        if letters_reference(character)[0]:
            found.append((at, at + size))
        at += size
    return found


def _judged(
    a: tuple[str, list[int]], b: tuple[str, list[int]], spread: list[tuple[int, int]], run: tuple[int, int, int],
    words: int, bytes_: int,
) -> tuple[int, int, int] | None:  # fmt: skip
    """The run cut back to words, in bytes of letters; None where it does not count."""
    i, k, n = run
    ends_a, ends_b = {*a[1], len(a[0])}, {*b[1], len(b[0])}
    while n and i not in ends_a and k not in ends_b:
        i, k, n = i + 1, k + 1, n - 1
    while n and i + n not in ends_a and k + n not in ends_b:
        n -= 1
    if not n:
        return None
    size = len(a[0][i : i + n].encode())
    words_of_b = _word_numbers(b)
    touched = sum(weight for _, weight in {words_of_b[j] for j in range(k, k + n)})
    whole = n == len(b[0]) and i in ends_a and i + n in ends_a and size >= WHOLE_BYTES and touched >= 2 * WHOLE_WORDS
    long = spread[k + n - 1][1] - spread[k][0] >= bytes_ and 2 * n >= bytes_
    if not whole and not (size >= RUN and (long or touched >= 2 * words)):
        return None
    return len(a[0][:i].encode()), len(b[0][:k].encode()), size


def _word_numbers(of: tuple[str, list[int]]) -> list[tuple[int, int]]:
    """For each letter (number of its word, half words that this word counts)."""
    table = letter_table()
    found: list[tuple[int, int]] = []
    for i, letter in enumerate(of[0]):
        if i in of[1]:
            number, weight = i, 1 if int(table[ord(letter)]) & int(ALONE) else 2
        found.append((number, weight))
    return found


@kernel_function
def is_tail(byte):  # type: ignore[no-untyped-def]
    """Whether a byte continues a character."""
    return byte & 0xC0 == 0x80


@kernel_function
def extend(data, n, p, index, q, first, last):  # type: ignore[no-untyped-def]
    """(start, stop) in data[:n] of the run of whole characters around p, which stands at q in data of a needle."""
    a, b = p, q
    while a > 0 and b > first and data[a - 1] == index.data[b - 1]:
        a -= 1
        b -= 1
    while a < p and is_tail(data[a]):
        a += 1
    end, b = p + WINDOW, q + WINDOW
    while end < n and b < last and data[end] == index.data[b]:
        end += 1
        b += 1
    while end > a and ((end < n and is_tail(data[end])) or (b < last and is_tail(index.data[b]))):
        end -= 1
        b -= 1
    return a, end


@kernel_function
def probe(data, p, n, index, block, places):  # type: ignore[no-untyped-def]
    """Hash the n windows from byte p on into `block`; `places` gets those that the filter lets pass, returns how many.

    Two loops without branches: the first vectorises, and nobody can predict what the second one finds.
    """
    part = data[p : p + n + WINDOW]
    for i in range(n):
        value = (load_block(part, i) * STEP) ^ (load_block(part, i + 8) * MIX)
        block[i] = (value ^ (value >> HALF)) * STEP
    passed = 0
    shift = index.shifts[1]
    for i in range(n):
        mask = filter_mask(block[i])
        places[passed] = i
        passed += index.filter[block[i] >> shift] & mask == mask
    return passed


@kernel_function
def filter_mask(value):  # type: ignore[no-untyped-def]
    """The bits of a window in its word of the filter; equals `needle_index.filter_masks`."""
    return ONE << (value & LOW6) | ONE << (value >> SIX & LOW6) | ONE << (value >> TWELVE & LOW6)


def _build_find(sources: int) -> Any:
    """The kernel; closing over `sources` makes the digest part of the machine code's cache key."""

    def find_runs(buffer, offsets, valid, table, index, words, bytes_, data, begins, block, places, until, stamp, runs):  # type: ignore[no-untyped-def]
        """Fill runs (as far as there is room); returns how many there are."""
        count = 0 if sources >= 0 else -1
        base = 0
        for d in range(len(offsets) - 1):
            n = take_letters(buffer, offsets[d], offsets[d + 1], table, data, begins, 0) if valid[d] else 0
            candidates, c, p = 0, 0, 0
            seen = 0  # windows looked at
            while c < candidates or seen < n - WINDOW + 1:
                if c == candidates:
                    base, size = seen, min(n - WINDOW + 1 - seen, BLOCK)
                    candidates, c, seen = probe(data, base, size, index, block, places), 0, base + size
                    continue
                value, p = block[places[c]], base + places[c]
                c += 1
                bucket = value >> index.shifts[0]
                for j in range(index.directory[bucket], index.directory[bucket + ONE]):
                    if index.hash[j] != value:
                        continue
                    needle, q = index.text[j], index.place[j]
                    if stamp[needle] == d + 1 and p < until[needle]:
                        continue
                    if load_block(data, p) != load_block(index.data, q):
                        continue
                    if load_block(data, p + 8) != load_block(index.data, q + 8):
                        continue
                    first, last = index.first[needle], index.first[needle + 1]
                    a, end = extend(data, n, p, index, q, first, last)
                    if end - a < WHOLE_BYTES:  # nearly always: only words that many texts have
                        continue
                    b, stop = a + q - p, end + q - p
                    while a < end and not (begins[a] or index.begins[b]):
                        a += 1
                        b += 1
                    while end > a and not (end == n or begins[end] or stop == last or index.begins[stop]):
                        end -= 1
                        stop -= 1
                    if a == end:
                        continue
                    halves = index.halves[stop - 1] - index.halves[b] + index.weight[b]
                    written = index.stop[stop - 1] - index.start[b]
                    long = written >= bytes_ and 2 * (index.letter[stop - 1] - index.letter[b] + 1) >= bytes_
                    wanted = end - a >= RUN and (halves >= 2 * words or long)
                    if not wanted:
                        whole = b == first and stop == last and begins[a] and (end == n or begins[end])
                        wanted = whole and halves >= 2 * WHOLE_WORDS and end - a >= WHOLE_BYTES
                    if not wanted:
                        continue
                    stamp[needle] = d + 1
                    until[needle] = end
                    if count < len(runs):
                        runs[count, 0] = d
                        runs[count, 1] = a
                        runs[count, 2] = needle
                        runs[count, 3] = b - first
                        runs[count, 4] = end - a
                    count += 1
        return count

    return cached_kernel(find_runs)


_find = _build_find(source_digest(character_classes, hashing, letters, needle_index, shingles, utf8))
