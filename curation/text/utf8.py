"""UTF-8 in kernels: read a code point forwards or find the one before, never outside the text; strip."""

from __future__ import annotations

import numpy as np

from curation.text.character_classes import CharacterClass
from curation.text.kernel import kernel_function

SPACE = np.uint32(CharacterClass.SPACE)
REPLACEMENT = np.uint32(0xFFFD)
LAST = np.uint32(0x10FFFF)


@kernel_function
def decode(buffer, i, end):  # type: ignore[no-untyped-def]
    """(code point at byte i, bytes it takes); a broken sequence gives (U+FFFD, 1)."""
    lead = np.uint32(buffer[i])
    if lead < 0x80:
        return lead, 1
    if lead < 0xE0:
        if lead >= 0xC0 and i + 2 <= end:
            return ((lead & np.uint32(31)) << np.uint32(6)) | tail(buffer, i + 1), 2
        return REPLACEMENT, 1
    if lead < 0xF0:
        if i + 3 <= end:
            high = (lead & np.uint32(15)) << np.uint32(12)
            return high | (tail(buffer, i + 1) << np.uint32(6)) | tail(buffer, i + 2), 3
        return REPLACEMENT, 1
    if i + 4 <= end:
        high = ((lead & np.uint32(7)) << np.uint32(18)) | (tail(buffer, i + 1) << np.uint32(12))
        code = high | (tail(buffer, i + 2) << np.uint32(6)) | tail(buffer, i + 3)
        return min(code, LAST), 4
    return REPLACEMENT, 1


@kernel_function
def tail(buffer, i):  # type: ignore[no-untyped-def]
    return np.uint32(buffer[i]) & np.uint32(63)


@kernel_function
def previous(buffer, start, i):  # type: ignore[no-untyped-def]
    """Byte position of the code point that ends just before byte i (i > start)."""
    i -= 1
    while i > start and buffer[i] & 0xC0 == 0x80:
        i -= 1
    return i


@kernel_function
def strip(buffer, start, end, classes):  # type: ignore[no-untyped-def]
    """(start, end) without the white space at both ends, as str.strip."""
    while start < end:
        c, step = decode(buffer, start, end)
        if not classes[c] & SPACE:
            break
        start += step
    while end > start:
        i = previous(buffer, start, end)
        c, step = decode(buffer, i, end)
        if not classes[c] & SPACE:
            break
        end = i
    return start, end
