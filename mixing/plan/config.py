"""What a user decides about a mix, as typed values (the YAML model is in mixing/config.py)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, get_args

from curation.pipeline.errors import UsageError
from curation.pipeline.registry import suggest
from mixing.inventory.cells import ANY, Cells

Preset = Literal["proportional", "temperature", "unimax", "tilted", "fixed", "regression"]
OnDeficit = Literal["error", "shrink", "relax_caps", "relax_low_first"]
Unit = Literal["cell", "source", "category", "language"]

BUCKETS = 5
# Low quality loses beyond 2 epochs, high quality is usable up to 4 (MiniMax-01 §4.1.3.2).
LOW_CAP, HIGH_CAP = 2.0, 4.0
FLOOR = 0.6  # of a category's base share
KL = 0.25  # nats; for normal scores λ = 0.71 and an effective sample of 61 % (quality_mixing §4.2)
TEMPERATURE_TAU = 0.5  # of the preset where no tau is given; 0.3–0.7 is usual
R_STAR = 15.387756  # repeats after which 1 − 1/e of all their value is had (Muennighoff 2023, fitted constants)
SUM_TOLERANCE = 0.01  # weights written with two decimals


def caps_between(low: float = LOW_CAP, high: float = HIGH_CAP) -> tuple[float, float, float, float, float]:
    """Caps by bucket 0–4: `low` below the median, `high` for the top two, half-way between: 2, 2, 3, 4, 4."""
    return (low, low, (low + high) / 2, high, high)


@dataclass(frozen=True)
class PlanConfig:
    """preset: tilted is the only one that uses `kl`; fixed and regression use `weights`.

    tau: prior ∝ tokens^tau; None: 1, or 0.5 for temperature, 0 for unimax.
    over: between what tau and unimax flatten; within it, cells keep their proportions.
    caps: epochs by bucket 0–4 (inf: none); None: 2, 2, 3, 4, 4, or no caps with soft_caps.
    untagged_cap: of cells without a bucket; None: the lowest of `caps`.
    floors: share of a category's base share that stays, or {category: share of the budget}.
    ceilings: {source: largest share of the budget}.
    weights: {name: share}, the names being sources, or what `weights_of` says.
    fold: cells with less than half a document give their tokens to others of their category.
    Raises UsageError: see `check` for the names, `__post_init__` for the values.
    """

    preset: Preset = "tilted"
    kl: float = KL
    tau: float | None = None
    over: Unit = "cell"
    caps: tuple[float, ...] | None = None
    untagged_cap: float | None = None
    floors: float | Mapping[str, float] = FLOOR
    ceilings: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    weights: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    weights_of: Unit = "source"
    on_deficit: OnDeficit = "error"
    soft_caps: bool = False
    r_star: tuple[float, ...] = (R_STAR,) * BUCKETS
    fold: bool = True

    def __post_init__(self) -> None:
        for name, kind in (("preset", Preset), ("on_deficit", OnDeficit), ("over", Unit), ("weights_of", Unit)):
            if getattr(self, name) not in get_args(kind):
                raise UsageError(
                    f"mix.{name}: {getattr(self, name)!r}", suggest(str(getattr(self, name)), list(get_args(kind)))
                )
        _number("kl", self.kl, 0, math.inf)
        if self.tau is not None:
            _number("tau", self.tau, 0, 10)
        for name in ("caps", "r_star"):
            values = getattr(self, name)
            if values is not None and len(values) != BUCKETS:
                raise UsageError(
                    f"mix.{name}: {len(values)} numbers", f"one for each of the {BUCKETS} buckets, 0 first"
                )
            for value in values or ():
                _number(name, value, 0, math.inf, infinite=name == "caps")
        if min(self.r_star) <= 0:
            raise UsageError(
                "mix.r_star: 0", "a number of repeats above 0; no repeats at all is `caps: {low: 1, high: 1}`"
            )
        if self.untagged_cap is not None:
            _number("untagged_cap", self.untagged_cap, 0, math.inf, infinite=True)
        self._check_shares()

    def _check_shares(self) -> None:
        if isinstance(self.floors, Mapping):
            for name, share in self.floors.items():
                _number(f"floors.{name}", share, 0, 1)
            if (total := math.fsum(self.floors.values())) > 1 + 1e-9:
                raise UsageError(f"mix.floors: {total:.4g} in sum", "shares of one budget: at most 1 together")
        else:
            _number("floors", self.floors, 0, 1)
        for name, share in self.ceilings.items():
            _number(f"ceilings.{name}", share, 0, 1)
        if self.soft_caps and self.ceilings:
            raise UsageError("mix: soft_caps and ceilings", "use one of them: with ceilings, caps are hard")
        if self.preset not in ("fixed", "regression"):
            if self.weights:
                raise UsageError(f"mix.weights with the preset {self.preset!r}", "weights belong to the preset fixed")
            return
        if not self.weights:
            raise UsageError(f"mix: the preset {self.preset!r} has no weights", "weights: {web: 0.6, books: 0.4}")
        for name, share in self.weights.items():
            _number(f"weights.{name}", share, 0, 1)
        total = math.fsum(self.weights.values())
        if abs(total - 1) > SUM_TOLERANCE:
            scaled = ", ".join(f"{name}: {share / total:.4g}" for name, share in self.weights.items()) if total else ""
            raise UsageError(
                f"mix.weights: {total:.4g} in sum, not 1", f"did you mean {{{scaled}}}?" if scaled else "shares of 1"
            )

    @property
    def exponent(self) -> float:
        """tau of the prior."""
        if self.tau is not None:
            return self.tau
        return {"temperature": TEMPERATURE_TAU, "unimax": 0.0}.get(self.preset, 1.0)

    def check(self, cells: Cells) -> None:
        """Raises UsageError for a source or category that the cells do not have, naming the nearest one."""
        if not len(cells):
            raise UsageError("there is not one document to mix", "see the report of the run for what removed them")
        _known("ceilings", self.ceilings, cells, "source")
        if isinstance(self.floors, Mapping):
            _known("floors", self.floors, cells, "category")
        if not self.weights:
            return
        names = _known("weights", self.weights, cells, self.weights_of)
        if missing := sorted(names - set(self.weights)):
            raise UsageError(
                f"mix.weights: no weight for {self.weights_of} {missing[0]!r}",
                "give every one a share; 0 leaves it out and says so",
            )


def names_of(cells: Cells, unit: Unit) -> list[str]:
    """Which source (category, …) each cell belongs to; the cells' own names for `cell`."""
    return [cells.name(i) for i in range(len(cells))] if unit == "cell" else list(cells.column(unit))


def _known(key: str, given: Mapping[str, float], cells: Cells, unit: Unit) -> set[str]:
    names = set(names_of(cells, unit))
    if given and names == {ANY}:
        raise UsageError(f"mix.{key}: the cells are not split by {unit}", f"add {unit!r} to mix.cells")
    for name in given:
        if name not in names:
            raise UsageError(f"mix.{key}: there is no {unit} {name!r}", suggest(name, sorted(names)))
    return names


def _number(key: str, value: float, least: float, most: float, *, infinite: bool = False) -> None:
    """Raises UsageError for what is not a number from `least` to `most`; inf only where allowed."""
    if (
        isinstance(value, bool)
        or math.isnan(value)
        or not least <= value <= most
        or (math.isinf(value) and not infinite)
    ):
        raise UsageError(
            f"mix.{key}: {value!r}", f"a number from {least:g}" + (f" to {most:g}" if most < math.inf else "")
        )
