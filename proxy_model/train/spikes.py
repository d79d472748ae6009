"""Which steps are not trusted: a non-finite loss or gradient, or a loss far above its recent past.

Rule (after OLMo-core's skip-step, with median and MAD for mean and deviation, so that a spike does not hide the next):
a loss is a spike when it exceeds median + 6 · max(1.4826 · MAD, 0.5 % of the median) of the last 128 accepted steps,
once there are 32.  1.4826 · MAD estimates σ of a normal distribution; the floor keeps a flat stretch from counting.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from curation.pipeline.errors import CurateError

WINDOW, ENOUGH = 128, 32
DEVIATIONS, NORMAL, FLOOR = 6.0, 1.4826, 0.005


class Diverged(CurateError):
    """Too many steps in a row gave no finite loss or gradient."""


@dataclass(frozen=True)
class Policy:
    """`count` logs a spike and goes on; `skip` leaves the step out; `stop` ends the run at once."""

    non_finite: Literal["skip", "stop"] = "skip"
    spike: Literal["count", "skip"] = "count"
    most_in_a_row: int = 10  # skipped steps after which the run ends


@dataclass(frozen=True)
class Verdict:
    """What to do with one step."""

    skip: bool
    spike: bool
    finite: bool


@dataclass
class Watch:
    """Counts, and the losses of accepted steps; its state goes into checkpoints."""

    policy: Policy
    losses: list[float] = field(default_factory=list)
    spikes: int = 0
    skipped: int = 0
    in_a_row: int = 0

    def judge(self, step: int, loss: float, gradient_norm: float) -> Verdict:
        """Judge a step before the optimizer moves.  Raises Diverged as the policy has it."""
        finite = math.isfinite(loss) and math.isfinite(gradient_norm)
        spike = finite and self.is_spike(loss)
        skip = not finite or (spike and self.policy.spike == "skip")
        self.spikes += spike
        self.skipped += skip
        self.in_a_row = self.in_a_row + 1 if skip else 0
        if not finite and self.policy.non_finite == "stop":
            raise Diverged(
                f"step {step}: loss {loss}, gradient norm {gradient_norm}",
                "lower lr, or say policy: {non_finite: skip}",
            )
        if self.in_a_row >= self.policy.most_in_a_row:
            raise Diverged(
                f"step {step}: {self.in_a_row} steps in a row were skipped (loss {loss}, gradient {gradient_norm})",
                "lower lr or lengthen the warmup; the last checkpoint is from before",
            )
        if not skip:
            self.losses = [*self.losses, loss][-WINDOW:]
        return Verdict(skip, spike, finite)

    def is_spike(self, loss: float) -> bool:
        """Whether a loss stands out from those accepted so far."""
        if len(self.losses) < ENOUGH:
            return False
        middle = median(self.losses)
        deviation = NORMAL * median(abs(one - middle) for one in self.losses)
        return loss > middle + DEVIATIONS * max(deviation, FLOOR * abs(middle))

    def state(self) -> dict[str, object]:
        """JSON types."""
        return {"losses": self.losses, "spikes": self.spikes, "skipped": self.skipped, "in_a_row": self.in_a_row}
