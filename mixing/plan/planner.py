"""From cells and a budget to a plan: what the caps allow, projection, folding."""

from __future__ import annotations

import math

import numpy as np

from curation.pipeline.errors import UsageError
from mixing.inventory.cells import Cells
from mixing.plan.capacity import Supply, cap_level, cap_multiplier, largest_budget
from mixing.plan.config import PlanConfig
from mixing.plan.flow import reachable_floors
from mixing.plan.fold import fold
from mixing.plan.groups import Groups, project
from mixing.plan.infeasible import Infeasible, Shortage
from mixing.plan.outcome import Solved, as_plan
from mixing.plan.result import Plan
from mixing.plan.setting import Setting, prepare
from mixing.plan.soft import soft_with_floors
from mixing.plan.waterfill import Array

LAST = 5_000.0  # nats below all others: cells of weight 0 that a floor needs come after every other cell


def plan(cells: Cells, budget: float, config: PlanConfig) -> Plan:
    """The plan for `budget` tokens.  Pure and deterministic.

    Raises UsageError for a budget that is no number above 0 and for names that the cells do not have;
    Infeasible when caps and ceilings allow less than the budget and `on_deficit` is error, or when no
    cap could help.
    """
    check_budget(budget)
    setting = prepare(cells, config)
    names, target = setting.names, setting.target
    shortage = None if setting.supply.meets(budget) else _shortage(setting, budget)
    supply, total, policy = _settled(setting, budget, shortage)
    floors, ceilings = bounds(supply, total)
    log_q = _with_reserves(target.log_q, supply, total)
    limit = np.where(log_q > -np.inf, supply.limit, 0.0)
    if config.soft_caps:
        base = np.where(setting.log_b > -np.inf, setting.log_b, 0.0)  # of a reserve: it stays far below all others
        log_v = np.where(log_q > -np.inf, log_q - base, 0.0)
        x = soft_with_floors(log_v, supply.unique, limit, setting.r_star, total, Groups(names.category, floors))
    else:
        finite = np.where(log_q > -np.inf, log_q, 0.0)
        tops = Groups(names.source, ceilings) if np.isfinite(ceilings).any() else None
        x = project(finite, limit, total, Groups(names.category, floors), tops)
    solved = Solved(x, supply, floors, ceilings, shortage, policy)
    if config.fold:
        solved = solved.folding(*fold(x, limit, setting.mean_document, setting.fold_groups))
    return as_plan(setting, budget, solved)


def check_budget(budget: float) -> None:
    """Raises UsageError for what is not a number of tokens above 0."""
    if isinstance(budget, bool) or not (math.isfinite(budget) and budget > 0):
        raise UsageError(f"mix.budget: {budget!r}", "a number of tokens above 0, e.g. 20M")


def _shortage(setting: Setting, budget: float) -> Shortage:
    """The numbers of an infeasible budget; per category, what q alone would take against what is there."""
    supply, names = setting.supply, setting.names
    shares = np.bincount(names.category, weights=np.exp(setting.target.log_q), minlength=len(names.categories))
    most = largest_budget(supply, budget)
    there = supply.of_categories + supply.reserves(budget)
    cut = {
        name: (float(shares[i] * budget), float(there[i]))
        for i, name in enumerate(names.categories)
        if shares[i] * budget > there[i]
    }
    return Shortage(budget, budget - most, most, cap_multiplier(supply, budget), cap_level(supply, budget), cut)


def _settled(setting: Setting, budget: float, shortage: Shortage | None) -> tuple[Supply, float, str | None]:
    """(supply after relaxation, tokens to plan, policy that was needed)."""
    supply, policy = setting.supply, setting.config.on_deficit
    if shortage is None:
        return supply, budget, None
    if policy == "shrink" and shortage.largest_budget > 0:
        return supply, shortage.largest_budget, policy
    needed = shortage.multiplier if policy == "relax_caps" else shortage.level
    if policy in ("error", "shrink") or math.isinf(needed):
        raise Infeasible(shortage)
    return supply.times(needed) if policy == "relax_caps" else supply.at_least(needed), budget, policy


def bounds(supply: Supply, total: float) -> tuple[Array, Array]:
    """Floors, lowered to what is there and what ceilings leave, and ceilings, in tokens."""
    reserves, ceilings = supply.reserves(total), supply.tops(total)
    floors = np.minimum(supply.floors * total, supply.of_categories + reserves)
    if np.isfinite(ceilings).any() and floors.any():
        pairs = np.zeros((len(ceilings), len(floors)))
        np.add.at(pairs, (supply.source, supply.category), np.where(supply.weighted, supply.limit, 0.0))
        # reserves are in sources without a ceiling: what a floor takes there is its own
        floors = reachable_floors(ceilings, pairs, floors - reserves) + reserves
    return floors, ceilings


def _with_reserves(log_q: Array, supply: Supply, total: float) -> Array:
    """log q with the cells of weight 0 that a floor needs, LAST nats below all others."""
    needed = (supply.reserves(total) > 0)[supply.category] & ~np.isfinite(supply.ceilings[supply.source])
    needed &= ~supply.weighted & (supply.limit > 0)
    if not needed.any():
        return log_q
    lowest = float(log_q[log_q > -np.inf].min())
    return np.where(needed, lowest - LAST + np.log(np.maximum(supply.unique, 1)), log_q)
