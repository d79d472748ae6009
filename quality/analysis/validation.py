"""Are all dimensions needed?  Correlations, components, controls, and the drop-one rule on real labels.

Reproduces the reasoning by which the paper keeps knowledge depth, practicality and category of six dimensions
(reference §2.5), and says what these labels answer, whatever it is.  One judgement a document is used (the first by
judge's name), so that all have one reliability; documents judged twice by one family measure that reliability.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import Purpose, derive_seed
from quality.analysis import correlations as c
from quality.analysis.arrays import NAN, Floats
from quality.analysis.drop_one import drop_one
from quality.analysis.findings import Explained, PairOfDimensions, Validation
from quality.analysis.judgements import SCORES, Judgements, Pairs, cross_pairs, retest_pairs
from quality.analysis.resampling import Interval, percentiles, resamples
from quality.analysis.sensitivity import variants
from quality.analysis.verdict import verdict
from quality.rubric.rubric import DIMENSIONS

VERSION = 1
MIN_DOCUMENTS = 30
MIN_PAIRS = 10  # fewer repeated judgements say nothing of reliability


def validate(
    labels: Judgements, sources: Mapping[str, str] | None = None, *, seed: int = 0, replicates: int = 1000
) -> Validation:
    """Analyse the labels; `sources` gives the source of every document.

    UsageError for fewer than 30 complete documents, fewer than two dimensions that vary, a document without source.
    """
    names = [name for name in SCORES if (~np.isnan(labels.scores[name])).sum() >= MIN_DOCUMENTS]
    levels = np.stack([labels.scores[name] for name in names], 1) if names else np.empty((len(labels), 0))
    complete: NDArray[np.bool_] = ~np.asarray(np.isnan(levels).any(1))
    first = np.array([next((r for r in labels.rows_of(d) if complete[r]), -1) for d in range(len(labels.documents))])
    rows = first[first >= 0]
    if len(rows) < MIN_DOCUMENTS or len(names) < 2:
        raise UsageError(
            f"{len(rows)} documents have all of {', '.join(names) or 'no dimension'}",
            f"validation needs at least {MIN_DOCUMENTS} documents with two dimensions or more",
        )
    flat = [name for k, name in enumerate(names) if np.ptp(levels[rows, k]) == 0]
    if flat:
        raise UsageError(f"every document has the same level of {flat[0]}", "label documents of more kinds")
    pairs, origin = _repeated(labels, complete)
    place = {int(labels.document[row]): i for i, row in enumerate(rows)}
    one = c.sample(
        names, levels[rows], np.stack([levels[pairs.left], levels[pairs.right]], 1),
        np.array([place[int(d)] for d in pairs.document], np.intp),
    )  # fmt: skip
    category = labels.category[rows]
    length = np.log1p(np.nan_to_num(labels.chars[rows]))[:, None]
    source = _sources(labels, rows, sources)

    def chosen(purpose: str) -> int:
        return derive_seed(seed, Purpose.SAMPLE, "validation", purpose)

    controls = {"length": length, "category": c.dummies(category.astype(str))}
    if source is not None:
        controls["source"] = c.dummies(source.astype(str))
    controls["all"] = np.concatenate(list(controls.values()), 1)
    reliable, table = _correlations(one, controls, chosen("correlations"), replicates)
    dropped = drop_one(one, DIMENSIONS, seed=chosen("drop one"), replicates=replicates)
    found = Validation(
        version=VERSION, seed=seed, replicates=replicates, documents=len(rows),
        left_out=len(labels.documents) - len(rows), dimensions=list(names),
        categories=len(set(category)), sources=None if source is None else len(set(source)),
        pairs=len(pairs), reliability_from=origin, reliability=reliable, correlations=table,
        components=c.components(one.ranks, chosen("parallel")),
        explained=[
            Explained(
                dimension=name,
                by_source=None if source is None else c.between_groups(
                    one.ranks[:, k], source.astype(str), chosen(f"source {name}"), replicates),
                by_category=c.between_groups(
                    one.ranks[:, k], category.astype(str), chosen(f"category {name}"), replicates),
                by_length=float(c.explained(one.ranks, length)[k]),
                by_all=float(c.explained(one.ranks, controls["all"])[k]),
                by_source_beyond_category=None if source is None else float(
                    c.explained(c.residuals(one.ranks, controls["category"]),
                                c.residuals(controls["source"], controls["category"]))[k]),
            )
            for k, name in enumerate(names)
        ],
        drop_one=dropped,
        variants=variants(one, dropped.kept, DIMENSIONS, category) if dropped.decided else [],
        verdict=[],
    )  # fmt: skip
    return replace(found, verdict=verdict(found))


def _repeated(labels: Judgements, complete: NDArray[np.bool_]) -> tuple[Pairs, str]:
    """The first pair of complete judgements of each document: of one family, or of two where there are too few."""
    for origin, pairs in (("test–retest", retest_pairs(labels)), ("two judges", cross_pairs(labels))):
        usable = complete[pairs.left] & complete[pairs.right]
        _, opening = np.unique(pairs.document[usable], return_index=True)
        chosen = np.flatnonzero(usable)[opening]
        if len(chosen) >= MIN_PAIRS:
            return Pairs(pairs.left[chosen], pairs.right[chosen], pairs.document[chosen]), origin
    none = np.empty(0, np.intp)
    return Pairs(none, none, none), "unknown"


def _sources(
    labels: Judgements, rows: NDArray[np.intp], sources: Mapping[str, str] | None
) -> NDArray[np.object_] | None:
    if sources is None:
        return None
    ids = [labels.documents[int(d)] for d in labels.document[rows]]
    missing = [one for one in ids if one not in sources]
    if missing:
        raise UsageError(
            f"{len(missing)} of {len(ids)} documents have no source, first {missing[0]!r}",
            "give files that name the source of every labelled document, or none",
        )
    return np.array([sources[one] for one in ids], object)


def _correlations(
    one: c.Sample, controls: Mapping[str, Floats], seed: int, replicates: int
) -> tuple[dict[str, Interval], list[PairOfDimensions]]:
    """Reliabilities and all pairs of dimensions, with a bootstrap over documents that takes their pairs along."""
    n, k = one.ranks.shape
    pair = np.full(n, -1)
    pair[one.pair_of] = np.arange(len(one.pair_of))
    raw, fixed, reliable = [], [], []
    for drawn in (np.arange(n), *resamples(n, seed=seed, n=replicates)):
        matrix = c.correlation(one.ranks[drawn])
        sure = c.reliability(one.ranks[drawn], one.twice[pair[drawn][pair[drawn] >= 0]])
        raw.append(matrix)
        reliable.append(sure)
        fixed.append(c.corrected(matrix, sure))
    within, across = c.passes(one)
    partial = {name: c.partial_correlation(one.ranks, control) for name, control in controls.items()}
    table = [
        PairOfDimensions(
            first=one.names[i], second=one.names[j], spearman=_interval([m[i, j] for m in raw]),
            corrected=_interval([m[i, j] for m in fixed]), one_pass=float(within[i, j]), two_passes=float(across[i, j]),
            partial={name: float(matrix[i, j]) for name, matrix in partial.items()},
        )
        for i in range(k) for j in range(i + 1, k)
    ]  # fmt: skip
    return {name: _interval([r[i] for r in reliable]) for i, name in enumerate(one.names)}, table


def _interval(draws: list[float]) -> Interval:
    """The first is the value, the rest are its resamples."""
    value = float(draws[0])
    return (
        Interval(value, *percentiles(draws[1:]))
        if len(draws) > 1 and not np.isnan(value)
        else Interval(value, NAN, NAN)
    )
