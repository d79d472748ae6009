"""Windows of n units (bytes or words) of a text, for finding passages that occur twice.

Three kernels of `curation.dedup.passages`, each one walk over a text with a rolling hash:
`anchors` samples windows by content, so that two equal ones always share a sample; `hash_windows` hashes those
whose sample occurs twice; `join_windows` makes passages of the windows that have an earlier equal.

A word is a run of letters, numbers and underscores with their marks; one code point, with its marks, in scripts
without spaces.  A window of words is the bytes from the first word's first to the last word's last.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.text import character_classes, hashing, utf8
from curation.text.arrow import text_buffers
from curation.text.character_classes import CharacterClass, class_table
from curation.text.hashing import MASK, STEP, finish, finish_reference
from curation.text.kernel import cached_kernel, kernel_function, source_digest
from curation.text.utf8 import decode

PASSAGES_VERSION = 1  # raised whenever a text has other anchors or another window is equal

UNSPACED = np.uint32(CharacterClass.UNSPACED)
EXTENDS = np.uint32(CharacterClass.MARK | CharacterClass.INVISIBLE)
WORD = np.uint32(CharacterClass.WORD)
STARTS = np.uint32(CharacterClass.WORD | CharacterClass.MARK | CharacterClass.UNSPACED)
INVERSE = np.uint64(pow(int(STEP), -1, 1 << 64))  # STEP is odd: the power of the oldest byte can be divided out
ONE = np.uint64(1)
LARGEST = np.uint64(MASK)

# Indices of the state that `hash_windows` goes on with.
BEGIN, ANCHOR, LEFT, REGION, REGION_END, BASE = range(6)


class Windows(NamedTuple):
    """What a window is."""

    units: int  # of a window
    sample: int  # units of a sample: at most `units`
    words: bool  # whether a unit is a word; otherwise a byte


class Anchors(NamedTuple):
    """The samples of n documents, one after the other; they take turns at standing for the windows in order."""

    values: NDArray[np.uint64]  # hash of the sample
    widths: NDArray[np.uint32]  # how many windows in a row it stands for
    ends: NDArray[np.int64]  # [n] of each document's part


def sampled(units: int, *, words: bool) -> Windows:
    """Windows of `units` with samples of half their size.

    A sample stands for some (units - sample + 2) / 2 windows, as in winnowing: smaller samples are fewer, but
    occur twice more often where no window does.
    """
    return Windows(units, max(units // 2, 1), words)


def anchors(text: pa.LargeStringArray, windows: Windows) -> Anchors:
    """The least sample hash of every window (robust winnowing, Schleimer et al. 2003), runs of one place together.

    text: large_string array of n documents (may be a slice; a null has no windows).  Equal windows have equal
    least hashes, so a window whose anchor's value occurs once is equal to no other.
    Raises TypeError for any other type of array.
    """
    offsets, buffer = text_buffers(text)
    room = int((np.diff(offsets) // 2 + 1).sum()) if windows.words else int(offsets[-1] - offsets[0])
    values, widths = np.empty(room, np.uint64), np.empty(room, np.uint32)
    ends = np.empty(len(text), np.int64)
    ring = windows.units - windows.sample + 1
    block, place = np.empty(ring, np.uint64), np.empty(ring + 1, np.int64)
    least = np.full(ring + 1, LARGEST)
    of_windows = (windows.words, windows.sample, class_table(), block, least, place)
    count = int(_anchors(buffer, offsets, *of_windows, values, widths, ends))
    return Anchors(values[:count], widths[:count], ends)


@kernel_function
def next_unit(buffer, i, end, words, classes):  # type: ignore[no-untyped-def]
    """(first byte, byte after) of the unit at or after byte i; equal where there is none."""
    if not words:
        return i, min(i + 1, end)
    f, step = np.uint32(0), 0
    while i < end:
        c, step = decode(buffer, i, end)
        f = classes[c]
        if f & STARTS:
            break
        i += step
    start = i
    if i < end:
        alone = f & UNSPACED
        i += step
        while i < end:
            c, step = decode(buffer, i, end)
            f = classes[c]
            if not f & EXTENDS and (alone or f & UNSPACED or not f & WORD):
                break
            i += step
    return start, i


@kernel_function
def add_bytes(buffer, i, end, value, power):  # type: ignore[no-untyped-def]
    """(value, power) of the window hash with buffer[i:end] at its end: Σ (byte + 1) · STEP^(bytes after it)."""
    while i < end:
        value = value * STEP + np.uint64(buffer[i]) + ONE
        power *= STEP
        i += 1
    return value, power


@kernel_function
def drop_bytes(buffer, i, end, value, power):  # type: ignore[no-untyped-def]
    """(value, power) without buffer[i:end] at its start; power is STEP^(bytes of the window)."""
    while i < end:
        power *= INVERSE
        value -= (np.uint64(buffer[i]) + ONE) * power
        i += 1
    return value, power


def hash_reference(data: bytes) -> int:
    """The hash of a window, in plain Python."""
    value = 0
    for byte in data:
        value = (value * int(STEP) + byte + 1) & MASK
    return finish_reference(value)


def _build_anchors(sources: int) -> Any:
    """The kernel; closing over `sources` makes the digest part of the machine code's cache key."""

    def find_anchors(buffer, offsets, words, sample, classes, block, least, place, values, widths, ends):  # type: ignore[no-untyped-def]
        """Fill values, widths and ends; returns how many.

        The least of the last len(block) hashes without a queue, whose branches nobody can predict: the least of
        the rest of the block before, `least` (at `place`), and that of this block so far (van Herk 1992).
        """
        count, ring = 0 if sources >= 0 else -1, len(block)
        for d in range(len(offsets) - 1):
            end = offsets[d + 1]
            tail, tail_stop = next_unit(buffer, offsets[d], end, words, classes)
            head = at = tail  # the newest unit ends at `head`; bytes before `at` are in the hash
            value, power = np.uint64(0), ONE
            units, last = 0, -ring  # last: the place chosen for the window before
            number, j = 0, 0  # of the sample in the document, and in the block
            here, here_at = LARGEST, 0
            least[:] = LARGEST
            while head < end:
                start, stop = next_unit(buffer, head, end, words, classes)
                if start == stop:
                    break
                value, power = add_bytes(buffer, at, stop, value, power)
                head = at = stop
                units += 1
                if units < sample:
                    continue
                h = finish(value)
                block[j] = h
                if h <= here:
                    here, here_at = h, number
                found, found_at = here, here_at
                if least[j + 1] < found and number >= ring:  # in a tie the right one: it stays longest
                    found, found_at = least[j + 1], place[j + 1]
                if number >= ring - 1:
                    if last > number - ring and values[count - 1] == found:  # the same place as long as it is in
                        widths[count - 1] += np.uint32(1)
                    else:
                        last = found_at
                        values[count], widths[count] = found, np.uint32(1)
                        count += 1
                number += 1
                j += 1
                if j == ring:
                    here, here_at = LARGEST, 0
                    for k in range(ring - 1, -1, -1):
                        if block[k] < here:
                            here, here_at = block[k], number - ring + k
                        least[k], place[k] = here, here_at
                    here, here_at, j = LARGEST, number, 0
                start, stop = next_unit(buffer, tail_stop, end, words, classes)
                if sample == 1:
                    value, power, at = np.uint64(0), ONE, start
                else:
                    value, power = drop_bytes(buffer, tail, start, value, power)
                tail, tail_stop = start, stop
            ends[d] = count
        return count

    return cached_kernel(find_anchors)


def _build_hash_windows(sources: int) -> Any:
    def hash_some_windows(buffer, end, words, units, classes, widths, twice, state, hashes, places, regions):  # type: ignore[no-untyped-def]
        """(windows hashed, regions finished): those whose anchor occurs `twice`, until `hashes` is full.

        places: where each begins in the joined regions.  A region is what a row of such windows covers, rows
        that touch taken together: regions[k] = its first byte in the document and the byte after it.
        state[BEGIN] is -1 at the end.
        """
        count, finished = 0, 0 if sources >= 0 else -1
        anchor, left, region, region_end, base = state[1], state[2], state[3], state[4], state[5]
        tail, tail_stop = next_unit(buffer, state[0], end, words, classes)
        head = at = tail
        value, power = np.uint64(0), ONE
        filled = 0
        state[0] = -1
        while head < end:
            start, stop = next_unit(buffer, head, end, words, classes)
            if start == stop:
                break
            value, power = add_bytes(buffer, at, stop, value, power)
            head = at = stop
            filled += 1
            if filled < units:
                continue
            if twice[anchor]:
                if tail > region_end:
                    if region >= 0:
                        regions[finished, 0], regions[finished, 1] = region, region_end
                        finished += 1
                        base += region_end - region
                    region = tail
                region_end = stop
                hashes[count], places[count] = finish(value), base + tail - region
                count += 1
            left -= 1
            if left == 0:
                anchor += 1
                left = np.int64(widths[anchor]) if anchor < len(widths) else 0
            start, stop = next_unit(buffer, tail_stop, end, words, classes)
            value, power = drop_bytes(buffer, tail, start, value, power)
            tail, tail_stop = start, stop
            if count == len(hashes):
                state[0] = tail
                break
        state[1], state[2], state[3], state[4], state[5] = anchor, left, region, region_end, base
        return count, finished

    return cached_kernel(hash_some_windows)


def _build_join(sources: int) -> Any:
    def join_equal_windows(text, begin, end, words, units, classes, firsts, ranges):  # type: ignore[no-untyped-def]
        """(ranges, where the next window begins or -1, windows that are not equal) of text[begin:end].

        firsts[k]: where the first window with the hash of that at begin + k begins in `text`, or -1.  The windows
        are compared; only a first one that ends before the other begins counts.  ranges[r] = (first byte, byte
        after) of what such windows cover.  Stops where `firsts` ends.

        Neighbours mostly have their first ones at one distance, so each byte is compared once.  In a text that
        repeats itself every `lag` bytes the distance changes every `lag` windows: there the window `lag` bytes
        before was equal to the same first one, and comparing with that goes on where it stopped.
        """
        count, unequal = 0, 0 if sources >= 0 else -1
        tail, tail_stop = next_unit(text, begin, end, words, classes)
        head = tail
        back, since, done = np.int64(0), tail, tail  # from `since` to `done` the text equals the text at `back` from it
        lag, same = np.int64(0), tail  # … and up to `same` that `lag` bytes before it
        filled = 0
        while head < end:
            start, stop = next_unit(text, head, end, words, classes)
            if start == stop:
                break
            head = stop
            filled += 1
            if filled < units:
                continue
            if tail - begin >= len(firsts):
                return count, tail, unequal
            first = firsts[tail - begin]
            if first >= 0 and first + stop - tail <= tail:
                i, change = tail, back - (first - tail)
                if change == 0:
                    i = max(done, tail)
                elif back < 0 < change and since <= tail - change and stop - change <= done:
                    i = same if change == lag and same > tail else tail
                    lag = change
                    while i < stop and text[i] == text[i - lag]:
                        i += 1
                    same = i
                if change != 0 or done < tail:
                    since = tail
                back = first - tail
                while i < stop and text[i] == text[i + back]:
                    i += 1
                if i < stop:
                    unequal += 1
                    back = np.int64(0)
                else:
                    done = stop
                    if count > 0 and tail <= ranges[count - 1, 1]:
                        ranges[count - 1, 1] = stop
                    else:
                        ranges[count, 0], ranges[count, 1] = tail, stop
                        count += 1
            tail, tail_stop = next_unit(text, tail_stop, end, words, classes)
        return count, -1, unequal

    return cached_kernel(join_equal_windows)


_SOURCES = source_digest(character_classes, hashing, utf8)
_anchors = _build_anchors(_SOURCES)
hash_windows = _build_hash_windows(_SOURCES)
join_windows = _build_join(_SOURCES)
