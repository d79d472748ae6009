"""How good a student is on documents it has not seen, from plain arrays: nothing here knows how it was made.

Truth is the judge's label; `ceiling` is what the judge reaches against itself.  Quality that only sorts by category
or source is shown for what it is: correlation within categories, and the share of variance between sources.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.pipeline.hashing import Purpose, derive_seed
from quality.analysis.arrays import NAN, Floats, codes, numbers
from quality.analysis.evaluated import (
    CategoryArrays,
    CategoryEvaluation,
    Coverage,
    Labelled,
    LearningPoint,
    Predicted,
    ScoreArrays,
    ScoreEvaluation,
    Skill,
    StudentEvaluation,
)
from quality.analysis.metrics import (
    LEVELS,
    MIN_GROUP,
    Interval,
    auroc,
    bootstrap,
    cohen_kappa,
    ece,
    ece_interval,
    equal_mass,
    f1_by_label,
    level_shares,
    levels_of,
    macro_f1,
    proportion,
    qwk,
    spearman,
    variance_share,
    within_group_spearman,
    within_one,
)
from quality.rubric.rubric import SOLID

VERSION = 1
BINS = 10
FOREST_DRAWS = 300
MIN_SHOWN = 20  # documents of a category or source for a row of coverage


def evaluate_arrays(
    title: str,
    held_out: str,
    scores: Sequence[ScoreArrays],
    category: CategoryArrays | None = None,
    *,
    sources: Any | None = None,
    units: Any | None = None,
    learning: Sequence[LearningPoint] = (),
    target: float = 0.9,
    levels: int = LEVELS,
    seed: int = 0,
    replicates: int = 1000,
) -> StudentEvaluation:
    """Measure predictions against labels.

    sources: one a document, for the variance share and coverage.  units: what the bootstrap draws whole (an article,
    a source), documents where not given.  ValueError for NaN, unequal lengths and levels outside the scale.
    """
    if not scores and category is None:
        raise ValueError("there is nothing to evaluate")
    size = len(np.asarray(scores[0].truth if scores else category.truth))  # type: ignore[union-attr]
    groups = None if units is None else codes(units)[0][0]
    origin = None if sources is None else np.asarray(sources)
    subject = None if category is None else np.asarray(category.truth)
    for name, given in (("units", groups), ("sources", origin), ("categories", subject)):
        if given is not None and len(given) != size:
            raise ValueError(f"{size} documents but {len(given)} {name}")

    def interval(name: str, fn: Callable[..., float], *arrays: NDArray[Any]) -> Interval:
        chosen = derive_seed(seed, Purpose.SAMPLE, "evaluation", name)
        return bootstrap(fn, *arrays, seed=chosen, groups=groups, n=replicates)

    return StudentEvaluation(
        version=VERSION, seed=seed, replicates=replicates, title=title, held_out=held_out, documents=size,
        units=size if groups is None else len(np.unique(groups)), target=target,
        scores=[_score(one, subject, origin, interval, levels, seed, replicates, groups) for one in scores],
        category=None if category is None else _category(category, interval, seed, replicates, groups),
        learning=list(learning),
    )  # fmt: skip


def _score(
    one: ScoreArrays, subject: NDArray[Any] | None, origin: NDArray[Any] | None, interval: Callable[..., Interval],
    levels: int, seed: int, replicates: int, groups: NDArray[np.intp] | None,
) -> ScoreEvaluation:  # fmt: skip
    truth, value = numbers(one.truth, one.value)
    if truth.min() < 0 or truth.max() > levels - 1:
        raise ValueError(f"{one.name}: judged levels must lie between 0 and {levels - 1}")
    judged = whole_levels(truth, levels)
    level, _ = numbers(whole_levels(value, levels) if one.level is None else levels_of(one.level, levels), truth)
    solid = (truth >= SOLID).astype(np.float64)
    table = np.zeros((levels, levels), np.int64)
    np.add.at(table, (judged.astype(np.intp), level.astype(np.intp)), 1)
    group = codes(subject) if subject is not None else None
    p = None if one.p_solid is None else numbers(one.p_solid, truth)[0]

    def skill(name: str, values: Floats, whole: Floats) -> Skill:
        return Skill(
            name=name,
            qwk=interval(f"{one.name} {name} qwk", lambda a, b: qwk(a, b, levels), judged, whole),
            spearman=interval(f"{one.name} {name} spearman", spearman, truth, values),
            within_category=Interval(NAN, NAN, NAN)
            if group is None
            else interval(f"{one.name} {name} within", within_group_spearman, truth, values, group[0][0]),
            within_one=interval(f"{one.name} {name} near", within_one, judged, whole),
            mean_absolute_error=interval(
                f"{one.name} {name} error", lambda a, b: float(np.abs(a - b).mean()), truth, values
            ),
        )

    return ScoreEvaluation(
        name=one.name,
        ceiling=one.ceiling,
        student=skill("student", value, level),
        baselines=[
            skill(name, made, whole_levels(made, levels) if whole is None else levels_of(whole, levels))
            for name, values in one.baselines.items()
            for made, whole in ((numbers(values, truth)[0], one.baseline_levels.get(name)),)
        ],
        auroc_solid=interval(f"{one.name} auroc", auroc, solid, value if p is None else p),
        ece_solid=None
        if p is None
        else ece_interval(
            p, solid, seed=derive_seed(seed, Purpose.SAMPLE, "ece", one.name), n=replicates, groups=groups
        ),
        curve=_curve(value, truth),
        bias=ece(value, truth, BINS),
        confusion=table.tolist(),
        shares_judged=level_shares(judged, levels).tolist(),
        shares_student=level_shares(level, levels).tolist(),
        by_category=[] if group is None else _by_group(one.name, truth, value, *group, seed=seed),
        between_sources=None if origin is None else _between(truth, value, origin),
        between_categories=None if subject is None else _between(truth, value, subject),
        coverage=[] if one.lo is None or one.hi is None else _coverage(truth, one.lo, one.hi, subject, origin),
        width=None
        if one.lo is None or one.hi is None
        else float(np.mean(np.asarray(one.hi, np.float64) - np.asarray(one.lo, np.float64))),
    )


def evaluate_predictions(
    title: str, held_out: str, data: Labelled, predictions: Mapping[str, Predicted], *,
    ceilings: Mapping[str, float] | None = None, **options: Any,
) -> StudentEvaluation:  # fmt: skip
    """`evaluate_arrays` for predictions of the documents of `data`, row by row; the first is the student's.

    ceilings: the judge's own test–retest QWK by dimension, and its kappa under `category`.
    """
    (_, student), *others = predictions.items()
    own = ceilings or {}
    scores = [
        ScoreArrays(
            name, judged, student.value[name], student.level[name], student.lo[name], student.hi[name],
            student.p_solid[name], own.get(name), {label: one.value[name] for label, one in others},
            {label: one.level[name] for label, one in others},
        )
        for name, judged in data.scores.items()
    ]  # fmt: skip
    names = np.array(list(data.names), object)
    category = (
        CategoryArrays(list(data.names), names[np.asarray(data.category)], student.category_p, own.get("category"))
        if len(names)
        else None
    )
    return evaluate_arrays(
        title, held_out, scores, category, sources=np.array(list(data.sources), object), levels=data.levels, **options
    )


def whole_levels(values: Floats, levels: int) -> Floats:
    """Nearest whole level on the scale, halves upwards."""
    made: Floats = np.clip(np.floor(values + 0.5), 0, levels - 1)
    return made


def _curve(value: Floats, truth: Floats) -> list[tuple[float, float, float, float]]:
    """Bins of equal mass; the interval is mean ± 1.96 standard errors."""
    bins = equal_mass(value, BINS)
    made = []
    for one in np.unique(bins):
        inside = truth[bins == one]
        error = 1.96 * inside.std(ddof=1) / np.sqrt(len(inside)) if len(inside) > 1 else NAN
        mean = float(inside.mean())
        made.append((float(value[bins == one].mean()), mean, mean - float(error), mean + float(error)))
    return made


def _by_group(
    name: str, truth: Floats, value: Floats, group: list[NDArray[np.intp]], names: NDArray[Any],
    seed: int,
) -> list[tuple[str, int, Interval]]:  # fmt: skip
    """Spearman inside each category of at least MIN_GROUP documents whose levels differ; documents are drawn."""
    made = []
    for code, label in enumerate(names.tolist()):
        inside = group[0] == code
        if inside.sum() >= MIN_GROUP and np.ptp(truth[inside]):
            chosen = derive_seed(seed, Purpose.SAMPLE, "evaluation", name, str(label))
            found = bootstrap(spearman, truth[inside], value[inside], seed=chosen, n=FOREST_DRAWS)
            made.append((str(label), int(inside.sum()), found))
    return sorted(made, key=lambda row: -np.nan_to_num(row[2].value, nan=-2))


def _between(truth: Floats, value: Floats, groups: NDArray[Any]) -> tuple[float, float]:
    return variance_share(truth, groups)[1], variance_share(value, groups)[1]


def _coverage(
    truth: Floats, lo: Any, hi: Any, subject: NDArray[Any] | None, origin: NDArray[Any] | None
) -> list[Coverage]:  # fmt: skip
    low, high, _ = numbers(lo, hi, truth)
    if (low > high).any():
        raise ValueError("an interval ends before it begins")
    inside = (low <= truth) & (truth <= high)
    made = [Coverage("all documents", len(truth), proportion(float(inside.sum()), len(truth)))]
    for kind, groups in (("category", subject), ("source", origin)):
        if groups is None:
            continue
        for label in np.unique(groups.astype(str)):
            members = groups.astype(str) == label
            if members.sum() >= MIN_SHOWN:
                found = proportion(float(inside[members].sum()), int(members.sum()))
                made.append(Coverage(f"{kind} {label}", int(members.sum()), found))
    return made


def _category(
    one: CategoryArrays, interval: Callable[..., Interval], seed: int, replicates: int, groups: NDArray[np.intp] | None
) -> CategoryEvaluation:
    p = np.asarray(one.p, np.float64)
    truth = np.asarray(one.truth).astype(str)
    if p.shape != (len(truth), len(one.names)) or not np.isfinite(p).all():
        raise ValueError(f"category probabilities must be finite and {(len(truth), len(one.names))}, not {p.shape}")
    names = np.array(list(one.names), str)
    unknown = sorted(set(truth) - set(names))
    if unknown:
        raise ValueError(f"a judged category is none of the student's: {str(unknown[0])!r}")
    said = names[p.argmax(1)]
    place = {name: i for i, name in enumerate(names)}
    t, s = (np.array([place[name] for name in labels], np.intp) for labels in (truth, said))
    wrong = t != s
    pairs, counts = np.unique(np.stack([t[wrong], s[wrong]], 1), axis=0, return_counts=True)
    confused = [(str(names[a]), str(names[b]), int(n)) for (a, b), n in zip(pairs, counts, strict=True)]
    counted = [(name, int((truth == name).sum()), score) for name, score in f1_by_label(truth, said).items()]
    return CategoryEvaluation(
        ceiling=one.ceiling,
        macro_f1=interval("macro f1", macro_f1, t, s),
        accuracy=interval("accuracy", lambda a, b: float(np.mean(a == b)), t, s),
        kappa=interval("kappa", cohen_kappa, t, s),
        majority=float(np.bincount(t).max() / len(t)),
        ece=ece_interval(
            np.clip(p.max(1), 0, 1), (t == s).astype(np.float64), groups=groups, n=replicates,
            seed=derive_seed(seed, Purpose.SAMPLE, "ece", "category"),
        ),
        f1=sorted(counted, key=lambda row: (-row[1], row[0])),
        confused=sorted(confused, key=lambda row: (-row[2], row[0], row[1]))[:20],
    )  # fmt: skip
