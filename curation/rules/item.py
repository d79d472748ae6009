"""The door to the `clean:` list: what an item is, and how it is found by its key.

Items come through entry points `clean.<key>`.  An item may edit texts, measure them, and decide
from what was measured; `clean.py` plans and executes them in the order of the YAML.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import Field

from curation.pipeline import registry
from curation.pipeline.config import Frozen
from curation.pipeline.task import Json
from curation.text.edits import EditedText

Columns = dict[str, pa.Array]
Verdict = tuple[pa.StringArray, pa.StringArray]  # removed_by, removed_detail; null when kept


@dataclass(frozen=True)
class CleanItem:
    """One kind of entry of the `clean:` list.

    `edited(config)` is the part of the config that the edit depends on (JSON, None: no edit),
    `measured(config)` the measurements wanted (one JSON each), `decided(config)` what the decision
    depends on, thresholds resolved.  `edit` gets the texts as edited so far (null for a record without
    one) and the read columns named in `reads`; `measure` gets texts; both give columns of the same
    length, whose fields are `columns(part)`.  `decide` gets all measured columns and those in `reads`.
    """

    key: str
    version: int  # raised whenever `edit`, `measure` or `decide` can give another result
    config: type[Frozen]
    decided: Callable[[Any], Json] = lambda config: None
    decide: Callable[[Columns, Json], Verdict] | None = None
    measured: Callable[[Any], list[Json]] = lambda config: []
    measure: Callable[[pa.LargeStringArray, Json], Columns] | None = None
    edited: Callable[[Any], Json | None] = lambda config: None
    edit: Callable[[pa.LargeStringArray, Columns, Json], EditedText] | None = None
    columns: Callable[[Json], list[pa.Field]] = lambda part: []
    versions: Callable[[Json], Mapping[str, str]] = lambda part: {}
    located: Callable[[Any, Path], Any] = lambda config, base: config  # paths relative to the config file
    reads: tuple[str, ...] = ()  # read columns that `edit` and `decide` look at, e.g. url
    needs: Callable[[Any], tuple[str, ...]] = lambda config: ()  # items that must stand earlier in the list
    not_after: tuple[str, ...] = ()  # items that must not stand earlier
    thresholds: Callable[[Json], list[Json]] = lambda decided: []
    expand: Callable[[Any], list[tuple[str, Any]]] | None = None  # into (key, config) of several items, in order


class Limited(Frozen):
    """Base of an item's config: every item may be limited to some sources."""

    sources: list[str] | None = Field(None, min_length=1, description="apply to these sources only; default all")


def item_keys() -> list[str]:
    """Keys that may stand in the `clean` list."""
    return sorted(name.removeprefix("clean.") for name in registry.door("curate.steps") if name.startswith("clean."))


@cache
def item(key: str) -> CleanItem:
    """The item registered under a key."""
    found: CleanItem = registry.load("curate.steps", f"clean.{key}")
    return found
