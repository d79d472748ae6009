"""Training stages: sequence length, token budget, source weights, shares of length classes, a tail mix.

A stage runs over *cells*: a source's documents of one length class.  In a stage with `class_shares`, each class
has its share of the tokens and inside it the sources keep their weights; without, a source gives its lengths as
they come.  Weights move linearly from the previous stage's over `transition` tokens.  The last part of a stage can
mix in one more source.  The path of weights that comes out goes to `tijdeman`.

The long-context stages are MiniMax-01's (arXiv 2501.08313, §4.2): short < 32K ≤ medium ≤ 128K < long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from packing.order.feasibility import Need, needs, require_enough
from packing.order.weights import WeightPath, path

CLASSES = ("short", "medium", "long")
CLASS_BOUNDS = (32 * 1024, 128 * 1024)  # tokens: medium begins at the first, long after the second
MAX_EPOCHS = 4.0  # more repetitions are worth little (Muennighoff et al. 2023, arXiv 2305.16264)

_LONG_CONTEXT = (  # name, L, tokens, shares of short, medium, long, RoPE base
    ("128K", 131_072, 300_000_000_000, (0.30, 0.70, 0.00), 5e6),
    ("512K", 524_288, 32_000_000_000, (0.35, 0.35, 0.30), 1e7),
    ("1M", 1_048_576, 26_000_000_000, (0.30, 0.30, 0.40), 1e7),
)


@dataclass(frozen=True)
class Tail:
    """In the last `fraction` of a stage, `source` gets `share` of the tokens and the others what is left."""

    source: str
    share: float = 0.1
    fraction: float = 0.2


@dataclass(frozen=True)
class Stage:
    """`weights` of sources at the begin (after the transition), `end_weights` at the end; None: the same."""

    name: str
    sequence_length: int
    tokens: int
    weights: Mapping[str, float]
    end_weights: Mapping[str, float] | None = None
    transition: int = 0  # tokens over which the weights come from the previous stage's
    class_shares: Mapping[str, float] | None = None
    tail: Tail | None = None
    rope_base: float | None = None  # a hint for the trainer


@dataclass(frozen=True)
class Cell:
    """Documents of one source and length class, and the tokens of one epoch of them: one queue."""

    source: str
    length_class: str
    tokens: int

    @property
    def name(self) -> str:
        return f"{self.source}/{self.length_class}"


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
    by_class: list[Need] = field(default_factory=list)


def length_class(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number in CLASSES of documents of so many tokens."""
    return (lengths >= CLASS_BOUNDS[0]).astype(np.int64) + (lengths > CLASS_BOUNDS[1])


def count_cells(lengths: Mapping[str, NDArray[np.int64]]) -> list[Cell]:
    """The cells of sources with documents of `lengths` tokens each; classes without documents have 0."""
    cells = []
    for source, sizes in lengths.items():
        sums = np.zeros(len(CLASSES), np.int64)
        np.add.at(sums, length_class(sizes), sizes)
        cells += [Cell(source, name, int(tokens)) for name, tokens in zip(CLASSES, sums, strict=True)]
    return cells


def long_context_stages(weights: Mapping[str, float], tail: Tail | None = None, transition: int = 0) -> list[Stage]:
    """The three stages of MiniMax-01 with your source weights; their tail is 10 % long-context QA for the last 20 %."""
    return [
        Stage(name, L, tokens, weights, None, transition, dict(zip(CLASSES, shares, strict=True)), tail, rope_base)
        for name, L, tokens, shares, rope_base in _LONG_CONTEXT
    ]


def plan_stages(
    stages: Sequence[Stage], cells: Sequence[Cell], max_epochs: float = MAX_EPOCHS, force: bool = False
) -> Feasibility:
    """Paths of weights and epochs needed.  UsageError where a cell needs more than `max_epochs` over all stages.

    `force` lets it pass, with the epochs in the result; a cell without tokens is refused all the same.
    """
    names = [cell.name for cell in cells]
    available = [cell.tokens for cell in cells]
    plans: list[StagePlan] = []
    before: NDArray[np.float64] | None = None
    for stage in stages:
        weights = stage_path(stage, cells, before)
        plans.append(StagePlan(stage, weights, needs(names, weights, stage.tokens, available)))
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
    ]
    require_enough(total, float("1e300") if force else max_epochs)
    return Feasibility(plans, total, by_class)


def stage_path(stage: Stage, cells: Sequence[Cell], before: NDArray[np.float64] | None = None) -> WeightPath:
    """Weights of the cells along a stage; `before` are those at the end of the previous stage."""
    main = cell_weights(stage, stage.weights, cells)
    end = main if stage.end_weights is None else cell_weights(stage, stage.end_weights, cells)
    turn = min(stage.transition, stage.tokens) if before is not None else 0
    span = stage.tokens - turn
    tail_begin = stage.tokens * (1 - stage.tail.fraction) if stage.tail else float(stage.tokens)
    if stage.tail and (not 0 < stage.tail.fraction <= 1 or not 0 < stage.tail.share < 1 or tail_begin < turn):
        raise UsageError(f"stage {stage.name}: its tail does not fit between its transition and its end")
    at, weights = [0.0], [main]
    if turn and before is not None:
        at, weights = [0.0, float(turn)], [before, main]
    reached = (tail_begin - turn) / span if span else 1.0
    there = main + (end - main) * reached
    at.append(tail_begin)
    weights.append(there)
    if stage.tail:
        mixed = _tail_weights(stage, stage.tail, cells)
        at += [tail_begin, float(stage.tokens)]
        weights += [(1 - stage.tail.share) * there + mixed, (1 - stage.tail.share) * end + mixed]
    return path(at, weights)


def cell_weights(stage: Stage, sources: Mapping[str, float], cells: Sequence[Cell]) -> NDArray[np.float64]:
    """float64[cells], sum 1.  Raises UsageError for a source or class of the stage that has no tokens."""
    known = {cell.source for cell in cells if cell.tokens}
    for source, weight in sources.items():
        if weight > 0 and source not in known:
            raise UsageError(
                f"stage {stage.name}: source {source} has no tokens", f"sources: {', '.join(sorted(known))}"
            )
    if stage.class_shares is None:
        totals = {source: sum(cell.tokens for cell in cells if cell.source == source) for source in sources}
        raw = [
            sources.get(c.source, 0.0) * c.tokens / totals[c.source] if c.tokens and sources.get(c.source) else 0.0
            for c in cells
        ]
        return np.array(raw) / sum(sources.values())
    raw = [0.0] * len(cells)
    for kind, share in stage.class_shares.items():
        mine = [i for i, cell in enumerate(cells) if cell.length_class == kind and cell.tokens]
        weight = sum(sources.get(cells[i].source, 0.0) for i in mine)
        if share > 0 and weight <= 0:
            raise UsageError(f"stage {stage.name}: no source has {kind} documents, and they are to be {share:.0%}")
        for i in mine:
            raw[i] = share * sources.get(cells[i].source, 0.0) / weight if weight else 0.0
    return np.array(raw) / sum(raw)


def _tail_weights(stage: Stage, tail: Tail, cells: Sequence[Cell]) -> NDArray[np.float64]:
    """The tail's share over its source's cells, by the stage's class shares."""
    mine = [cell for cell in cells if cell.source == tail.source and cell.tokens]
    if not mine:
        raise UsageError(f"stage {stage.name}: the tail's source {tail.source} has no tokens")
    # Similar length distribution: the class shares, among the classes that the source has.
    shares = stage.class_shares or {}
    weights = [(shares.get(c.length_class, 0.0) if shares else float(c.tokens)) if c in mine else 0.0 for c in cells]
    if not sum(weights):
        raise UsageError(f"stage {stage.name}: the tail's source {tail.source} has no documents of the stage's lengths")
    return np.array(weights) * (tail.share / sum(weights))
