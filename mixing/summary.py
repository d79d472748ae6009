"""Tables behind the report's chapter on the mix, from what plan.json says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

NO_BUCKET = -1
AT_CAP = 1e-3  # relative: epochs nearer to a cap than this were clipped by it
WAYS = ("final", "matched", "ordinary")


@dataclass(frozen=True)
class Square:
    """One field of the heat maps: shares of all unique tokens, and of the mix; ratio None where nothing was."""

    row: str
    column: str
    before: float
    after: float

    @property
    def ratio(self) -> float | None:
        """after / before."""
        return self.after / self.before if self.before else None


def given(cell: dict[str, Any]) -> float:
    """Tokens of a cell in the mix: sampled, or planned where nothing is sampled yet."""
    return float(cell.get("sampled", cell["planned"]))


def squares(cells: Sequence[dict[str, Any]], most: int) -> tuple[list[str], list[str], list[Square]]:
    """(rows, columns, fields) by category and bucket; the largest `most` categories, the rest as one row."""
    held: dict[str, float] = defaultdict(float)
    for cell in cells:
        held[cell["category"]] += cell["tokens"]
    rows = sorted(held, key=lambda name: (-held[name], name))
    kept = rows if len(rows) <= most else rows[: most - 1]
    rest = f"{len(rows) - len(kept)} others"
    columns = [_bucket(one) for one in sorted({cell["bucket"] for cell in cells})]
    before: dict[tuple[str, str], float] = defaultdict(float)
    after: dict[tuple[str, str], float] = defaultdict(float)
    for cell in cells:
        place = (cell["category"] if cell["category"] in kept else rest, _bucket(cell["bucket"]))
        before[place] += cell["tokens"]
        after[place] += given(cell)
    whole, mix = sum(before.values()) or 1.0, sum(after.values()) or 1.0
    shown = kept if len(kept) == len(rows) else [*kept, rest]
    fields = [
        Square(row, column, before[row, column] / whole, after[row, column] / mix)
        for row in shown
        for column in columns
    ]
    return shown, columns, fields


def _bucket(number: int) -> str:
    return "no bucket" if number == NO_BUCKET else str(number)


def by(cells: Sequence[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """A row a category (source, …), largest first: unique tokens, tokens in the mix, epochs, cells at their cap."""
    rows: dict[str, dict[str, Any]] = {}
    for cell in cells:
        row = rows.setdefault(cell[key], {"name": cell[key], "unique": 0, "mix": 0.0, "cells": 0, "clipped": 0})
        row["unique"] += cell["tokens"]
        row["mix"] += given(cell)
        row["cells"] += 1
        row["clipped"] += at_cap(cell)
    unique, mix = (sum(row[what] for row in rows.values()) or 1.0 for what in ("unique", "mix"))
    for row in rows.values():
        row |= {
            "before": row["unique"] / unique,
            "after": row["mix"] / mix,
            "epochs": row["mix"] / row["unique"] if row["unique"] else 0.0,
        }
    return sorted(rows.values(), key=lambda row: (-row["unique"], row["name"]))


def at_cap(cell: dict[str, Any]) -> bool:
    """The plan would have taken more of it."""
    return cell["cap"] is not None and cell["planned"] > 0 and cell["epochs"] >= cell["cap"] * (1 - AT_CAP)


def dots(cells: Sequence[dict[str, Any]]) -> tuple[list[str], list[dict[str, Any]], list[dict[str, Any]]]:
    """(rows, a dot for each cell that gives anything, a cap for each row) by bucket."""
    numbers = sorted({cell["bucket"] for cell in cells})
    rows = [_bucket(one) for one in numbers]
    shown = [
        {
            "row": numbers.index(cell["bucket"]), "epochs": cell["epochs"], "tokens": given(cell),
            "clipped": at_cap(cell),
        }
        for cell in cells
        if cell["planned"] > 0
    ]  # fmt: skip
    caps = {(numbers.index(cell["bucket"]), cell["cap"]) for cell in cells if cell["cap"] is not None}
    return rows, shown, [{"row": row, "cap": cap} for row, cap in sorted(caps)]


def repeats(record: dict[str, Any]) -> list[dict[str, Any]]:
    """A row a number of copies: share of tokens in the final run and in both kinds of ablation."""
    found = record.get("repeats") or {}
    ways = [way for way in WAYS if way in found]
    most = max((len(found[way]) for way in ways), default=0)
    return [
        {"copies": n, **{way: found[way][n] if n < len(found[way]) else 0.0 for way in ways}} for n in range(1, most)
    ]
