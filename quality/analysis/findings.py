"""What `curate quality validate` finds, as data: the page and the verdict are made from this alone."""

from __future__ import annotations

from dataclasses import dataclass

from quality.analysis.correlations import Components
from quality.analysis.drop_one import DropOne
from quality.analysis.export import as_json
from quality.analysis.resampling import Interval
from quality.analysis.sensitivity import Variant


@dataclass(frozen=True)
class PairOfDimensions:
    """One correlation: raw, corrected for reliability, and with controls taken out.

    `one_pass` and `two_passes` are both over the documents judged twice: scores of the same and of different passes.
    """

    first: str
    second: str
    spearman: Interval
    corrected: Interval
    one_pass: float
    two_passes: float
    partial: dict[str, float]


@dataclass(frozen=True)
class Explained:
    """How much of one dimension is merely where a document comes from: ε² and adjusted R²."""

    dimension: str
    by_source: Interval | None
    by_category: Interval
    by_length: float
    by_all: float
    by_source_beyond_category: float | None


@dataclass(frozen=True)
class Validation:
    """Everything `curate quality validate` found."""

    version: int
    seed: int
    replicates: int
    documents: int
    left_out: int  # documents without a score in one of the dimensions
    dimensions: list[str]
    categories: int
    sources: int | None
    pairs: int
    reliability_from: str
    reliability: dict[str, Interval]
    correlations: list[PairOfDimensions]
    components: Components
    explained: list[Explained]
    drop_one: DropOne
    variants: list[Variant]
    verdict: list[str]

    def json(self) -> bytes:
        """Readable JSON; undefined figures are null."""
        return as_json(self)
