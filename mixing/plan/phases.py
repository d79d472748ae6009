"""Several phases of one training run: each has its own budget and mix, and they share the caps.

Σ_phases KL(x_k‖T_k·q_k) is minimised over Σ_k x_ki ≤ cap_i·unique_i with every phase's budget and floors,
so no phase is served before another, and phases with one mix are slices of one plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from mixing.inventory.cells import Cells
from mixing.plan.config import PlanConfig
from mixing.plan.flow import CONFLICT, reachable_floors, sent_together
from mixing.plan.fold import fold
from mixing.plan.newton import Dual
from mixing.plan.outcome import Solved, as_plan
from mixing.plan.planner import check_budget
from mixing.plan.result import Plan
from mixing.plan.setting import Setting, prepare
from mixing.plan.waterfill import Array

EXACT = 1e-9  # of a phase's budget: the largest violation that passes


@dataclass(frozen=True)
class Phase:
    """Tokens of one phase, and its mix."""

    name: str
    budget: float
    config: PlanConfig


def plan_phases(cells: Cells, phases: Sequence[Phase]) -> list[Plan]:
    """A plan a phase.  A cell's epochs over all phases stay within its cap.

    Raises UsageError: no phase, phases with different caps, with ceilings, soft caps or an on_deficit
    other than error, budgets that the shared caps do not allow (with the numbers), floors that compete.
    """
    if not phases:
        raise UsageError("mix.phases: there is none", "name at least one")
    for phase in phases:
        check_budget(phase.budget)
        config, first = phase.config, phases[0].config
        if (config.caps, config.untagged_cap) != (first.caps, first.untagged_cap):
            raise UsageError(f"phase {phase.name}: other caps than {phases[0].name}", "phases share the caps")
        if config.ceilings or config.soft_caps or config.on_deficit != "error":
            raise UsageError(
                f"phase {phase.name}: ceilings, soft_caps and on_deficit are for plans of one phase",
                "leave them out",
            )
    settings = [prepare(cells, phase.config) for phase in phases]
    limit = settings[0].supply.limit
    _require_enough(phases, settings, limit)
    x, floors = _solve(phases, settings, limit)
    plans = []
    for k, (phase, setting) in enumerate(zip(phases, settings, strict=True)):
        solved = Solved(x[k], setting.supply, floors[k], np.full(len(setting.names.sources), np.inf))
        if phase.config.fold:
            room = np.maximum(limit - np.delete(x, k, axis=0).sum(axis=0), x[k])
            solved = solved.folding(*fold(x[k], room, setting.mean_document, setting.fold_groups))
            x[k] = solved.x
        plans.append(as_plan(setting, phase.budget, solved))
    return plans


def _require_enough(phases: Sequence[Phase], settings: Sequence[Setting], limit: Array) -> None:
    open_to = np.array([setting.supply.weighted for setting in settings]).T
    wanted = np.array([phase.budget for phase in phases])
    got = sent_together(limit, np.where(open_to, limit[:, None], 0.0), wanted)
    if got.sum() >= wanted.sum() * (1 - 1e-12):
        return
    low = [
        f"  phase {phase.name}: {phase.budget:,.0f} wanted, {there:,.0f} there"
        for phase, there in zip(phases, got, strict=True)
        if there < phase.budget
    ]
    raise UsageError(
        f"mix: {wanted.sum():,.0f} tokens in all phases, and the caps they share allow {got.sum():,.0f}: "
        f"{wanted.sum() - got.sum():,.0f} short\n" + "\n".join(low),
        "shorter phases, or higher caps",
    )


def _solve(phases: Sequence[Phase], settings: Sequence[Setting], limit: Array) -> tuple[Array, Array]:
    """(x float64[phases, n], floors float64[phases, categories] after lowering), in tokens."""
    whole = sum(phase.budget for phase in phases)
    category, count = settings[0].names.category, len(settings[0].names.categories)
    floors = np.array([one.supply.floors * phase.budget for one, phase in zip(settings, phases, strict=True)])
    held = np.bincount(category, weights=limit, minlength=count)  # phases share what a category has
    floors = floors * np.minimum(1.0, CONFLICT * held / np.maximum(floors.sum(axis=0), 1e-300))
    floors = reachable_floors(limit, _pairs(settings, limit, category, count), floors.ravel()).reshape(floors.shape)
    phase_of, cell = np.nonzero(np.array([one.supply.weighted for one in settings]) & (limit > 0))
    rows, target = [], []
    for k, phase in enumerate(phases):
        rows.append((phase_of == k).astype(np.float64))
        target.append(phase.budget / whole)
    for k, group in np.argwhere(floors > 0):
        rows.append(((phase_of == k) & (category[cell] == group)).astype(np.float64))
        target.append(floors[k, group] / whole)
    log_q = np.array([one.target.log_q for one in settings])[phase_of, cell]
    kept, number = np.unique(cell, return_inverse=True)
    dual = Dual(log_q, number, np.log(limit[kept] / whole), np.array(rows), np.array(target), free=len(phases))
    start = np.concatenate([np.log(target[: len(phases)]), np.zeros(len(rows) - len(phases))])
    found = dual.x(dual.minimise(start))
    x = np.zeros((len(phases), len(limit)))
    x[phase_of, cell] = found * whole
    missing = [
        phase.name
        for k, phase in enumerate(phases)
        if abs(x[k].sum() - phase.budget) > EXACT * phase.budget
        or (floors[k] - np.bincount(category, weights=x[k], minlength=count)).max() > EXACT * phase.budget
    ]
    if missing:
        raise UsageError(
            f"mix: the floors of phase {missing[0]} do not fit beside the budgets of the other phases",
            "lower its floors, or shorten the phases that use the same cells",
        )
    return x, floors


def _pairs(settings: Sequence[Setting], limit: Array, category: NDArray[np.int64], count: int) -> Array:
    """float64[n, phases · categories]: what each cell can give to each phase's categories."""
    pairs = np.zeros((len(limit), len(settings), count))
    for k, setting in enumerate(settings):
        pairs[np.arange(len(limit)), k, category] = np.where(setting.supply.weighted, limit, 0.0)
    return pairs.reshape(len(limit), -1)
