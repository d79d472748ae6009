"""What stages take of each source and length class: the integral of their weights.

Between knots the weights are linear in tokens, so the trapezoid is exact.  The rules are packing's (which schedules
rows by them); a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from curation.pipeline.registry import suggest
from mixing.inventory.cells import Cells
from mixing.inventory.columns import LENGTHS
from mixing.schedule.stages import Stage, check_stages

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Law:
    """Tokens by source and length class (short, medium, long): float64[sources, 3]."""

    sources: tuple[str, ...]
    tokens: Floats

    def __post_init__(self) -> None:
        if self.tokens.shape != (len(self.sources), len(LENGTHS)) or not self.tokens.sum() > 0:
            raise UsageError("there is not one token to schedule", "documents with token counts")


@dataclass(frozen=True, eq=False)
class Path:
    """at: float64[m] tokens from the stage's begin, a repeated one is a jump; weights: float64[m, sources, 3]."""

    stage: Stage
    at: Floats
    weights: Floats

    def taken(self) -> Floats:
        """float64[sources, 3]: tokens of the whole stage."""
        middle = (self.weights[1:] + self.weights[:-1]) / 2
        made: Floats = (middle * np.diff(self.at)[:, None, None]).sum(0)
        return made


def law_of_lengths(
    sources: Sequence[str], lengths: Sequence[NDArray[np.int64]], edges: tuple[int, int] | None = None
) -> Law:
    """From the token counts of each source's documents, the end-of-document token included (as packing sees them)."""
    low, high = (32 * 1024, 128 * 1024) if edges is None else edges
    rows = [
        [counts[counts < low].sum(), counts[(counts >= low) & (counts <= high)].sum(), counts[counts > high].sum()]
        for counts in lengths
    ]
    return Law(tuple(sources), np.array(rows, np.float64))


def law_of_cells(cells: Cells, tokens: NDArray[np.float64] | None = None) -> Law:
    """From an inventory cut by `length`; tokens: float64[cells], default the unique ones, or a plan's x.

    Raises UsageError where the cells are not cut by length.
    """
    if not set(cells.length) <= set(LENGTHS):
        raise UsageError("mix.stages with `lengths`: the cells are not split by length", "add 'length' to mix.cells")
    sources = tuple(sorted(set(cells.source)))
    made = np.zeros((len(sources), len(LENGTHS)))
    held = cells.tokens if tokens is None else tokens
    rows = [sources.index(source) for source in cells.source]
    np.add.at(made, (rows, [LENGTHS.index(kind) for kind in cells.length]), held)
    return Law(sources, made)


def paths(stages: Sequence[Stage], law: Law) -> list[Path]:
    """Raises UsageError for a source, or a class that is to have a share, without tokens."""
    check_stages(stages)
    made: list[Path] = []
    for stage in stages:
        made.append(_path(stage, law, made[-1].weights[-1] if made else None))
    return made


def _path(stage: Stage, law: Law, before: Floats | None) -> Path:
    budget = float(stage.tokens)
    main = _weights(stage, stage.weights, law)
    end = main if stage.end_weights is None else _weights(stage, stage.end_weights, law)
    turn = float(stage.transition) if before is not None else 0.0
    tail_begin = budget * (1 - stage.tail.fraction) if stage.tail else budget
    at, weights = ([0.0, turn], [before, main]) if turn and before is not None else ([0.0], [main])
    reached = (tail_begin - turn) / (budget - turn) if budget > turn else 1.0
    there = main + (end - main) * reached
    at.append(tail_begin)
    weights.append(there)
    if stage.tail:
        mixed = _tail(stage, law)
        rest = 1 - stage.tail.share
        at += [tail_begin, budget]
        weights += [rest * there + mixed, rest * end + mixed]
    return Path(stage, np.array(at), np.stack(weights))


def _weights(stage: Stage, shares: Mapping[str, float] | None, law: Law) -> Floats:
    """float64[sources, 3], sum 1."""
    _known(stage, shares or {}, law)
    held = law.tokens
    whole = held.sum(1, keepdims=True)
    given = None if shares is None else np.array([[shares.get(source, 0.0)] for source in law.sources])
    if stage.lengths is None:
        raw: Floats = (
            held if given is None else given * np.divide(held, whole, out=np.zeros_like(held), where=whole > 0)
        )
        return _summing_to_1(raw)
    raw = np.zeros_like(held)
    for kind, share in stage.lengths.items():
        column = LENGTHS.index(kind)
        inside = held[:, column] if given is None else np.where(held[:, column] > 0, given[:, 0], 0.0)
        if share > 0 and not inside.sum() > 0:
            raise UsageError(
                f"stage {stage.name}: no source has {kind} documents, and they are to be {share:.0%}",
                f"there are: {', '.join(k for k, n in zip(LENGTHS, held.sum(0), strict=True) if n)}",
            )
        if share > 0:
            raw[:, column] = share * inside / inside.sum()
    return _summing_to_1(raw)


def _summing_to_1(raw: Floats) -> Floats:
    made: Floats = raw / raw.sum()
    return made


def _tail(stage: Stage, law: Law) -> Floats:
    """The tail's share over its source's classes, in the proportions of the stage's lengths that it has."""
    assert stage.tail is not None
    _known(stage, {stage.tail.queue: 1.0}, law)
    mine = law.tokens[law.sources.index(stage.tail.queue)]
    shares = stage.lengths or {}
    raw = np.where(mine > 0, [shares.get(kind, 0.0) for kind in LENGTHS], 0.0) if shares else mine
    if not raw.sum() > 0:
        raise UsageError(f"stage {stage.name}: the tail {stage.tail.queue!r} has no documents of the stage's lengths")
    made = np.zeros_like(law.tokens)
    made[law.sources.index(stage.tail.queue)] = stage.tail.share * raw / raw.sum()
    return made


def _known(stage: Stage, shares: Mapping[str, float], law: Law) -> None:
    for source, share in shares.items():
        if source not in law.sources:
            raise UsageError(f"stage {stage.name}: there is no source {source!r}", suggest(source, list(law.sources)))
        if share > 0 and not law.tokens[law.sources.index(source)].sum() > 0:
            raise UsageError(f"stage {stage.name}: {source!r} has a weight, but no tokens", "leave it out")
