"""Which runs do not count: decided by their training loss alone, by a rule that the lock holds.

A step's z is its loss above the median of the accepted steps before it, in 1.4826·MAD (at least 0.5 % of the median):
the measure of `proxy_model.train.spikes`, with a threshold of the experiment's own.  An excluded run is replaced by the
arm's next number, so the number of runs stays as planned.
"""

from __future__ import annotations

import math
from statistics import median

import pyarrow as pa

from proxy_model.experiment.settings import ExcludeConfig
from proxy_model.train.spikes import ENOUGH, FLOOR, NORMAL, WINDOW


def excluded(steps: pa.Table, rule: ExcludeConfig) -> str | None:
    """Why a run does not count, or None.  steps: steps.parquet of the run."""
    if rule.rule == "none":
        return None
    worst, at = largest_spike(steps)
    if worst <= rule.z:
        return None
    return f"loss spike at step {at}: z = {worst:.1f}, more than {rule.z:g}"


def largest_spike(steps: pa.Table) -> tuple[float, int]:
    """(z, step) of the highest loss over its recent past; (0, 0) for runs of fewer than ENOUGH steps."""
    recent: list[float] = []
    worst, at = 0.0, 0
    for step, loss, skipped in zip(*(steps[name].to_pylist() for name in ("step", "loss", "skipped")), strict=True):
        if not math.isfinite(loss):
            return math.inf, int(step)
        if len(recent) >= ENOUGH:
            middle = median(recent)
            spread = max(NORMAL * median(abs(one - middle) for one in recent), FLOOR * abs(middle))
            z = (loss - middle) / spread
            if z > worst:
                worst, at = z, int(step)
        if not skipped:
            recent = [*recent, loss][-WINDOW:]
    return worst, at
