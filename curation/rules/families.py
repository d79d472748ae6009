"""Families of statistics: which column a preset's thresholds look at, and what measures it.

The family `stats` serves the Gopher and FineWeb presets in one pass; others cost time only where a
preset asks for them.  A family without `measure` is written by a line editor while it edits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from curation.text import c4, junk, refinedweb, statistics


@dataclass(frozen=True)
class Family:
    """A struct column of exact int64 counts."""

    column: str
    version: int  # raised whenever a number can differ for some text
    type: pa.StructType
    measure: Callable[[pa.LargeStringArray], pa.StructArray] | None

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the counts."""
        return tuple(field.name for field in self.type)


FAMILIES: Mapping[str, Family] = {
    family.column: family
    for family in (
        Family("stats", statistics.STATISTICS_VERSION, statistics.STATISTICS, statistics.measure),
        Family("c4", c4.C4_VERSION, c4.C4, None),
        Family("refinedweb", refinedweb.REFINEDWEB_VERSION, refinedweb.REFINEDWEB, None),
        Family("junk", junk.JUNK_VERSION, junk.JUNK, junk.measure_junk),
    )
}
