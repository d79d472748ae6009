"""Content hashes for exact deduplication: xxh3-128 of the normalised text.

Normalisation (version NORMALIZATION_VERSION): every run of white space becomes one space, the ends
are trimmed, control and format characters (zero-width, bidi marks, soft hyphen) are dropped; case,
digits and punctuation stay.  White space on both sides of a dropped character is one run.
The kernel writes the normalised bytes, xxhash hashes them: a polynomial modulo 2^64 would
not do, since Thue-Morse strings collide under it whatever its multiplier.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from curation.text import character_classes, utf8
from curation.text.arrow import text_buffers
from curation.text.character_classes import CharacterClass, class_table
from curation.text.kernel import cached_kernel, source_digest
from curation.text.utf8 import decode

NORMALIZATION_VERSION = 1
HASH_BYTES = 16

SPACE = np.uint32(CharacterClass.SPACE)
INVISIBLE = np.uint32(CharacterClass.INVISIBLE)
BLANK = ord(" ")


def content_hashes(text: pa.LargeStringArray) -> pa.FixedSizeBinaryArray:
    """xxh3-128 (big-endian, seed 0) of each document's normalised text.

    text: large_string array of n documents (may be a slice, may hold nulls).
    Returns fixed_size_binary(16) of n rows, null where the text is null.  Documents of nothing
    but white space and invisible characters share the hash of the empty string.
    Raises TypeError for any other type of array.
    """
    offsets, buffer = text_buffers(text)
    out = np.empty(int(np.diff(offsets).max(initial=0)), np.uint8)
    view = out.data
    valid = text.is_valid().to_pylist()
    hashes = [
        xxhash.xxh3_128_digest(view[: _normalize(buffer, offsets[i], offsets[i + 1], class_table(), out)])
        if valid[i]
        else None
        for i in range(len(text))
    ]
    return pa.array(hashes, pa.binary(HASH_BYTES))


def normalize_reference(text: str) -> str:
    """The normalised text, in plain Python."""
    kept = [c for c in text if not class_table()[ord(c)] & INVISIBLE]
    spaced = "".join(" " if class_table()[ord(c)] & SPACE else c for c in kept)
    return " ".join(word for word in spaced.split(" ") if word)


def content_hash_reference(text: str) -> bytes:
    """The content hash of one document; equals a row of `content_hashes`."""
    return xxhash.xxh3_128_digest(normalize_reference(text).encode("utf-8"))


def _build_normalize(sources: int) -> Any:
    """The kernel; closing over `sources` makes the digest part of the machine code's cache key."""

    def normalize_into(buffer, start, end, classes, out):  # type: ignore[no-untyped-def]
        """Write the normalised bytes of buffer[start:end] to out; returns how many."""
        length = 0
        gap = False
        i = start
        while i < end:
            c, step = decode(buffer, i, end)
            f = classes[c]
            if f & SPACE:
                gap = True
            elif not f & INVISIBLE:
                if gap and length > 0:
                    out[length] = BLANK
                    length += 1
                gap = False
                for k in range(step):
                    out[length + k] = buffer[i + k]
                length += step
            i += step
        return length if sources >= 0 else -1

    return cached_kernel(normalize_into)


_normalize = _build_normalize(source_digest(character_classes, utf8))
