"""Cells: documents alike in source, category and quality bucket, and what they hold.

The planner decides per cell, the sampler per document; a cell's number is its position here.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError

UNTAGGED = "untagged"  # the category of a document without one
NO_BUCKET = -1  # of a document without a bucket, and of cells that are not split by bucket
ANY = "*"  # of a key by which the cells are not split
NEUTRAL_SCORE = 0.0  # of a document without mix_score: scores are standardised, so this is the mean
KEYS = ("source", "category", "bucket", "language", "length")

Key = tuple[str, str, int, str, str]


@dataclass(frozen=True, eq=False)
class Cells:
    """Columns of n cells, sorted by (source, category, bucket, language, length).

    tokens: int64[n], unique tokens after dedup and hold-out removal, with one end-of-document token a
    document where the inventory says so; natural: float64[n], the same weighted by natural duplication
    (None: equal to tokens); documents: int64[n]; score: float64[n], mean mix_score by tokens; longest:
    int64[n], tokens of the longest document.
    Raises UsageError: columns of different lengths, keys out of order or twice, negative counts, tokens
    without a document, a score that is not a finite number.
    """

    source: tuple[str, ...]
    category: tuple[str, ...]
    bucket: NDArray[np.int8]
    tokens: NDArray[np.int64]
    documents: NDArray[np.int64]
    score: NDArray[np.float64]
    longest: NDArray[np.int64]
    language: tuple[str, ...] = ()
    length: tuple[str, ...] = ()
    natural: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        n = len(self.source)
        for name in ("language", "length"):
            if not getattr(self, name):
                object.__setattr__(self, name, (ANY,) * n)
        if not len(self.natural):
            object.__setattr__(self, "natural", np.asarray(self.tokens, np.float64))
        columns = ("category", "bucket", "tokens", "documents", "score", "longest", "language", "length", "natural")
        for name in columns:
            if len(getattr(self, name)) != n:
                raise UsageError(f"cells: {len(getattr(self, name))} values of {name!r} for {n} cells")
        keys = self.keys
        if any(a >= b for a, b in itertools.pairwise(keys)):
            raise UsageError("cells: keys are not in ascending order", "sort them, and join those that stand twice")
        self._check(~np.isfinite(self.score), "its score is not a finite number")
        self._check((self.tokens < 0) | (self.documents < 0) | (self.longest < 0), "a count is negative")
        self._check((self.tokens > 0) & (self.documents == 0), "it has tokens but no document")
        self._check(~np.isfinite(self.natural) | (self.natural < 0), "its natural weight is not a number ≥ 0")

    def _check(self, wrong: NDArray[np.bool_], what: str) -> None:
        if wrong.any():
            raise UsageError(f"cell {self.name(int(np.argmax(wrong)))}: {what}", "make the inventory again")

    def __len__(self) -> int:
        return len(self.source)

    @property
    def keys(self) -> list[Key]:
        """The key of each cell."""
        buckets = np.asarray(self.bucket).tolist()
        return list(zip(self.source, self.category, buckets, self.language, self.length, strict=True))

    def name(self, cell: int) -> str:
        """A cell's key for people: web/science/3, web/untagged/–."""
        source, category, bucket, language, length = self.keys[cell]
        parts = [source, category, "–" if bucket == NO_BUCKET else str(bucket), language, length]
        while parts[-1] == ANY:
            parts.pop()
        return "/".join(parts)

    def column(self, key: str) -> tuple[str, ...]:
        """One key of every cell as text; `key` is one of KEYS."""
        if key == "bucket":
            return tuple(str(one) for one in np.asarray(self.bucket).tolist())
        found: tuple[str, ...] = getattr(self, key)
        return found

    def to_json(self) -> list[dict[str, Any]]:
        """One object a cell, in order."""
        return [
            {
                **dict(zip(KEYS, key, strict=True)),
                "tokens": int(self.tokens[i]),
                "natural": float(self.natural[i]),
                "documents": int(self.documents[i]),
                "score": float(self.score[i]),
                "longest": int(self.longest[i]),
            }
            for i, key in enumerate(self.keys)
        ]


def cells_from_json(rows: Sequence[dict[str, Any]]) -> Cells:
    """The cells that `Cells.to_json` wrote."""
    return Cells(
        source=tuple(row["source"] for row in rows),
        category=tuple(row["category"] for row in rows),
        bucket=np.array([row["bucket"] for row in rows], np.int8),
        tokens=np.array([row["tokens"] for row in rows], np.int64),
        documents=np.array([row["documents"] for row in rows], np.int64),
        score=np.array([row["score"] for row in rows], np.float64),
        longest=np.array([row["longest"] for row in rows], np.int64),
        language=tuple(row["language"] for row in rows),
        length=tuple(row["length"] for row in rows),
        natural=np.array([row["natural"] for row in rows], np.float64),
    )
