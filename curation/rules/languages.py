"""Thresholds by language, as data: what other languages than English need, from data/languages.yaml.

`clean: rules: {languages: default}` decides a document whose identified language stands in the table with
the values found here.  Sources and the rule that made them: docs/rules-languages.md.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib import resources
from types import MappingProxyType

import yaml

from curation.rules import presets

Overrides = Mapping[str, float]


@cache
def load() -> Mapping[str, Overrides]:
    """Overrides of preset thresholds by language code of lid.176; English, whom the presets are for, has none."""
    text = resources.files("curation.rules").joinpath("data/languages.yaml").read_text("utf-8")
    return parse(text)


def for_language(code: str) -> Overrides:
    """The overrides of one language: `{"gopher-quality.min_word_length": 2, …}`.

    Raises ValueError, with the nearest known code, for a language that the table does not have.
    """
    table = load()
    if code not in table:
        close = get_close_matches(code, list(table), 1, 0.4)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"there are no thresholds for language {code!r}{hint}; known: {', '.join(table)}")
    return table[code]


def parse(text: str) -> Mapping[str, Overrides]:
    """A table from YAML: `alike`, for every language, under `languages`, code → overrides, which win.

    Raises ValueError for other sections, for a code that is not like `de`, for a key that is no
    threshold of a preset (naming the nearest) and for a value that is not a finite number.
    """
    content = yaml.safe_load(text)
    if not isinstance(content, dict) or set(content) - {"alike", "languages"} or "languages" not in content:
        raise ValueError("a table of languages has the sections `alike` and `languages`")
    alike = _checked("alike", content.get("alike") or {})
    table = {}
    for code, values in (content["languages"] or {}).items():
        if not isinstance(code, str) or not re.fullmatch(r"[a-z]{2,3}", code):
            raise ValueError(f"languages: {code!r} is not a language code like `de` (YAML reads a bare `no` as false)")
        table[code] = MappingProxyType({**alike, **_checked(code, values)})
    return MappingProxyType(table)


def _checked(place: str, values: object) -> dict[str, float]:
    if not isinstance(values, dict):
        raise ValueError(f"languages: {place} must be a mapping from thresholds to numbers")
    known = [f"{name}.{row.name}" for name, preset in presets.load().items() for row in preset.thresholds]
    for key, value in values.items():
        if key not in known:
            close = get_close_matches(str(key), known, 1, 0.4)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"languages: {place}: there is no threshold {key!r}{hint}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"languages: {place}: {key} must be a finite number, not {value!r}")
    return {str(key): float(value) for key, value in values.items()}
