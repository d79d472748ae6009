"""A plan: tokens and epochs per cell, and everything that was decided on the way to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mixing.inventory.cells import Cells
from mixing.plan.fold import Folded
from mixing.plan.infeasible import Shortage
from mixing.plan.waterfill import Array


@dataclass(frozen=True)
class Bound:
    """A floor of a category or a ceiling of a source, in tokens: what was asked, what holds after stated
    relaxation, what the plan gives, whether it made a difference."""

    asked: float
    held: float
    planned: float
    binds: bool

    @property
    def deficit(self) -> float:
        """Tokens of a floor that could not be kept."""
        return max(self.asked - self.held, 0.0)


@dataclass(frozen=True, eq=False)
class Plan:
    """budget: tokens asked for; planned: Σ x; deficit: budget − planned.

    Arrays of n cells: prior b and target q (shares), x (tokens of the budget), cap (epochs, after any
    relaxation, inf: none), epochs = x / unique, effective (tokens D′ that count like fresh ones).
    kl = KL(q‖b), kl_planned = KL(x/Σx‖q) in nats; ess: effective sample share of q against b.
    """

    budget: float
    planned: float
    deficit: float
    prior: Array
    q: Array
    x: Array
    cap: Array
    epochs: Array
    effective: Array
    lambda_: float
    kl: float
    kl_planned: float
    ess: float
    floors: dict[str, Bound]
    ceilings: dict[str, Bound]
    shortage: Shortage | None
    policy: str | None
    cap_multiplier: float
    cap_level: float | None
    folded: tuple[Folded, ...]
    warnings: tuple[str, ...]

    @property
    def deficits(self) -> dict[str, float]:
        """Floors that could not be kept: category → tokens missing."""
        return {name: bound.deficit for name, bound in self.floors.items() if bound.deficit > 0}

    def to_json(self, cells: Cells) -> dict[str, Any]:
        """Everything, for plan.json; infinite caps are null."""
        rows = cells.to_json()
        for i, row in enumerate(rows):
            row |= {
                "prior": float(self.prior[i]),
                "q": float(self.q[i]),
                "planned": float(self.x[i]),
                "cap": float(self.cap[i]) if np.isfinite(self.cap[i]) else None,
                "epochs": float(self.epochs[i]),
                "effective": float(self.effective[i]),
            }
        return {
            "budget": self.budget,
            "planned": self.planned,
            "deficit": self.deficit,
            "lambda": self.lambda_,
            "kl": self.kl,
            "kl_planned": self.kl_planned if np.isfinite(self.kl_planned) else None,
            "ess": self.ess,
            "floors": {name: _bound(one) for name, one in self.floors.items()},
            "ceilings": {name: _bound(one) for name, one in self.ceilings.items()},
            "deficits": self.deficits,
            "shortage": self.shortage.to_json() if self.shortage else None,
            "policy": self.policy,
            "cap_multiplier": self.cap_multiplier,
            "cap_level": self.cap_level,
            "folded": [{"cell": one.cell, "name": cells.name(one.cell), "tokens": one.tokens} for one in self.folded],
            "warnings": list(self.warnings),
            "cells": rows,
        }


def _bound(one: Bound) -> dict[str, Any]:
    return {"asked": one.asked, "held": one.held, "planned": one.planned, "binds": one.binds}
