"""The rubric: dimensions with anchored levels, secondary dimensions, categories, rules; read from YAML.

A user's own rubric has the same dimensions (they are columns) with its own words, version and categories.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import fingerprint

DIMENSIONS = ("knowledge_depth", "practicality")
SECONDARY = ("coherence", "conciseness", "educational_value", "helpfulness")
LEVELS = 6  # 0 to 5
SOLID = 3  # "a subject explained in connected form": the level whose probability and AUROC are told
RUBRIC_BYTES = 1 << 20  # a rubric is a page of text; a larger file is something else

_FORBID = ConfigDict(extra="forbid", strict=False)
_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
_Text = Annotated[str, Field(min_length=1, max_length=4000)]
_Score = Annotated[int, Field(ge=0, lt=LEVELS)]


@dataclass(frozen=True, slots=True)
class Level:
    """One anchored level."""

    __pydantic_config__ = _FORBID
    score: _Score
    name: _Text
    anchor: _Text


@dataclass(frozen=True, slots=True)
class Cap:
    """A condition under which a score is at most so much."""

    __pydantic_config__ = _FORBID
    when: _Text
    at_most: _Score


@dataclass(frozen=True, slots=True)
class Dimension:
    """A score of 0 to 5; a secondary dimension has a question only."""

    __pydantic_config__ = _FORBID
    name: _Name
    question: _Text
    levels: tuple[Level, ...] = ()
    caps: tuple[Cap, ...] = ()
    notes: tuple[_Text, ...] = ()


@dataclass(frozen=True, slots=True)
class Category:
    """A subject; `note` says what belongs to it where the name does not."""

    __pydantic_config__ = _FORBID
    name: _Name
    note: str = ""


@dataclass(frozen=True)
class Rubric:
    """A whole rubric, checked: the fixed dimensions in order, six levels each, distinct categories."""

    __pydantic_config__ = _FORBID
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    preamble: tuple[_Text, ...]
    dimensions: tuple[Dimension, ...]
    secondary: tuple[Dimension, ...]
    category_rules: tuple[_Text, ...]
    categories: Annotated[tuple[Category, ...], Field(min_length=2, max_length=1000)]

    def __post_init__(self) -> None:
        for found, wanted in ((self.dimensions, DIMENSIONS), (self.secondary, SECONDARY)):
            names = tuple(one.name for one in found)
            if names != wanted:
                raise ValueError(f"the dimensions are {', '.join(names) or 'none'}; expected {', '.join(wanted)}")
        for one in self.dimensions:
            if [level.score for level in one.levels] != list(range(LEVELS)):
                raise ValueError(f"{one.name}: the levels must be 0 to {LEVELS - 1} in this order")
        if len(set(self.category_names)) != len(self.categories):
            raise ValueError("a category stands here twice")

    @property
    def category_names(self) -> tuple[str, ...]:
        """Categories in the file's order: the order of every category vector."""
        return tuple(one.name for one in self.categories)

    @property
    def hash(self) -> str:
        """128-bit hex fingerprint of the content: two texts under one version number differ here."""
        return fingerprint(TypeAdapter(Rubric).dump_python(self, mode="json"))


def load_rubric(name_or_path: str | Path = "v1") -> Rubric:
    """The bundled rubric of this name, or a YAML file of the same form.  UsageError names file and place."""
    bundled = {path.stem.removeprefix("rubric_"): path for path in Path(__file__).parent.glob("rubric_*.yaml")}
    if str(name_or_path) in bundled:
        return _load(bundled[str(name_or_path)])
    path = Path(name_or_path)
    if not path.is_file():
        known = ", ".join(sorted(bundled))
        raise UsageError(f"{path}: there is no such rubric", f"bundled: {known}; or give a YAML file")
    return parse_rubric(path)


@lru_cache
def _load(path: Path) -> Rubric:
    return parse_rubric(path)


def parse_rubric(path: Path) -> Rubric:
    """Read and check one YAML file."""
    if path.stat().st_size > RUBRIC_BYTES:
        raise UsageError(f"{path}: {path.stat().st_size:,} bytes are no rubric")
    try:
        value: Any = yaml.safe_load(path.read_text())
        return TypeAdapter(Rubric).validate_python(value)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: no UTF-8 at byte {error.start}") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: no YAML: {error}") from None
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, one['loc'])) or 'rubric'}: {one['msg']}" for one in error.errors()[:8]]
        raise UsageError(f"{path}: " + "; ".join(lines), "see the bundled rubric_v1.yaml for the form") from None
