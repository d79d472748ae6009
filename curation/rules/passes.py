"""The `clean:` list cut into passes: what may be measured before the text changes, and what after.

A pass edits, then measures, then decides.  A new one begins at an editor that stands after
something that decides, so that every rule sees the text as the list up to there has left it.
Columns that an earlier pass has measured already get the number of the pass: `stats`, `stats_2`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from curation.pipeline.errors import UsageError
from curation.pipeline.task import Json
from curation.rules.item import CleanItem, item


@dataclass(frozen=True)
class Part:
    """One item of the list with its config."""

    key: str
    config: Any

    @property
    def item(self) -> CleanItem:
        """The item's functions."""
        return item(self.key)

    @property
    def edited(self) -> Json | None:
        """What its edit depends on; None where it does not edit."""
        return self.item.edited(self.config)

    def applies(self, source: str) -> bool:
        """Whether the item looks at this source."""
        return not self.config.sources or source in self.config.sources


def expanded(parts: Iterable[Part]) -> list[Part]:
    """Items that stand for several, replaced by those."""
    found: list[Part] = []
    for part in parts:
        pieces = part.item.expand(part.config) if part.item.expand else None
        found += [Part(key, config) for key, config in pieces] if pieces else [part]
    return found


def passes(parts: Iterable[Part]) -> list[list[Part]]:
    """The items in order, cut before every editor that follows a decision."""
    cut: list[list[Part]] = [[]]
    decides = False
    for part in parts:
        if part.edited is not None and decides:
            cut.append([])
            decides = False
        cut[-1].append(part)
        decides = decides or part.item.decide is not None
    return cut


@dataclass
class Names:
    """What a source's columns are called: the item's own names to the names in the tables."""

    actual: dict[str, str] = field(default_factory=dict)  # of the latest pass that measured it
    _taken: set[str] = field(default_factory=set)

    def of_pass(self, fields: Sequence[pa.Field], number: int, source: str) -> list[pa.Field]:
        """The fields of pass `number` (from 1) under the names they get; remembered as the latest.

        Raises UsageError when two items of one pass measure the same column.
        """
        if len({one.name for one in fields}) != len(fields):
            raise UsageError(f"clean: two entries measure the same column differently for {source}")
        renamed = [one.with_name(f"{one.name}_{number}") if one.name in self._taken else one for one in fields]
        self.actual |= {one.name: new.name for one, new in zip(fields, renamed, strict=True)}
        self._taken |= {one.name for one in fields}
        return renamed
