"""Distinct words and how often each occurs: all that a trainer needs to know of a corpus.

The counting stage makes one from its table (with or without language weights); training, thinning
and the language search read it.  Source: reference §3, "Separate count stage".
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from curation.pipeline.errors import UsageError

_EMPTY_OFFSETS, _EMPTY_VALUES = np.zeros(1, np.int64), np.zeros(0, np.uint8)
for _array in (_EMPTY_OFFSETS, _EMPTY_VALUES):  # read-only as Arrow's buffers are: one type for the kernels
    _array.setflags(write=False)


@dataclass(frozen=True, eq=False)
class WordCounts:
    """`words`: large_binary[n], distinct, ascending by bytes, never null; `counts`: int64[n], ≥ 0.

    A word is the UTF-8 of one pre-token.  A count of 0 is a word that training does not see.
    """

    words: pa.LargeBinaryArray
    counts: np.ndarray

    def __post_init__(self) -> None:
        if not pa.types.is_large_binary(self.words.type) or self.words.null_count:
            raise UsageError(f"words must be large_binary without nulls, got {self.words.type}")
        if self.counts.dtype != np.int64 or self.counts.shape != (len(self.words),):
            raise UsageError(
                f"counts must be int64[{len(self.words)}], got {self.counts.dtype}{list(self.counts.shape)}"
            )
        if len(self.counts) and int(self.counts.min()) < 0:
            raise UsageError(f"the count of word {int(self.counts.argmin())} is negative")

    def __len__(self) -> int:
        return len(self.words)

    @property
    def offsets(self) -> np.ndarray:
        """int64[n + 1]: word i is `values[offsets[i]:offsets[i + 1]]`."""
        if len(self.words) == 0:
            return _EMPTY_OFFSETS
        buffer = self.words.buffers()[1]
        return np.frombuffer(buffer, np.int64, len(self.words) + 1, self.words.offset * 8)

    @property
    def values(self) -> np.ndarray:
        """uint8[…]: the bytes that `offsets` points into."""
        buffer = self.words.buffers()[2]
        return np.frombuffer(buffer, np.uint8) if buffer is not None else _EMPTY_VALUES

    @property
    def digest(self) -> str:
        """SHA-256 of words and counts, whatever slice of whichever buffer they lie in."""
        offsets = self.offsets
        text = hashlib.sha256(b"curate word counts 1\n")
        text.update((offsets - offsets[0]).astype("<i8").tobytes())
        text.update(self.values[offsets[0] : offsets[-1]].tobytes())
        text.update(self.counts.astype("<i8").tobytes())
        return text.hexdigest()


def word_counts_of(counts: dict[bytes, int]) -> WordCounts:
    """`WordCounts` of a plain dictionary (tests, small examples)."""
    words = sorted(counts)
    return WordCounts(pa.array(words, pa.large_binary()), np.array([counts[word] for word in words], np.int64))
