"""Threshold sets by name, read from data/presets.yaml: Gopher, C4, FineWeb, RefinedWeb, our own.

Data, not code: a preset is a list of rows in the order in which the published filter applies
them, each with its literature source, and where it edits lines first, the editor's parameters.
`thresholds.RuleSet.resolve` makes rules of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

import yaml


@dataclass(frozen=True)
class Row:
    """One threshold as the preset file states it."""

    name: str
    numerator: str
    remove_if: str
    value: float
    argument: str
    denominator: str | None = None


@dataclass(frozen=True)
class Preset:
    """A filter: the edit that it begins with, if any, and thresholds in the order in which it applies them."""

    name: str
    source: str
    thresholds: tuple[Row, ...]
    family: str = "stats"  # the column that its thresholds look at (families.py)
    edit: Mapping[str, Any] | None = None  # `editor` (editors.py) and its parameters


@cache
def load() -> MappingProxyType[str, Preset]:
    """Every preset by name, in the order of the file."""
    text = resources.files("curation.rules").joinpath("data/presets.yaml").read_text("utf-8")
    return MappingProxyType({name: _preset(name, **entry) for name, entry in yaml.safe_load(text).items()})


def _preset(
    name: str,
    source: str,
    thresholds: list[dict[str, Any]],
    family: str = "stats",
    edit: dict[str, Any] | None = None,
    override: dict[str, float] | None = None,
) -> Preset:
    values = override or {}
    rows = [Row(**row) for row in thresholds]
    unknown = set(values) - {row.name for row in rows}
    if unknown:
        raise ValueError(f"preset {name}: override of unknown thresholds {sorted(unknown)}")
    rows = [replace(row, value=values.get(row.name, row.value)) for row in rows]
    return Preset(name, source, tuple(rows), family, edit)
