"""Hashes of the lines of a byte buffer: how the entries of a block list are kept and looked up."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.text import hashing
from curation.text.hashing import absorb_reference, finish_reference, hash_bytes
from curation.text.kernel import cached_kernel, source_digest

_NEWLINE = ord("\n")


def line_hashes(lines: bytes, keep_empty: bool = False) -> NDArray[np.uint64]:
    """hash_bytes of every line of a buffer, by default without the empty ones."""
    buffer = np.frombuffer(lines, np.uint8)
    out = np.empty(lines.count(b"\n") + 1, np.uint64)
    return out[: _hash_lines(buffer, keep_empty, out)]


def line_hashes_reference(lines: bytes) -> list[int]:
    """The same, in plain Python over the reference of the hash."""
    found = []
    for line in lines.split(b"\n"):
        if line:
            state = int(hashing.SEED)
            for k in range(0, len(line) - len(line) % 8, 8):
                state = absorb_reference(state, int.from_bytes(line[k : k + 8], "little"))
            state = absorb_reference(state, int.from_bytes(line[len(line) - len(line) % 8 :], "little"))
            found.append(finish_reference(absorb_reference(state, len(line))))
    return found


def _build_hash_lines(sources: int) -> Any:
    """The kernel; closing over `sources` makes the digest part of the machine code's cache key."""

    def hash_lines(buffer, keep_empty, out):  # type: ignore[no-untyped-def]
        """Hash every line into out; the rest after the last line break is a line when it is not empty."""
        count = 0
        start = 0
        for i in range(len(buffer) + 1):
            if i == len(buffer) or buffer[i] == _NEWLINE:
                if i > start or (keep_empty and i < len(buffer)):
                    out[count] = hash_bytes(buffer, start, i)
                    count += 1
                start = i + 1
        return count if sources >= 0 else -1

    return cached_kernel(hash_lines)


_hash_lines = _build_hash_lines(source_digest(hashing))
