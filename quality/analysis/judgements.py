"""Label tables as plain arrays: one row per judgement, documents and judges as codes.

A judge's *family* is what could have made the same judgement twice: `model` and `model#2` are two passes of one
family (test–retest), other names are other judges (cross-judge).  `families` maps regular expressions to
families where passes carry other names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from quality.analysis.arrays import Floats
from quality.rubric.rubric import DIMENSIONS, SECONDARY

SCORES = (*DIMENSIONS, *SECONDARY)
PASS = "#"


@dataclass(frozen=True)
class Judgements:
    """Rows sorted by (document, judge); `first[d]` is where document d's rows begin."""

    documents: tuple[str, ...]
    judges: tuple[str, ...]
    families: tuple[str, ...]  # of each judge
    document: NDArray[np.intp]  # code per row
    judge: NDArray[np.intp]
    scores: dict[str, Floats]  # NaN where a score is null
    category: NDArray[np.object_]  # None where null
    confidence: Floats  # NaN where null
    chars: Floats  # NaN where null
    first: NDArray[np.intp]  # [documents + 1]

    def __len__(self) -> int:
        return len(self.document)

    def rows_of(self, document: int) -> range:
        """Row numbers of one document."""
        return range(int(self.first[document]), int(self.first[document + 1]))

    def family(self, row: int) -> str:
        """The family of a row's judge."""
        return self.families[int(self.judge[row])]


@dataclass(frozen=True)
class Pairs:
    """Pairs of judgements of one document: row numbers left and right, and the document's code."""

    left: NDArray[np.intp]
    right: NDArray[np.intp]
    document: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.left)


def family_of(judge: str, families: Mapping[str, str] | None = None) -> str:
    """The family of the first regular expression that fits the whole name, else the name before `#`."""
    for pattern, family in (families or {}).items():
        if re.fullmatch(pattern, judge):
            return family
    return judge.split(PASS)[0]


def judgements(tables: Sequence[pa.Table], families: Mapping[str, str] | None = None) -> Judgements:
    """Label tables (LABEL_SCHEMA) as arrays.  The same row in two tables counts once.

    UsageError without any label, and where one judge gave a document two different labels.
    """
    found: dict[tuple[str, str], dict[str, object]] = {}
    columns = ["doc_id", "judge", *SCORES, "category", "confidence", "chars"]
    for table in tables:
        for row in table.select(columns).to_pylist():
            key = (row["doc_id"], row["judge"])
            if found.setdefault(key, row) != row:
                raise UsageError(
                    f"document {key[0]!r} has two different labels by {key[1]!r}",
                    f"remove one; a repeated judgement needs a name of its own, such as `{key[1]}{PASS}2`",
                )
    if not found:
        raise UsageError("there are no labels", "give label files with at least one row")
    rows = [found[key] for key in sorted(found)]
    documents, document = np.unique(np.array([row["doc_id"] for row in rows], object), return_inverse=True)
    judges, judge = np.unique(np.array([row["judge"] for row in rows], object), return_inverse=True)

    def column(name: str) -> Floats:
        return np.array([np.nan if row[name] is None else row[name] for row in rows], np.float64)

    return Judgements(
        documents=tuple(documents.tolist()),
        judges=tuple(judges.tolist()),
        families=tuple(family_of(one, families) for one in judges),
        document=document,
        judge=judge,
        scores={name: column(name) for name in SCORES},
        category=np.array([row["category"] for row in rows], object),
        confidence=column("confidence"),
        chars=column("chars"),
        first=np.searchsorted(document, np.arange(len(documents) + 1)),
    )


def retest_pairs(labels: Judgements) -> Pairs:
    """All pairs of passes of one family on one document."""
    return _pairs(
        [
            (a, b, d)
            for d in range(len(labels.documents))
            for a in labels.rows_of(d)
            for b in range(a + 1, int(labels.first[d + 1]))
            if labels.family(a) == labels.family(b)
        ]
    )


def cross_pairs(labels: Judgements) -> Pairs:
    """All pairs of families on one document, each family with its first pass."""
    made = []
    for d in range(len(labels.documents)):
        opening: dict[str, int] = {}
        for row in labels.rows_of(d):
            opening.setdefault(labels.family(row), row)
        rows = [opening[family] for family in sorted(opening)]
        made += [(a, b, d) for i, a in enumerate(rows) for b in rows[i + 1 :]]
    return _pairs(made)


def _pairs(found: list[tuple[int, int, int]]) -> Pairs:
    table = np.array(found, np.intp).reshape(-1, 3)
    return Pairs(table[:, 0], table[:, 1], table[:, 2])
