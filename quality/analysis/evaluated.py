"""What goes into and comes out of a student's evaluation, as data; the page is made from `StudentEvaluation` alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from quality.analysis.export import as_json
from quality.analysis.metrics import Calibration
from quality.analysis.resampling import Interval


class Predicted(Protocol):
    """What a student says of n documents: arrays of n by dimension, and category probabilities [n, C]."""

    @property
    def value(self) -> Mapping[str, Any]: ...
    @property
    def level(self) -> Mapping[str, Any]: ...
    @property
    def lo(self) -> Mapping[str, Any]: ...
    @property
    def hi(self) -> Mapping[str, Any]: ...
    @property
    def p_solid(self) -> Mapping[str, Any]: ...
    @property
    def category_p(self) -> Any: ...


class Labelled(Protocol):
    """n labelled documents: judged levels by dimension, categories as indices into `names` (empty: none), sources."""

    @property
    def scores(self) -> Mapping[str, Any]: ...
    @property
    def levels(self) -> int: ...
    @property
    def names(self) -> Sequence[str]: ...
    @property
    def category(self) -> Any: ...
    @property
    def sources(self) -> Sequence[str]: ...


@dataclass(frozen=True)
class ScoreArrays:
    """One dimension on n documents: judged levels, and the student's value, level, interval and P(level ≥ 3).

    A judged level may be a mean of judges; as a whole level its half counts upwards.
    """

    name: str
    truth: Any
    value: Any
    level: Any | None = None  # the value rounded where not given
    lo: Any | None = None
    hi: Any | None = None
    p_solid: Any | None = None
    ceiling: float | None = None  # the judge's own test–retest QWK
    baselines: Mapping[str, Any] = field(default_factory=dict)  # name → values of a simpler predictor
    baseline_levels: Mapping[str, Any] = field(default_factory=dict)  # its levels, where rounding is not how it decides


@dataclass(frozen=True)
class CategoryArrays:
    """Judged categories and the student's probabilities p[n, len(names)]."""

    names: Sequence[str]
    truth: Any
    p: Any
    ceiling: float | None = None  # the judge's own test–retest kappa


@dataclass(frozen=True)
class Skill:
    """One predictor of one dimension; QWK and within-one of its values as levels."""

    name: str
    qwk: Interval
    spearman: Interval
    within_category: Interval
    within_one: Interval
    mean_absolute_error: Interval


@dataclass(frozen=True)
class Coverage:
    """Share of documents whose judged level lies in the student's interval."""

    group: str
    documents: int
    covered: Interval


@dataclass(frozen=True)
class ScoreEvaluation:
    """One dimension.  `curve`: (mean value, mean level, lo, hi) of bins of equal mass."""

    name: str
    ceiling: float | None
    student: Skill
    baselines: list[Skill]
    auroc_solid: Interval
    ece_solid: Calibration | None
    curve: list[tuple[float, float, float, float]]
    bias: float  # calibration error of the value, in levels
    confusion: list[list[int]]
    shares_judged: list[float]
    shares_student: list[float]
    by_category: list[tuple[str, int, Interval]]
    between_sources: tuple[float, float] | None  # ε² of the judged levels and of the values
    between_categories: tuple[float, float] | None
    coverage: list[Coverage]
    width: float | None  # mean, in levels


@dataclass(frozen=True)
class CategoryEvaluation:
    """The category: truth × most probable; `confused` are (judged, said, documents), most frequent first."""

    ceiling: float | None
    macro_f1: Interval
    accuracy: Interval
    kappa: Interval
    majority: float
    ece: Calibration
    f1: list[tuple[str, int, float]]
    confused: list[tuple[str, str, int]]


@dataclass(frozen=True)
class LearningPoint:
    """A metric after training on so many labels."""

    labels: int
    metric: str
    value: Interval


@dataclass(frozen=True)
class StudentEvaluation:
    """Everything on the page."""

    version: int
    seed: int
    replicates: int
    title: str
    held_out: str  # how these documents were held out, in words
    documents: int
    units: int
    target: float  # coverage that the intervals promise
    scores: list[ScoreEvaluation]
    category: CategoryEvaluation | None
    learning: list[LearningPoint]

    def json(self) -> bytes:
        """Readable JSON; undefined figures are null."""
        return as_json(self)
