"""How many tokens of each cell the budget takes.

Pure functions of the cells, the budget and a `PlanConfig`: prior, tilt towards quality, projection on
epoch caps, category floors and source ceilings.  numpy only; no file is read or written here.
"""

from mixing.plan.config import PlanConfig, caps_between
from mixing.plan.infeasible import Infeasible, Shortage
from mixing.plan.phases import Phase, plan_phases
from mixing.plan.planner import plan
from mixing.plan.result import Bound, Plan

__all__ = ["Bound", "Infeasible", "Phase", "Plan", "PlanConfig", "Shortage", "caps_between", "plan", "plan_phases"]
