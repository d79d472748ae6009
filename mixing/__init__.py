"""Mixes: how many tokens of which documents a training run takes, and where each copy stands in it.

The names a user needs, resolved when first used, so that importing one never loads the rest:

    from mixing import PlanConfig, plan, read_inventory
    found = read_inventory(sorted(Path("runs/web-demo/documents").glob("*.parquet")))
    made = plan(found.cells, 20_000_000, PlanConfig(kl=0.25))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mixing.inventory.cells import Cells
    from mixing.inventory.inventory import Inventory, read_inventory
    from mixing.plan.config import PlanConfig
    from mixing.plan.infeasible import Infeasible
    from mixing.plan.planner import plan
    from mixing.plan.result import Plan
    from mixing.sample.ablate import matched, ordinary
    from mixing.sample.documents import Documents, collect
    from mixing.sample.make import make_mix
    from mixing.sample.overlap import overlap
    from mixing.sample.realise import realise

_HOME = {
    "Cells": "mixing.inventory.cells",
    "Documents": "mixing.sample.documents",
    "Infeasible": "mixing.plan.infeasible",
    "Inventory": "mixing.inventory.inventory",
    "Plan": "mixing.plan.result",
    "PlanConfig": "mixing.plan.config",
    "collect": "mixing.sample.documents",
    "make_mix": "mixing.sample.make",
    "matched": "mixing.sample.ablate",
    "ordinary": "mixing.sample.ablate",
    "overlap": "mixing.sample.overlap",
    "plan": "mixing.plan.planner",
    "read_inventory": "mixing.inventory.inventory",
    "realise": "mixing.sample.realise",
}

__all__ = [
    "Cells",
    "Documents",
    "Infeasible",
    "Inventory",
    "Plan",
    "PlanConfig",
    "collect",
    "make_mix",
    "matched",
    "ordinary",
    "overlap",
    "plan",
    "read_inventory",
    "realise",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mixing' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
