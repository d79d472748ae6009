"""What the same content costs in each language: only for identical sets of pages, refused otherwise.

Parity of a language is tokens(language) / tokens(pivot) over the same pages (Petrov et al. 2023); the byte premium
is the same ratio of UTF-8 bytes (Arnett et al. 2024), and parity / premium is what remains for the tokenizer to
answer for.  Bytes per token alone cannot be compared across languages.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import Purpose, derive_seed, hash64
from tokenizer.evaluation.bootstrap import REPLICATES, Estimate, Units, estimate, resampled_sums
from tokenizer.evaluation.measure import checked
from tokenizer.evaluation.metrics import gini
from tokenizer.evaluation.subjects import Subject


@dataclass(frozen=True)
class LanguageParity:
    """One language against the pivot, on the same pages."""

    language: str
    premium: Estimate
    parity: dict[str, Estimate]  # by subject
    corrected: dict[str, Estimate]


@dataclass(frozen=True)
class ParitySummary:
    """Over the languages other than the pivot; `gini` is over the token costs of all of them, the pivot too."""

    mean: float
    max: float
    max_language: str
    gini: float
    corrected_mean: float
    corrected_max: float


@dataclass(frozen=True)
class Parity:
    pivot: str
    pages: int
    languages: list[LanguageParity]
    summary: dict[str, ParitySummary]


@dataclass(frozen=True, eq=False)
class PageCounts:
    """One row a document: page hash (uint64), language, and int64[n, 1 + subjects]: bytes, then tokens."""

    pages: NDArray[np.uint64]
    languages: list[str]
    counts: NDArray[np.int64]


def count_pages(subjects: Sequence[Subject], documents: Iterable[pa.RecordBatch]) -> PageCounts:
    """Bytes and tokens of parallel documents: columns text, language, page.  Raises UsageError without `page`."""
    pages: list[int] = []
    languages: list[str] = []
    counts: list[NDArray[np.int64]] = [np.empty((0, 1 + len(subjects)), np.int64)]
    for batch in documents:
        batch = checked(_with_domain(batch))
        if "page" not in batch.schema.names or batch.column("page").null_count:
            raise UsageError("parallel documents need a `page` each", "the same page name for every translation")
        pages += [hash64(str(page)) for page in batch.column("page").to_pylist()]
        languages += [str(language) for language in batch.column("language").to_pylist()]
        sizes = pc.fill_null(pc.binary_length(batch.column("text")), 0).to_numpy()
        tokens = [np.diff(subject.encoder.encode(batch.column("text"))[1]) for subject in subjects]
        counts.append(np.column_stack([sizes, *tokens]).astype(np.int64))
    return PageCounts(np.array(pages, np.uint64), languages, np.concatenate(counts))


def parity(
    subjects: Sequence[Subject], found: PageCounts, *, pivot: str = "en", seed: int = 0, replicates: int = REPLICATES
) -> Parity:
    """Parity of every language against `pivot`, with intervals over pages.

    Several documents of one page (its paragraphs) are summed.  Raises UsageError where the languages do not have
    the same pages with the same number of documents each, or the pivot is missing or alone.
    """
    names = sorted(set(found.languages))
    if pivot not in names or len(names) < 2:
        raise UsageError(f"parity needs {pivot!r} and another language, not {names}", "choose another pivot")
    width = found.counts.shape[1]
    of_language = np.array(found.languages)
    parts = {name: _sorted(found, of_language == name) for name in names}
    reference = parts[pivot][0]
    for name, (pages, _) in parts.items():
        if len(pages) != len(reference) or (pages != reference).any():
            missing = len(np.setdiff1d(reference, pages))
            more = len(np.setdiff1d(pages, reference))
            raise UsageError(
                f"{name} and {pivot} do not hold the same pages: {missing} missing, {more} more in {name}",
                "compare identical sets only: keep the pages that all languages have (common_pages)",
            )
    units = Units(width * len(names))
    units.add(reference, np.hstack([parts[name][1] for name in names]))
    units.settle()
    totals = units.values.sum(axis=0)
    if len(names) * width != np.count_nonzero(totals):
        empty = names[int(np.flatnonzero(totals == 0)[0]) // width]
        raise UsageError(f"the pages of {empty} are empty", "leave the language out")
    draws = derive_seed(seed, Purpose.SUBSET, "tokenizer parity")
    sums = resampled_sums(units.values, draws, replicates) if len(units.values) > 1 else None
    base = names.index(pivot) * width

    def ratio(over: int, under: int) -> Estimate:
        made = estimate(totals[over], totals[under], sums, over, under)
        assert made is not None  # no total is 0
        return made

    languages = []
    for position, name in enumerate(names):
        at = position * width
        columns = {subject.name: 1 + s for s, subject in enumerate(subjects)}
        languages.append(
            LanguageParity(
                name,
                ratio(at, base),
                {subject: ratio(at + c, base + c) for subject, c in columns.items()},
                {subject: _corrected(totals, sums, at, base, c) for subject, c in columns.items()},
            )
        )
    return Parity(
        pivot, len(np.unique(reference)), languages, {s.name: _summary(s.name, languages, pivot) for s in subjects}
    )


def common_pages(documents: Iterable[pa.RecordBatch], languages: Sequence[str]) -> list[pa.RecordBatch]:
    """The documents of `languages` whose page every one of them has, with the same number of documents.

    Holds the documents with a page in memory: parallel texts are small.
    """
    kept: dict[str, dict[str, list[pa.RecordBatch]]] = {}
    for batch in documents:
        pages, labels = batch.column("page").to_pylist(), batch.column("language").to_pylist()
        for row, (page, label) in enumerate(zip(pages, labels, strict=True)):
            if page is not None and label in languages:
                kept.setdefault(str(page), {}).setdefault(label, []).append(batch.slice(row, 1))
    return [
        row
        for _, found in sorted(kept.items())
        if len({len(found.get(language, ())) for language in languages}) == 1
        for language in sorted(found)
        for row in found[language]
    ]


def _with_domain(batch: pa.RecordBatch) -> pa.RecordBatch:
    if "domain" in batch.schema.names:
        return batch
    return batch.append_column("domain", pa.nulls(batch.num_rows, pa.string()))


def _sorted(found: PageCounts, rows: NDArray[np.bool_]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    pages, counts = found.pages[rows], found.counts[rows]
    order = np.argsort(pages, kind="stable")
    pages, counts = pages[order], counts[order]
    return pages, counts


def _corrected(
    totals: NDArray[np.int64], sums: NDArray[np.float64] | None, at: int, base: int, column: int
) -> Estimate:
    """(tokens_l / tokens_p) / (bytes_l / bytes_p), formed anew in every draw."""

    def value(row: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(divide="ignore", invalid="ignore"):
            made: NDArray[np.float64] = row[..., at + column] / row[..., base + column] * row[..., base] / row[..., at]
        return made

    whole = float(value(totals))
    if sums is None:
        return Estimate(whole)
    drawn = value(sums)
    low, high = np.quantile(drawn[np.isfinite(drawn)], [0.025, 0.975])
    return Estimate(whole, float(low), float(high))


def _summary(subject: str, languages: Sequence[LanguageParity], pivot: str) -> ParitySummary:
    others = [one for one in languages if one.language != pivot]
    costs = [one.parity[subject].value for one in others]
    corrected = [one.corrected[subject].value for one in others]
    worst = max(others, key=lambda one: one.parity[subject].value)
    return ParitySummary(
        float(np.mean(costs)), max(costs), worst.language, gini([1.0, *costs]),
        float(np.mean(corrected)), max(corrected),
    )  # fmt: skip
