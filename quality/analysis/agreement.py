"""How far judges agree with themselves and with each other, and which documents want a third opinion.

Source: reference §2.4.  Gates: test–retest QWK ≥ 0.80, cross-judge alpha ≥ 0.67, category kappa ≥ 0.70, within one
level ≥ 0.95; only the two dimensions that drive the mix and the category are held to them.  What was not measured
neither passes nor fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from curation.pipeline.hashing import Purpose, derive_seed
from quality.analysis.arrays import NAN, Floats
from quality.analysis.drift import Drift
from quality.analysis.export import as_json
from quality.analysis.judgements import SCORES, Judgements, Pairs, cross_pairs, retest_pairs
from quality.analysis.metrics import (
    LEVELS,
    Interval,
    bootstrap,
    cohen_kappa,
    entropy,
    krippendorff_alpha,
    level_shares,
    proportion,
    qwk,
    spearman,
    within_one,
)  # fmt: skip
from quality.labels.combine import FAR, SURE
from quality.rubric.rubric import DIMENSIONS

VERSION = 1
Kind = Literal["test–retest", "cross-judge"]
RETEST: Kind = "test–retest"
CROSS: Kind = "cross-judge"
MIN_RETEST_QWK, MIN_CROSS_ALPHA, MIN_CATEGORY_KAPPA, MIN_WITHIN_ONE = 0.80, 0.67, 0.70, 0.95
Passed = Literal["pass", "fail", "not measured"]


@dataclass(frozen=True)
class ScoreAgreement:
    """One dimension over pairs of judgements; `table[i][j]`: pairs with left level i and right level j."""

    pairs: int
    qwk: Interval
    spearman: Interval
    within_one: Interval
    exact: float
    alpha: Interval
    difference: Interval  # mean of right − left: one of them is stricter
    table: list[list[int]]


@dataclass(frozen=True)
class CategoryAgreement:
    """`confused`: the pairs of categories taken for one another most often, with their number."""

    pairs: int
    kappa: Interval
    alpha: Interval
    exact: float
    confused: list[tuple[str, str, int]]


@dataclass(frozen=True)
class KindAgreement:
    """All dimensions over one kind of pairs."""

    kind: Kind
    pairs: int
    documents: int
    scores: dict[str, ScoreAgreement]
    category: CategoryAgreement


@dataclass(frozen=True)
class Gate:
    """One promise about labels: `sure` where the whole interval is on the passing side."""

    name: str
    subject: str
    kind: Kind
    least: float
    found: Interval
    pairs: int
    result: Passed
    sure: bool


@dataclass(frozen=True)
class Usage:
    """Share of each level, its entropy in bits (log2 6 = 2.58 at most), mean, and the levels never given."""

    judge: str
    dimension: str
    judgements: int
    shares: list[float]
    entropy: float
    mean: float
    unused: list[int]


@dataclass(frozen=True)
class Dispute:
    """A document for a third judge, and why."""

    doc_id: str
    judges: list[str]
    scores: dict[str, list[float | None]]
    categories: list[str | None]
    reasons: list[str]


@dataclass(frozen=True)
class Agreement:
    """Everything `curate quality agreement` found."""

    version: int
    seed: int
    replicates: int
    judgements: int
    documents: int
    judges: dict[str, str]  # judge → family
    kinds: list[KindAgreement]
    gates: list[Gate]
    usage: list[Usage]
    disputes: list[Dispute]
    drift: list[Drift]

    def json(self) -> bytes:
        """Readable JSON; undefined figures are null."""
        return as_json(self)


def agree(labels: Judgements, *, drift: Sequence[Drift] = (), seed: int = 0, replicates: int = 1000) -> Agreement:
    """Measure all that the labels allow."""
    kinds = [
        _kind(labels, kind, pairs, seed, replicates)
        for kind, pairs in ((RETEST, retest_pairs(labels)), (CROSS, cross_pairs(labels)))
        if len(pairs)
    ]
    return Agreement(
        version=VERSION, seed=seed, replicates=replicates, judgements=len(labels), documents=len(labels.documents),
        judges=dict(zip(labels.judges, labels.families, strict=True)), kinds=kinds, gates=_gates(kinds),
        usage=_usage(labels), disputes=disputes(labels), drift=list(drift),
    )  # fmt: skip


def disputes(labels: Judgements) -> list[Dispute]:
    """Documents judged exactly twice whose labels the adjudication rule of reference §2.4 does not accept."""
    found = []
    for d, name in enumerate(labels.documents):
        rows = labels.rows_of(d)
        if len(rows) != 2:
            continue
        a, b = rows
        reasons = [
            f"{one} {labels.scores[one][a]:.0f} and {labels.scores[one][b]:.0f}"
            for one in DIMENSIONS
            if abs(labels.scores[one][a] - labels.scores[one][b]) >= FAR
        ]
        sure = min(np.nan_to_num(labels.confidence[[a, b]])) >= SURE - 1e-6  # stored as float32
        if sure and None not in labels.category[[a, b]] and labels.category[a] != labels.category[b]:
            reasons.append("two categories, both sure")
        if reasons:
            found.append(
                Dispute(
                    name, [labels.judges[labels.judge[row]] for row in rows],
                    {one: [_level(labels.scores[one][row]) for row in rows] for one in SCORES},
                    [labels.category[row] for row in rows], reasons,
                )
            )  # fmt: skip
    return found


def _level(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _kind(labels: Judgements, kind: Kind, pairs: Pairs, seed: int, replicates: int) -> KindAgreement:
    def interval(name: str, fn: Callable[..., float], document: NDArray[np.intp], *arrays: ArrayLike) -> Interval:
        chosen = derive_seed(seed, Purpose.SAMPLE, "agreement", kind, name)
        return bootstrap(fn, *arrays, seed=chosen, groups=document, n=replicates)

    scores = {}
    for name in SCORES:
        values = labels.scores[name]
        judged = ~np.isnan(values[pairs.left]) & ~np.isnan(values[pairs.right])
        if not judged.any():
            continue
        a, b, document = values[pairs.left][judged], values[pairs.right][judged], pairs.document[judged]
        table = np.zeros((LEVELS, LEVELS), np.int64)
        np.add.at(table, (a.astype(np.intp), b.astype(np.intp)), 1)
        scores[name] = ScoreAgreement(
            pairs=int(judged.sum()),
            qwk=interval(f"{name} qwk", qwk, document, a, b),
            spearman=interval(f"{name} spearman", spearman, document, a, b),
            within_one=_within_one(a, b, document),
            exact=float(np.mean(a == b)),
            alpha=interval(f"{name} alpha", _alpha_of("ordinal"), document, document, a, b),
            difference=interval(f"{name} difference", lambda x, y: float(np.mean(y - x)), document, a, b),
            table=table.tolist(),
        )
    return KindAgreement(kind, len(pairs), len(np.unique(pairs.document)), scores, _category(labels, pairs, interval))


def _within_one(a: Floats, b: Floats, document: NDArray[np.intp]) -> Interval:
    """Wilson's interval with documents, not pairs, as units: pairs of one document are no new evidence."""
    share, units = within_one(a, b), len(np.unique(document))
    return proportion(share * units, units)


def _category(labels: Judgements, pairs: Pairs, interval: Callable[..., Interval]) -> CategoryAgreement:
    given = labels.category != None  # noqa: E711 (element by element)
    both = given[pairs.left] & given[pairs.right]
    pairs = Pairs(pairs.left[both], pairs.right[both], pairs.document[both])
    if not len(pairs):
        none = Interval(NAN, NAN, NAN)
        return CategoryAgreement(0, none, none, NAN, [])
    names, flat = np.unique(labels.category.astype(str), return_inverse=True)
    a, b = flat[pairs.left], flat[pairs.right]
    apart = a != b
    taken, counts = np.unique(np.sort(np.stack([a[apart], b[apart]], 1), 1), axis=0, return_counts=True)
    confused = [(str(names[i]), str(names[j]), int(n)) for (i, j), n in zip(taken, counts, strict=True)]
    return CategoryAgreement(
        pairs=len(pairs),
        kappa=interval("category kappa", cohen_kappa, pairs.document, a, b),
        alpha=interval("category alpha", _alpha_of("nominal"), pairs.document, pairs.document, a, b),
        exact=float(np.mean(~apart)),
        confused=sorted(confused, key=lambda row: (-row[2], row[0], row[1]))[:20],
    )


def _alpha_of(kind: Literal["ordinal", "nominal"]) -> Callable[..., float]:
    """Alpha of pairs, each a unit of its own: with two judgements a document this is the usual alpha."""

    def alpha(_: NDArray[Any], a: ArrayLike, b: ArrayLike) -> float:
        return krippendorff_alpha(np.stack([np.asarray(a, np.float64), np.asarray(b, np.float64)]), kind)

    return alpha


def _gates(kinds: Sequence[KindAgreement]) -> list[Gate]:
    made = []
    for kind in (RETEST, CROSS):
        one = next((found for found in kinds if found.kind == kind), None)
        for name in DIMENSIONS:
            score = one.scores.get(name) if one else None
            pairs = score.pairs if score else 0
            if kind == RETEST:
                made.append(_gate("QWK", name, kind, MIN_RETEST_QWK, score.qwk if score else None, pairs))
            else:
                made.append(_gate("alpha", name, kind, MIN_CROSS_ALPHA, score.alpha if score else None, pairs))
            near = score.within_one if score else None
            made.append(_gate("within one level", name, kind, MIN_WITHIN_ONE, near, pairs))
        kappa = one.category.kappa if one else None
        made.append(_gate("kappa", "category", kind, MIN_CATEGORY_KAPPA, kappa, one.category.pairs if one else 0))
    return made


def _gate(name: str, subject: str, kind: Kind, least: float, found: Interval | None, pairs: int) -> Gate:
    if found is None or np.isnan(found.value):
        return Gate(name, subject, kind, least, Interval(NAN, NAN, NAN), pairs, "not measured", False)
    passed = found.value >= least
    sure = found.lo >= least if passed else found.hi < least
    return Gate(name, subject, kind, least, found, pairs, "pass" if passed else "fail", bool(sure))


def _usage(labels: Judgements) -> list[Usage]:
    made = []
    for judge in (None, *range(len(labels.judges))):
        for name in SCORES:
            values = labels.scores[name] if judge is None else labels.scores[name][labels.judge == judge]
            values = values[~np.isnan(values)]
            if len(values):
                shares = level_shares(values)
                who = "all judges" if judge is None else labels.judges[judge]
                unused = np.flatnonzero(shares == 0).tolist()
                mean = float(values.mean())
                made.append(Usage(who, name, len(values), shares.tolist(), entropy(shares), mean, unused))
    return made
