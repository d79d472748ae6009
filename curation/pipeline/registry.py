"""Doors: steps, commands and views are found through entry points, never imported by name.

So the ground floor imports nobody above it, and a third party adds a YAML section
by the same door as we do (ARCHITECTURE §1, CONTRACTS Doors).
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from curation.pipeline.errors import UsageError


@cache
def door(group: str) -> dict[str, EntryPoint]:
    """The entry points of one group by name; two packages with one name are refused."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        other = found.get(point.name)
        if other is not None and other.value != point.value:
            raise UsageError(
                f"two installed packages register {point.name!r} in {group}: {other.value} and {point.value}",
                "uninstall one of them",
            )
        found[point.name] = point
    return found


@cache
def load(group: str, name: str) -> Any:
    """The object behind one entry point; an unknown name is answered with the nearest valid one."""
    points = door(group)
    if name not in points:
        raise UsageError(f"nothing called {name!r} in {group}", suggest(name, list(points)))
    return points[name].load()


def suggest(name: str, valid: Sequence[str]) -> str:
    """`did you mean …` where something is near, otherwise the list of what is valid."""
    near = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]!r}?"
    return "valid: " + ", ".join(sorted(valid)) if valid else ""
