"""Can the documents give what stages ask?  Told as the number of epochs that each length class would need.

Caps hold for the sum over all stages: a document seen twice in one stage and twice in the next was seen four times.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixing.inventory.columns import LENGTHS
from mixing.plan.config import HIGH_CAP
from mixing.schedule.demand import Floats, Law, paths
from mixing.schedule.stages import Stage, to_json

ENOUGH = 1 + 1e-6  # relative; what is above is no rounding


@dataclass(frozen=True)
class Need:
    """Tokens wanted of a class (of one source, or of all: source ""), tokens there once, and the cap in epochs."""

    source: str
    length: str
    wanted: float
    available: float
    cap: float

    @property
    def epochs(self) -> float:
        """wanted / available; inf where nothing is there."""
        if self.wanted <= 0:
            return 0.0
        return self.wanted / self.available if self.available else math.inf

    @property
    def fits(self) -> bool:
        """Within the cap."""
        return self.epochs <= self.cap * ENOUGH

    def to_json(self) -> dict[str, Any]:
        """Numbers; null for epochs of documents that are not there."""
        epochs = None if math.isinf(self.epochs) else self.epochs
        cap = None if math.isinf(self.cap) else self.cap
        return {
            "source": self.source, "length": self.length, "wanted": self.wanted, "available": self.available,
            "epochs": epochs, "cap": cap, "fits": self.fits,
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Feasibility:
    """stages: name → needs by class; classes: of all stages together; cells: by source and class.

    scale: the largest factor ≤ 1 of all stages' tokens with which no cell is above its cap; notes: tails whose
    source has not the lengths of its stage.
    """

    stages: dict[str, list[Need]]
    classes: list[Need]
    cells: list[Need]
    scale: float
    notes: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """No source's documents of any length are asked for more often than the cap."""
        return all(need.fits for need in self.cells)

    def statement(self) -> list[str]:
        """In words: what each class needs, and what would fit."""
        lines = []
        for need in self.classes:
            if not need.wanted:
                continue
            verdict = "fits" if need.fits else f"above the cap of {need.cap:g}"
            lines.append(
                f"{need.length}: {need.wanted:,.0f} tokens wanted, {need.available:,.0f} there: "
                f"{need.epochs:,.3g} epochs, {verdict}"
            )
        worst = max(self.cells, key=lambda need: need.epochs)
        if not self.fits:
            lines.append(
                f"worst: {worst.length} documents of {worst.source}, {worst.epochs:,.3g} epochs; the stages fit "
                f"at {self.scale:.3g} of their tokens"
            )
        return [*lines, *self.notes]


def feasibility(stages: Sequence[Stage], law: Law, cap: float | Floats = HIGH_CAP) -> Feasibility:
    """cap: epochs, one for all or float64[sources, 3].  Raises UsageError as `paths` does."""
    caps = np.broadcast_to(np.asarray(cap, np.float64), law.tokens.shape)
    taken = {path.stage.name: path.taken() for path in paths(stages, law)}
    total = np.sum(list(taken.values()), axis=0)
    cells = [
        Need(source, kind, float(total[i, k]), float(law.tokens[i, k]), float(caps[i, k]))
        for i, source in enumerate(law.sources)
        for k, kind in enumerate(LENGTHS)
        if total[i, k] > 0 or law.tokens[i, k] > 0
    ]
    needed = [need for need in cells if need.wanted > 0]
    scale = min([1.0, *(need.cap / need.epochs for need in needed)])
    return Feasibility(
        {name: _classes(one, law, caps) for name, one in taken.items()},
        _classes(total, law, caps),
        cells,
        scale,
        tuple(_tails(stages, law)),
    )


def _tails(stages: Sequence[Stage], law: Law) -> Iterator[str]:
    """A tail is to have lengths like its stage's; what its source lacks comes from its other lengths."""
    for stage in stages:
        if stage.tail is None or stage.lengths is None:
            continue
        held = law.tokens[law.sources.index(stage.tail.queue)]
        lacks = [kind for k, kind in enumerate(LENGTHS) if stage.lengths.get(kind, 0) > 0 and not held[k] > 0]
        if lacks:
            yield f"stage {stage.name}: its tail {stage.tail.queue!r} has no {' or '.join(lacks)} documents"


def _classes(taken: Floats, law: Law, caps: Floats) -> list[Need]:
    """All sources together; the cap of a class is what its documents may give, in epochs of all of them."""
    there = law.tokens.sum(0)
    room = np.where(law.tokens > 0, law.tokens * np.where(law.tokens > 0, caps, 0), 0).sum(0)
    return [
        Need("", kind, float(taken[:, k].sum()), float(there[k]), float(room[k] / there[k]) if there[k] else 0.0)
        for k, kind in enumerate(LENGTHS)
    ]


def hand_over(stages: Sequence[Stage], law: Law, cap: float | Floats = HIGH_CAP) -> dict[str, Any]:
    """For plan.json: `stages` in packing's words, and `stage_needs`: is there enough?"""
    found = feasibility(stages, law, cap)
    return {
        "stages": to_json(stages),
        "stage_needs": {
            "fits": found.fits,
            "scale": found.scale,
            "stages": {name: [need.to_json() for need in needs] for name, needs in found.stages.items()},
            "classes": [need.to_json() for need in found.classes],
            "cells": [need.to_json() for need in found.cells],
            "statement": found.statement(),
        },
    }
