"""Histograms of thresholded statistics, binned by the database: a threshold is always a bin edge.

The bins count outwards from the threshold on a linear scale (ratios, small counts) or a
logarithmic one (counts), and close on the side that the comparison closes.  So every bin lies
wholly on one side of the threshold, and no value ever leaves DuckDB.  Used by `Catalog.histogram`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

BINS = 48  # of a histogram, about; fits 340 px with bars of 6 px
DISCRETE_MAX = 60  # counts up to here get one bin a number
SPAN = 4  # ratios are drawn up to this multiple of the threshold; the last bin takes the rest
COMPARISONS = ("<", "<=", ">", ">=")


@dataclass(frozen=True)
class StoredThreshold:
    """One row of `thresholds` in run.json: remove where numerator / denominator compares true with value."""

    key: str
    numerator: str
    denominator: str | None
    remove_if: str
    value: float
    sources: tuple[str, ...] | None = None  # the rule looks at these sources only; None: at all
    column: str = "stats"  # the struct column that holds the counts
    by_language: Mapping[str, float] = field(default_factory=dict)  # instead of `value`, by language code

    def __post_init__(self) -> None:
        if self.remove_if not in COMPARISONS:
            raise ValueError(f"{self.key}: unknown comparison {self.remove_if!r}")

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> StoredThreshold:
        """Raises KeyError where a field is missing, ValueError for an unknown comparison."""
        sources = row.get("sources")
        return cls(
            row["key"], row["numerator"], row["denominator"], row["remove_if"], float(row["value"]),
            tuple(sources) if sources is not None else None,
            row.get("column", "stats"),
            {code: float(value) for code, value in row.get("by_language", {}).items()},
        )  # fmt: skip

    def looks_at(self, source: str) -> bool:
        """Whether the rule looks at documents of this source."""
        return self.sources is None or source in self.sources

    def limit(self, language: str | None) -> float:
        """The value that holds for a language."""
        return self.by_language.get(language or "", self.value)

    @property
    def label(self) -> str:
        """The key, with the sources where the rule is limited to some."""
        return self.key if self.sources is None else f"{self.key} ({', '.join(self.sources)})"

    @property
    def quantity(self) -> str:
        """`words`, `duplicate_lines / lines`."""
        return f"{self.numerator} / {self.denominator}" if self.denominator else self.numerator

    @property
    def comparison(self) -> str:
        """`< 50`, `> 100000`, `> 0.3`."""
        return f"{self.remove_if} {int(self.value) if self.value == round(self.value) else self.value}"

    @property
    def condition(self) -> str:
        """What removes a document: `words < 50`, `duplicate_lines / lines > 0.3`."""
        return f"{self.quantity} {self.comparison}"

    @property
    def expression(self) -> str:
        """SQL for the value, a double; null where it is undefined or the rule does not look."""
        column = identifier(self.column)
        value = f"({column}.{identifier(self.numerator)})::double"
        if self.denominator:
            value = f"({value} / nullif({column}.{identifier(self.denominator)}, 0)::double)"
        if self.sources is not None:
            value = f"(case when source in ({_names(self.sources)}) then {value} end)"
        return value

    @property
    def general(self) -> str:
        """SQL for the value where no language has its own limit: what a histogram around `value` can show."""
        if not self.by_language:
            return self.expression
        own = _names(list(self.by_language))
        return f"(case when coalesce(language, '') not in ({own}) then {self.expression} end)"

    @property
    def fails(self) -> str:
        """SQL for `removed by this threshold, whatever comes before it`; null where undefined."""
        limit = f"{self.value!r}::double"
        if self.by_language:
            own = " ".join(f"when {literal(code)} then {value!r}::double" for code, value in self.by_language.items())
            limit = f"(case language {own} else {limit} end)"
        return f"({self.expression} {self.remove_if} {limit})"


@dataclass(frozen=True)
class Bin:
    """Documents whose value lies between low and high."""

    low: float
    high: float
    kept: int
    elsewhere: int  # pass this threshold, removed by something else
    fails: int  # removed by this threshold, or would be if nothing before it had removed them


@dataclass(frozen=True)
class Scale:
    """Bin k covers k to k+1 steps from the threshold: linear `value + k·step`, or `value · step^k`."""

    value: float
    step: float
    first: int
    last: int
    logarithmic: bool

    def edge(self, k: int) -> float:
        """The lower edge of bin k; the upper one of bin k-1."""
        return self.value * self.step**k if self.logarithmic else self.value + k * self.step

    def bin(self, threshold: StoredThreshold) -> str:
        """SQL for the bin of a value, null for none; values outside go to the first and the last bin."""
        value = threshold.general
        if self.logarithmic:  # ln of a ratio is exactly 0 at the threshold, so its side is never in doubt
            floor = f"greatest({value}, {self.edge(self.first)!r}::double)"
            steps = f"ln({floor} / {self.value!r}::double) / {math.log(self.step)!r}::double"
        else:
            steps = f"({value} - {self.value!r}::double) / {self.step!r}::double"
        closed = f"floor({steps})" if threshold.remove_if in ("<", ">=") else f"ceil({steps}) - 1"
        bounded = f"least(greatest({closed}, {self.first}), {self.last})::integer"
        return f"(case when {value} is not null then {bounded} end)"  # greatest and least skip nulls

    def bins(self, threshold: StoredThreshold, counts: Mapping[tuple[int, bool], int]) -> tuple[Bin, ...]:
        """Bins from counts by (bin, kept): all of a bin is removed, or none."""
        made = []
        for k in range(self.first, self.last + 1):
            kept, removed = counts.get((k, True), 0), counts.get((k, False), 0)
            fails = (k < 0) == threshold.remove_if.startswith("<")
            split = (0, 0, kept + removed) if fails else (kept, removed, 0)
            made.append(Bin(self.edge(k), self.edge(k + 1), *split))
        return tuple(made)


@dataclass(frozen=True)
class Histogram:
    """Where the documents lie around one threshold; `overflow` when the last bin holds larger values too."""

    threshold: StoredThreshold
    scale: Scale
    bins: tuple[Bin, ...]
    largest: float
    undefined: int  # documents with statistics, but without a value for this threshold

    @property
    def overflow(self) -> bool:
        return self.largest > self.scale.edge(self.scale.last + 1)


def choose_scale(threshold: StoredThreshold, largest: float) -> Scale:
    """A scale on which the threshold stands well inside and the largest value does not flatten the rest."""
    value = threshold.value
    if threshold.denominator is None and 0 <= value == round(value) and max(largest, value) <= DISCRETE_MAX:
        return _linear(value, 1.0, min(value, 0.0), max(largest, value) + 1)
    if threshold.denominator is None and value >= 1:
        low, high = 0.5, max(largest, value) * 1.0001
        step = 2 ** (math.ceil(8 * math.log2(high / low) / BINS) / 8)
        first = math.floor(math.log(low / value) / math.log(step))
        return Scale(value, step, first, math.ceil(math.log(high / value) / math.log(step)), True)
    low, high = min(value, 0.0), min(largest, SPAN * value) if value > 0 else largest
    high = max(high, value * 1.1, min(largest, 1.0)) or 1.0
    return _linear(value, _round_step((high - low) / BINS), low, high)


def _linear(value: float, step: float, low: float, high: float) -> Scale:
    first = min(math.floor((low - value) / step + 1e-9), -1)  # both sides of the threshold have a bin
    return Scale(value, step, first, max(math.ceil((high - value) / step - 1e-9) - 1, 0), False)


def _round_step(step: float) -> float:
    """1, 2, 2.5 or 5 times a power of ten, at least `step`."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= step * (1 - 1e-9))


def _names(values: Sequence[str]) -> str:
    return ", ".join(map(literal, values)) or "null"


def identifier(name: str) -> str:
    """A quoted SQL name."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A quoted SQL string."""
    return "'" + value.replace("'", "''") + "'"
