"""A solution told as a plan: which bounds hold, what was given up, what a user must see."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixing.inventory.cells import Cells
from mixing.plan.capacity import Supply
from mixing.plan.fold import Folded
from mixing.plan.infeasible import Shortage
from mixing.plan.result import Bound, Plan
from mixing.plan.setting import Setting
from mixing.plan.soft import effective_tokens
from mixing.plan.tilt import divergence
from mixing.plan.waterfill import Array

BINDS = 1e-6  # relative: nearer to a bound than this is at it
NAMED = 5  # cells in one warning


@dataclass(frozen=True, eq=False)
class Solved:
    """x: float64[n] tokens; supply: after relaxation; floors, ceilings: tokens that hold; small: cells
    below half a document that found no room elsewhere."""

    x: Array
    supply: Supply
    floors: Array
    ceilings: Array
    shortage: Shortage | None = None
    policy: str | None = None
    folded: tuple[Folded, ...] = ()
    small: tuple[int, ...] = ()

    def folding(self, x: Array, folded: list[Folded], small: list[int]) -> Solved:
        """The same after folding."""
        return replace(self, x=x, folded=tuple(folded), small=tuple(small))


def as_plan(setting: Setting, budget: float, solved: Solved) -> Plan:
    """The plan of this solution."""
    x, supply, target, shortage, policy = solved.x, solved.supply, setting.target, solved.shortage, solved.policy
    total = float(x.sum())
    with np.errstate(divide="ignore"):
        log_x = np.log(x / total)
    floors = _floors(setting, total if policy == "shrink" else budget, solved)
    return Plan(
        budget=float(budget),
        planned=total,
        deficit=max(float(budget) - total, 0.0) if policy == "shrink" else 0.0,
        prior=np.exp(setting.log_b),
        q=np.exp(target.log_q),
        x=x,
        cap=supply.cap,
        epochs=np.where(supply.unique > 0, x / np.maximum(supply.unique, 1), 0.0),
        effective=effective_tokens(x, supply.unique, setting.r_star),
        lambda_=target.lambda_,
        kl=target.kl,
        kl_planned=divergence(log_x, target.log_q),
        ess=target.ess,
        floors=floors,
        ceilings=_ceilings(setting, solved),
        shortage=shortage,
        policy=policy,
        cap_multiplier=shortage.multiplier if shortage and policy == "relax_caps" else 1.0,
        cap_level=shortage.level if shortage and policy == "relax_low_first" else None,
        folded=solved.folded,
        warnings=tuple(_floor_warnings(floors) + _warnings(setting, solved)),
    )


def _floors(setting: Setting, budget: float, solved: Solved) -> dict[str, Bound]:
    names = setting.names
    got = np.bincount(names.category, weights=solved.x, minlength=len(names.categories))
    asked = solved.supply.floors * budget
    return {
        name: Bound(
            float(asked[i]), float(solved.floors[i]), float(got[i]), bool(got[i] <= solved.floors[i] * (1 + BINDS))
        )
        for i, name in enumerate(names.categories)
        if asked[i] > 0
    }


def _ceilings(setting: Setting, solved: Solved) -> dict[str, Bound]:
    names, held = setting.names, solved.ceilings
    got = np.bincount(names.source, weights=solved.x, minlength=len(names.sources))
    return {
        name: Bound(float(held[i]), float(held[i]), float(got[i]), bool(got[i] >= held[i] * (1 - BINDS)))
        for i, name in enumerate(names.sources)
        if np.isfinite(held[i])
    }


def _floor_warnings(floors: Mapping[str, Bound]) -> list[str]:
    return [
        f"floor of {name!r}: {bound.asked:,.0f} tokens wanted, {bound.held:,.0f} possible: {bound.deficit:,.0f} short"
        for name, bound in floors.items()
        if bound.deficit > BINDS * bound.asked
    ]


def _warnings(setting: Setting, solved: Solved) -> list[str]:
    """Strange settings, cells that get nothing and why, cells below a document."""
    cells, config, supply, found = setting.cells, setting.config, solved.supply, []
    total = math.fsum(config.weights.values())
    if config.weights and abs(total - 1) > 1e-9:
        found.append(f"weights add to {total:.6g}: divided by it")
    if config.preset == "tilted" and 0 < setting.target.kl < config.kl * (1 - 1e-3):
        found.append(f"kl: no tilt reaches {config.kl:g}; the strongest has {setting.target.kl:.4g}")
    zero = solved.x == 0
    zero[[one.cell for one in solved.folded]] = False  # they are listed
    reasons = {
        "they have no tokens": cells.tokens == 0,
        "their cap is 0": supply.cap == 0,
        "their weight is 0": ~supply.weighted,
        "their source has a ceiling of 0": supply.ceilings[supply.source] == 0,
        "repeats of others are worth more (soft_caps)": np.full(len(zero), config.soft_caps),
        "their share is too small for a float": np.full(len(zero), True),
    }
    for reason, which in reasons.items():
        if (which & zero).any():
            found.append(f"{int((which & zero).sum())} cells get nothing, {reason}: {_some(cells, which & zero)}")
            zero &= ~which
    if solved.small:
        which = np.zeros(len(cells), bool)
        which[list(solved.small)] = True
        found.append(
            f"{len(solved.small)} cells have less than half a document, and none of their category has room: "
            f"{_some(cells, which)}"
        )
    return found


def _some(cells: Cells, which: NDArray[np.bool_]) -> str:
    numbers = np.flatnonzero(which)
    return ", ".join(cells.name(int(i)) for i in numbers[:NAMED]) + (", …" if len(numbers) > NAMED else "")
