"""Thresholds: declarative predicates over stored statistics, decided for a whole batch at once.

`clean: rules:` resolves a RuleSet from presets and the user's overrides and decides from the
columns of the presets' families (families.py); `curate whatif` decides again with other values,
without the text.  A document in a language with values of its own is decided with those.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import StrEnum
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.rules import presets as published
from curation.rules.families import FAMILIES


class RemoveIf(StrEnum):
    """The comparisons, as the preset file writes them: all that the published filters use are strict."""

    BELOW = "<"
    AT_MOST = "<="
    ABOVE = ">"
    AT_LEAST = ">="


_COMPARISONS: Mapping[RemoveIf, Callable[[Any, Any], Any]] = {
    RemoveIf.BELOW: operator.lt,
    RemoveIf.AT_MOST: operator.le,
    RemoveIf.ABOVE: operator.gt,
    RemoveIf.AT_LEAST: operator.ge,
}


@dataclass(frozen=True)
class Threshold:
    """Remove a document whose numerator / denominator (or numerator alone) compares true with `value`.

    A ratio with denominator 0 has no value and removes nothing.
    """

    preset: str
    name: str
    numerator: str
    denominator: str | None
    remove_if: RemoveIf
    value: float
    argument: str  # its name in datatrove
    source: str
    family: str = "stats"  # the column that holds the counts
    by_language: Mapping[str, float] = field(default_factory=dict)  # instead of `value`, by language code

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"{self.key}: there is no family {self.family!r}{_nearest(self.family, FAMILIES)}")
        fields = FAMILIES[self.family].fields
        for name in (self.numerator, self.denominator):
            if name is not None and name not in fields:
                raise ValueError(f"{self.key}: there is no statistic {name!r}{_nearest(name, fields)}")

    @property
    def compare(self) -> Callable[[Any, Any], Any]:
        """The comparison, for a number or an array; NaN compares false: an undefined value removes nothing."""
        return _COMPARISONS[self.remove_if]

    @property
    def key(self) -> str:
        """What configs, columns and reports call it: `gopher-quality.min_words`."""
        return f"{self.preset}.{self.name}"


@dataclass(frozen=True)
class RuleSet:
    """Thresholds in the order in which they are applied."""

    thresholds: tuple[Threshold, ...]

    @classmethod
    def resolve(
        cls,
        presets: Sequence[str],
        override: Mapping[str, float] | None = None,
        languages: Mapping[str, Mapping[str, float]] | None = None,
    ) -> RuleSet:
        """The thresholds of the named presets, in this order, with the user's values.

        override: `{"gopher-quality.min_words": 30}`; a key must belong to one of the presets.
        languages: overrides by language code; keys of other known presets are passed over, since one
            table serves any choice of presets.  A user's override counts for every language.
        Raises ValueError for an unknown or repeated preset, an unknown key (naming the nearest valid
        one), or a value that is not a finite number.
        """
        known = published.load()
        for i, name in enumerate(presets):
            if name not in known:
                hint = _nearest(name, known)
                raise ValueError(f"there is no preset {name!r}{hint}; known: {', '.join(known)}")
            if name in presets[:i]:
                raise ValueError(f"preset {name!r} is listed twice")
        thresholds = {
            f"{name}.{row.name}": Threshold(
                name, row.name, row.numerator, row.denominator, RemoveIf(row.remove_if), row.value,
                row.argument, known[name].source, known[name].family,
            )
            for name in presets
            for row in known[name].thresholds
        }  # fmt: skip
        anywhere = {f"{name}.{row.name}" for name, preset in known.items() for row in preset.thresholds}
        for code, values in (languages or {}).items():
            for key, value in values.items():
                if key not in anywhere:
                    raise ValueError(f"languages: {code}: no threshold {key!r}{_nearest(key, sorted(anywhere))}")
                if key in thresholds:
                    one = thresholds[key]
                    own = {**one.by_language, code: _finite(f"languages: {code}: {key}", value)}
                    thresholds[key] = replace(one, by_language=own)
        for key, value in (override or {}).items():
            if key not in thresholds:
                hint = _nearest(key, thresholds)
                raise ValueError(f"override: no threshold {key!r} in these presets{hint}")
            thresholds[key] = replace(thresholds[key], value=_finite(f"override: {key}", value), by_language={})
        return cls(tuple(thresholds.values()))

    @property
    def families(self) -> list[str]:
        """The columns that the thresholds look at, each once."""
        return list(dict.fromkeys(threshold.family for threshold in self.thresholds))

    def values(self, columns: Mapping[str, pa.Array], threshold: Threshold) -> NDArray[np.float64]:
        """What the threshold looks at, per document: float64, NaN for a null row or a denominator of 0."""
        stats = columns[threshold.family]
        value = _column(stats, threshold.numerator)
        if threshold.denominator is not None:
            denominator = _column(stats, threshold.denominator)
            value = np.divide(value, denominator, out=np.full(len(value), np.nan), where=denominator > 0)
        return value

    def decide(self, columns: Mapping[str, pa.Array]) -> tuple[pa.StringArray, pa.StringArray]:
        """(removed_by, removed_detail) per document: null when kept or when its statistics are null.

        columns: the struct column of each family, and `language` (string) where a threshold has
        values by language.  removed_by is the key of the first threshold that removes the document,
        removed_detail its value against the threshold: `37 < 50`, `0.3127 > 0.3`.
        """
        n = len(next(iter(columns.values())))
        rule = np.full(n, -1, np.int64)
        removing, against = np.full(n, np.nan), np.full(n, np.nan)
        for index, threshold in enumerate(self.thresholds):
            value = self.values(columns, threshold)
            limit = _limits(threshold, columns, n)
            hit = (rule < 0) & threshold.compare(value, limit)
            rule[hit] = index
            removing[hit] = value[hit]
            against[hit] = limit[hit]
        details: list[str | None] = [None] * n
        for row in np.flatnonzero(rule >= 0).tolist():
            details[row] = _describe(float(removing[row]), self.thresholds[rule[row]], float(against[row]))
        keys = pa.array([threshold.key for threshold in self.thresholds], pa.string())
        chosen = pa.array(rule, mask=rule < 0)
        return pc.take(keys, chosen), pa.array(details, pa.string())


def _finite(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{key} must be a finite number, not {value!r}")
    return float(value)


def _limits(threshold: Threshold, columns: Mapping[str, pa.Array], n: int) -> NDArray[np.float64]:
    """The value that holds for each document: its language's, or the general one."""
    limits = np.full(n, threshold.value)
    for code, value in threshold.by_language.items():
        limits[np.asarray(pc.fill_null(pc.equal(columns["language"], code), False))] = value
    return limits


def _column(stats: pa.StructArray, name: str) -> NDArray[np.float64]:
    """One statistic as float64 (exact up to 2^53), NaN in null rows."""
    column = pc.struct_field(stats, name)
    return np.asarray(pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False))


def _describe(value: float, threshold: Threshold, limit: float) -> str:
    """`37 < 50` for counts; ratios with four digits, more where fewer would contradict the comparison."""
    if threshold.denominator is None:
        return f"{value:.0f} {threshold.remove_if} {limit:g}"
    candidates = (f"{value:.{digits}g}" for digits in (4, 6, 9, 17))
    shown = next(text for text in candidates if threshold.compare(float(text), limit))
    return f"{shown} {threshold.remove_if} {limit:g}"


def _nearest(name: str, valid: Sequence[str] | Mapping[str, object]) -> str:
    close = get_close_matches(name, list(valid), 1, 0.4)
    return f"; did you mean {close[0]!r}?" if close else ""
