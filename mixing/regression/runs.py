"""Finished runs: the weights of their sources and the losses that they ended with, read from CSV or Parquet.

Columns are told apart by prefix (`weight.web`, `loss.arxiv`; other prefixes can be given); other columns are not
used.  Several files are joined, row by row, on one column.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from curation.pipeline.registry import suggest

Floats = NDArray[np.float64]
WEIGHT, LOSS = "weight.", "loss."
SUM_TOLERANCE = 0.02  # weights written with three decimals: 20 sources may be 0.01 off
MOST_RUNS = 20_000


@dataclass(frozen=True, eq=False)
class Runs:
    """weights: float64[runs, sources], rows sum to 1; losses: float64[runs, tasks], above 0."""

    sources: tuple[str, ...]
    tasks: tuple[str, ...]
    weights: Floats
    losses: Floats

    def __len__(self) -> int:
        return len(self.weights)

    def take(self, rows: NDArray[np.int64]) -> Runs:
        """Some of the runs."""
        return Runs(self.sources, self.tasks, self.weights[rows], self.losses[rows])


@dataclass(frozen=True)
class _Row:
    place: str  # file and line, for messages
    values: dict[str, Any]


def read_runs(
    files: Sequence[Path], weight: str = WEIGHT, loss: str = LOSS, on: str | None = None, suffix: str = ""
) -> Runs:
    """The runs in these files.  `suffix` is no part of names (`_val_loss`).

    Raises UsageError: no such column; a cell that is empty, no number, NaN or infinite; a weight below 0; weights
    that do not add to 1; a loss that is not above 0; fewer mixes than the smallest model has parameters.
    """
    if not files:
        raise UsageError("no file of runs", "give a CSV or Parquet file with a row for each finished run")
    rows = _joined([_rows(file) for file in files], on)
    names = list(rows[0].values)
    sources = _named(names, weight, "weight")
    tasks = _named(names, loss, "loss")
    weights = np.array([[_number(row, name) for name in sources] for row in rows])
    losses = np.array([[_number(row, name) for name in tasks] for row in rows])
    for row, mix, ends in zip(rows, weights, losses, strict=True):
        _check(row, mix, ends, sources, tasks)
    made = Runs(
        tuple(name.removeprefix(weight).removesuffix(suffix) for name in sources),
        tuple(name.removeprefix(loss).removesuffix(suffix) for name in tasks),
        weights / weights.sum(1, keepdims=True),
        losses,
    )
    mixes = len(np.unique(made.weights, axis=0))
    if mixes < (least := least_runs(len(sources))):
        raise UsageError(
            f"runs of {mixes} mixes for {len(sources)} sources: fewer than the {least} that the smallest model needs",
            "run more mixes, or join sources",
        )
    return made


def least_runs(sources: int) -> int:
    """Parameters of the smallest model, the exponential law: an offset, a scale, and one per source."""
    return sources + 2


def _rows(file: Path) -> list[_Row]:
    if not file.is_file():
        raise UsageError(f"{file}: no such file")
    if file.suffix == ".parquet":
        table = pq.read_table(file)
        found = [_Row(f"{file}, row {i + 1}", row) for i, row in enumerate(table.to_pylist())]
    else:
        with open(file, newline="", encoding="utf-8-sig") as lines:
            reader = csv.reader(lines)
            header = next(reader, [])
            if len(set(header)) < len(header):
                raise UsageError(f"{file}: two columns have one name")
            found = []
            for cells in reader:
                if not cells:
                    continue
                place = f"{file}, line {reader.line_num}"
                if len(cells) != len(header):
                    raise UsageError(f"{place}: {len(cells)} cells, and the header has {len(header)}")
                found.append(_Row(place, dict(zip(header, cells, strict=True))))
    if not found:
        raise UsageError(f"{file}: no runs in it", "a row for each finished run, under a line with names")
    if len(found) > MOST_RUNS:
        raise UsageError(f"{file}: {len(found):,} runs; {MOST_RUNS:,} are the most")
    return found


def _joined(tables: list[list[_Row]], on: str | None) -> list[_Row]:
    """Rows of the first table with the columns of the others, found by `on`."""
    first, *others = tables
    if not others:
        return first
    if on is None:
        raise UsageError("several files of runs", "name the column that they share: --on index")
    for other in others:
        found = _by_key(other, on)
        _by_key(first, on)
        made = []
        for row in first:
            key = str(row.values[on])
            if key not in found:
                raise UsageError(f"{row.place}: {on} {key!r} is in no row of the other file")
            made.append(_Row(row.place, row.values | found[key].values))
        first = made
    return first


def _by_key(rows: list[_Row], on: str) -> dict[str, _Row]:
    if on not in rows[0].values:
        raise UsageError(f"{rows[0].place}: no column {on!r}", suggest(on, list(rows[0].values)))
    found: dict[str, _Row] = {}
    for row in rows:
        key = str(row.values[on])
        if key in found:
            raise UsageError(f"{row.place}: {on} {key!r} stands there twice")
        found[key] = row
    return found


def _named(names: list[str], prefix: str, what: str) -> list[str]:
    found = [name for name in names if name.startswith(prefix)]
    if not found:
        shown = ", ".join(names[:6]) + (", …" if len(names) > 6 else "")
        raise UsageError(f"no column begins with {prefix!r}", f"--{what} PREFIX; the columns are: {shown}")
    return found


def _number(row: _Row, name: str) -> float:
    value = row.values[name]
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"{row.place}: {name} is {value!r}, not a number", "leave out runs that did not finish")
    return number


def _check(row: _Row, mix: Floats, ends: Floats, sources: list[str], tasks: list[str]) -> None:
    if (mix < 0).any():
        raise UsageError(f"{row.place}: {sources[int(np.argmin(mix))]} is {mix.min():g}: a weight is at least 0")
    if abs(mix.sum() - 1) > SUM_TOLERANCE:
        raise UsageError(f"{row.place}: weights add to {mix.sum():.4g}, not 1", "shares of the run's tokens")
    if (ends <= 0).any():
        raise UsageError(f"{row.place}: {tasks[int(np.argmin(ends))]} is {ends.min():g}: a loss is above 0")
