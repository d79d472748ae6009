"""What is fixed before the first run, and what comes out: the design of a comparison and its verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from curation.pipeline.errors import UsageError
from proxy_model.experiment.statistics.components import Components
from proxy_model.experiment.statistics.crossed import Items
from proxy_model.experiment.statistics.registry_prior import NoiseKey
from proxy_model.experiment.statistics.sequential import Bounds

Kind = Literal["superiority", "non_inferiority", "equivalence"]
Label = Literal["superior", "non_inferior", "equivalent", "inferior", "inconclusive"]


@dataclass(frozen=True)
class Design:
    """alpha: one-sided level (halved when two_sided); power: of the MDE that is reported; margin and mde in the
    metric's units; items: `random` speaks of benchmarks like these, `fixed` of these items only; bounds: planned looks;
    baseline_pool: one candidate run against three or more baseline runs was planned; key: for the noise registry;
    e_effect: in σ_seed, runs may be added at any time and the e-value against this effect decides instead of p."""

    kind: Kind = "superiority"
    alpha: float = 0.05
    two_sided: bool = False
    power: float = 0.8
    margin: float | None = None
    mde: float | None = None
    items: Items = "random"
    bounds: Bounds | None = None
    baseline_pool: bool = False
    key: NoiseKey | None = None
    e_effect: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 0.5 or not self.alpha < self.power < 1:
            raise UsageError(f"alpha {self.alpha} and power {self.power}: alpha below .5, power between alpha and 1")
        if self.kind != "superiority" and self.margin is None:
            raise UsageError(
                f"{self.kind} needs a margin", "the largest difference that would not matter, in metric units"
            )
        if self.margin is not None and self.margin <= 0:
            raise UsageError(f"margin {self.margin} must be above 0")
        if self.e_effect is not None and (self.e_effect <= 0 or self.bounds is not None or self.kind != "superiority"):
            raise UsageError(
                "the e-value is for superiority without planned looks, against an effect above 0 (in σ_seed)"
            )
        if self.bounds is not None and abs(self.bounds.alpha - self.side) > 1e-12:
            raise UsageError(f"the looks spend {self.bounds.alpha}, the design's one-sided level is {self.side}")

    @property
    def side(self) -> float:
        """One-sided level of each directional claim."""
        return self.alpha / 2 if self.two_sided else self.alpha


@dataclass(frozen=True)
class Line:
    """One robustness line or assumption: what, its number (nan where none), and how to read it."""

    name: str
    value: float
    note: str


@dataclass(frozen=True)
class BenchmarkLine:
    """One benchmark: estimate and its own CI95 in gain, two-sided p and p after Holm over the suite's benchmarks."""

    benchmark: str
    weight: float
    units: int
    estimate: float
    ci: tuple[float, float]
    p: float
    holm: float


@dataclass(frozen=True)
class Verdict:
    """label; estimate and ci (95 %, two-sided) of the gain, candidate better = positive, in metric units; p of the
    design's hypothesis; level it is compared with (of this look); bounds: one-sided limits at that level.

    claims: every claim that holds at the level, the label is the strongest; mde_achieved: what this experiment finds
    with the design's power, mde_in_sigma in units of sigma_seed; look, final: which of the planned looks this is.
    conditional_power: chance that the last look finds the planned effect (stopping under .10 is free); e_value.
    """

    label: Label
    estimate: float
    ci: tuple[float, float]
    p: float
    df: float
    level: float
    bounds: tuple[float, float]
    claims: tuple[Label, ...]
    components: Components
    sigma_seed: float
    mde_achieved: float
    mde_in_sigma: float
    runs: tuple[int, int]
    units: int
    per_benchmark: tuple[BenchmarkLine, ...]
    robustness: tuple[Line, ...]
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]
    look: int | None = None
    final: bool = True
    conditional_power: float | None = None
    e_value: float | None = None
