"""A budget that the caps do not allow, told in numbers."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from curation.pipeline.errors import UsageError


@dataclass(frozen=True)
class Shortage:
    """budget and deficit: tokens; largest_budget: the most that the caps allow; multiplier: the smallest
    number by which all caps would have to be multiplied (inf: ceilings or weights of 0 forbid it whatever
    the caps); level: the smallest cap to which the lower caps would have to rise; categories: per category
    (tokens wanted by the plan without caps, tokens there), where caps cut it.
    """

    budget: float
    deficit: float
    largest_budget: float
    multiplier: float
    level: float
    categories: dict[str, tuple[float, float]]

    def to_json(self) -> dict[str, Any]:
        """Numbers; null for what no number helps."""
        record = asdict(self)
        for name in ("multiplier", "level"):
            record[name] = None if math.isinf(record[name]) else record[name]
        record["categories"] = {
            name: {"wanted": wanted, "there": there, "deficit": max(wanted - there, 0.0)}
            for name, (wanted, there) in self.categories.items()
        }
        return record


class Infeasible(UsageError):
    """The budget is above what caps and ceilings allow, and `on_deficit` does not say what to do."""

    def __init__(self, shortage: Shortage) -> None:
        self.shortage = shortage
        lines = [
            f"mix.budget: {shortage.budget:,.0f} tokens, and the caps allow {shortage.largest_budget:,.0f}: "
            f"{shortage.deficit:,.0f} short"
        ]
        worst = sorted(shortage.categories.items(), key=lambda item: (item[1][1] - item[1][0], item[0]))
        lines += [
            f"  {name}: {wanted:,.0f} wanted, {there:,.0f} there"
            for name, (wanted, there) in worst[:5]
            if wanted > there
        ]
        remedy = f"budget: {math.floor(shortage.largest_budget)}"
        if math.isfinite(shortage.multiplier):
            remedy += (
                f", or caps × {shortage.multiplier:.4g} (on_deficit: relax_caps), or no cap below "
                f"{shortage.level:.4g} (on_deficit: relax_low_first)"
            )
        super().__init__("\n".join(lines), remedy + ", or on_deficit: shrink")

    def __reduce__(self) -> tuple[type[Infeasible], tuple[Shortage]]:
        """A worker process hands it on: made again from its numbers."""
        return Infeasible, (self.shortage,)
