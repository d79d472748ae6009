"""Training stages: token budget, weights of sources, shares of length classes, a tail mix.

A stage runs over *cells*: a source's documents (or pieces) of one length class, or all of them.  With `lengths` each
class has its share of the tokens and inside it the sources keep their weights; without, a source gives its
lengths as they come.  Weights move linearly from the previous stage's over `transition` tokens.  The last part of a
stage can mix in one more source.  The path of weights that comes out goes to `tijdeman`.

The classes of documents are those of MiniMax-01's long-context stages (arXiv 2501.08313, §4.2): short < 32K ≤
medium ≤ 128K < long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from curation.pipeline.registry import suggest
from packing.order.feasibility import Need, needs
from packing.order.weights import WeightPath, path

CLASSES = ("short", "medium", "long")
CLASS_BOUNDS = (32 * 1024, 128 * 1024)  # tokens: medium begins at the first, long after the second


@dataclass(frozen=True)
class Tail:
    """In the last `fraction` of a stage, `source` gets `share` of the tokens and the others what is left."""

    source: str
    share: float = 0.1
    fraction: float = 0.2


@dataclass(frozen=True)
class Stage:
    """`tokens` None: all that is left.  `weights` of sources at the begin (after the transition), None: as there are;

    `end_weights` at the end, None: the same.  `rope_base` is a hint for the trainer.
    """

    name: str
    tokens: int | None = None
    weights: Mapping[str, float] | None = None
    end_weights: Mapping[str, float] | None = None
    transition: int = 0  # tokens over which the weights come from the previous stage's
    lengths: Mapping[str, float] | None = None  # shares of length classes
    tail: Tail | None = None
    rope_base: float | None = None

    @property
    def last_weights(self) -> Mapping[str, float] | None:
        """Weights of sources at its end, its tail aside."""
        return self.weights if self.end_weights is None else self.end_weights


@dataclass(frozen=True)
class Cell:
    """Tokens of one source, and of one length class where `length_class` names one: one queue."""

    source: str
    length_class: str
    tokens: int

    @property
    def name(self) -> str:
        return cell_name(self.source, self.length_class)


@dataclass(frozen=True)
class StagePlan:
    """A stage's path of weights over the cells, and what it asks of each cell."""

    stage: Stage
    weights: WeightPath
    needs: list[Need]


@dataclass(frozen=True)
class Feasibility:
    """All stages; `total` over them by cell, `by_class` by length class (a document seen twice counts twice)."""

    stages: list[StagePlan]
    total: list[Need]
    by_class: list[Need]


def cell_name(source: str, length_class: str) -> str:
    """Name of a cell's queue."""
    return f"{source}/{length_class}" if length_class else source


def length_class(lengths: NDArray[np.int64], bounds: tuple[int, int] = CLASS_BOUNDS) -> NDArray[np.int64]:
    """Number in CLASSES of documents of so many tokens."""
    return (lengths >= bounds[0]).astype(np.int64) + (lengths > bounds[1])


def plan_stages(stages: Sequence[Stage], cells: Sequence[Cell]) -> Feasibility:
    """Paths of weights, and the epochs of every cell that the stages ask for together; refuses nothing for them.

    A stage without `tokens` takes one epoch of all cells.  Raises UsageError as `stage_path` does.
    """
    names = [cell.name for cell in cells]
    available = [cell.tokens for cell in cells]
    plans: list[StagePlan] = []
    before: NDArray[np.float64] | None = None
    for stage in stages:
        budget = float(sum(available) if stage.tokens is None else stage.tokens)
        weights = stage_path(stage, cells, budget, before)
        plans.append(StagePlan(stage, weights, needs(names, weights, budget, available)))
        before = weights.weights[-1]
    wanted = [sum(plan.needs[number].wanted for plan in plans) for number in range(len(cells))]
    total = [Need(name, want, tokens) for name, want, tokens in zip(names, wanted, available, strict=True)]
    by_class = [
        Need(
            kind,
            sum(want for want, cell in zip(wanted, cells, strict=True) if cell.length_class == kind),
            sum(cell.tokens for cell in cells if cell.length_class == kind),
        )
        for kind in dict.fromkeys(cell.length_class for cell in cells)
        if kind
    ]
    return Feasibility(plans, total, by_class)


def stage_path(
    stage: Stage, cells: Sequence[Cell], budget: float, before: NDArray[np.float64] | None = None
) -> WeightPath:
    """Weights of the cells along `budget` tokens; `before` are those at the end of the previous stage.

    Raises UsageError for a source or a class without tokens, and for a tail that does not fit.
    """
    main = cell_weights(stage, stage.weights, cells)
    end = main if stage.end_weights is None else cell_weights(stage, stage.end_weights, cells)
    turn = min(float(stage.transition), budget) if before is not None else 0.0
    span = budget - turn
    tail_begin = budget * (1 - stage.tail.fraction) if stage.tail else budget
    if stage.tail and (not 0 < stage.tail.fraction <= 1 or not 0 < stage.tail.share < 1 or tail_begin < turn):
        raise UsageError(f"stage {stage.name}: its tail does not fit between its transition and its end")
    at, weights = [0.0], [main]
    if turn and before is not None:
        at, weights = [0.0, turn], [before, main]
    reached = (tail_begin - turn) / span if span else 1.0
    there = main + (end - main) * reached
    at.append(tail_begin)
    weights.append(there)
    if stage.tail:
        mixed = _tail_weights(stage, stage.tail, cells)
        at += [tail_begin, budget]
        weights += [(1 - stage.tail.share) * there + mixed, (1 - stage.tail.share) * end + mixed]
    return path(at, weights)


def cell_weights(stage: Stage, sources: Mapping[str, float] | None, cells: Sequence[Cell]) -> NDArray[np.float64]:
    """float64[cells], sum 1, for weights of sources (None: as there are tokens).

    Raises UsageError for a source or class of the stage that has no tokens, and for weights that are all 0.
    """
    _check_sources(stage, sources, cells)
    left = {cell.source: 0 for cell in cells}
    for cell in cells:
        left[cell.source] += cell.tokens
    if stage.lengths is None:
        if sources is None:
            return _shares(np.array([float(cell.tokens) for cell in cells]))
        mine = [sources.get(c.source, 0.0) * c.tokens / left[c.source] if c.tokens else 0.0 for c in cells]
        return _shares(np.array(mine))
    raw = np.zeros(len(cells))
    known = {cell.length_class for cell in cells}
    for kind, share in stage.lengths.items():
        inside = [
            (float(cell.tokens) if sources is None else sources.get(cell.source, 0.0))
            if cell.length_class == kind and cell.tokens
            else 0.0
            for cell in cells
        ]
        if share > 0 and not sum(inside) > 0:
            raise UsageError(
                f"stage {stage.name}: no source has {kind} documents, and they are to be {share:.0%}",
                f"there are: {', '.join(sorted(known))}",
            )
        if share > 0:
            raw += share * np.array(inside) / sum(inside)
    return _shares(raw)


def _check_sources(stage: Stage, sources: Mapping[str, float] | None, cells: Sequence[Cell]) -> None:
    known = sorted({cell.source for cell in cells})
    for source, weight in (sources or {}).items():
        if source not in known:
            raise UsageError(
                f"stage {stage.name}: no queue with tokens is called {source!r}",
                suggest(source, known) or f"queues: {', '.join(known)}",
            )
        if weight > 0 and not any(cell.tokens for cell in cells if cell.source == source):
            raise UsageError(f"stage {stage.name}: {source!r} has a weight, but no tokens", "leave it out")
    if sources is not None and (min(sources.values(), default=0.0) < 0 or not sum(sources.values()) > 0):
        raise UsageError(f"stage {stage.name}: shares must be at least 0, and one of them more")


def _shares(raw: NDArray[np.float64]) -> NDArray[np.float64]:
    made: NDArray[np.float64] = raw / raw.sum()
    return made


def _tail_weights(stage: Stage, tail: Tail, cells: Sequence[Cell]) -> NDArray[np.float64]:
    """The tail's share over its source's cells, by the stage's shares of classes."""
    mine = [cell for cell in cells if cell.source == tail.source and cell.tokens]
    if not mine:
        raise UsageError(f"stage {stage.name}: the tail's source {tail.source} has no tokens")
    # Similar length distribution: the shares of classes, among the classes that the source has.
    shares = stage.lengths or {}
    weights = [(shares.get(c.length_class, 0.0) if shares else float(c.tokens)) if c in mine else 0.0 for c in cells]
    if not sum(weights):
        raise UsageError(f"stage {stage.name}: the tail's source {tail.source} has no documents of the stage's lengths")
    return np.array(weights) * (tail.share / sum(weights))
