"""What a better score must not be bought with: worse text of some domain, a lost benchmark, contamination, spikes.

Held-out text is a non-inferiority test on run means: the candidate's bits per byte minus the baseline's stays below the
margin when its upper one-sided limit does (pooled t, ν = k_A + k_B − 2).  All guardrails must hold together, so none
is corrected for their number; to hold with power 1 − β together, each needs 1 − β/G (reference, experiments §3.5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

State = Literal["held", "unproven", "broken"]
ALL = "all"
KINDS = ("source", "language", "bucket")
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Guardrail:
    """held: shown; unproven: the estimate is inside the margin but the data do not show it; broken: it is outside.

    estimate and limits (one-sided, of the design's level) in the guardrail's unit, nan where it has none.
    """

    name: str
    state: State
    detail: str
    estimate: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    margin: float = float("nan")

    @property
    def ok(self) -> bool:
        """Whether it was shown to hold."""
        return self.state == "held"

    def to_json(self) -> dict[str, Any]:
        """For verdict.json; NaN as null."""
        numbers = {name: getattr(self, name) for name in ("estimate", "low", "high", "margin")}
        told = {name: one if np.isfinite(one) else None for name, one in numbers.items()}
        return {"name": self.name, "ok": self.ok, "state": self.state, "detail": self.detail, **told}


def guardrails(
    specs: Sequence[str | Record], runs: Sequence[Record], baseline: str, candidate: str, *, alpha: float = 0.05,
    benchmarks: Sequence[Record] = (), contamination: Record | None = None,
) -> list[Guardrail]:  # fmt: skip
    """specs: as in the config.  runs: `arm`, `excluded`, `bpb` (all, source:NAME, …), `spikes` and `steps` of each.
    benchmarks: the lines of the verdict.  Raises ValueError for an unknown guardrail."""
    counted = [run for run in runs if not run.get("excluded")]
    arms = tuple([run for run in counted if run["arm"] == arm] for arm in (baseline, candidate))
    made: list[Guardrail] = []
    for spec in specs:
        if isinstance(spec, Mapping):
            made += _texts(str(spec["bpb"]), float(spec["margin"]), arms[0], arms[1], alpha)
        elif spec == "loss_spikes":
            made.append(
                _spikes(
                    [one for one in runs if one["arm"] == baseline],
                    [one for one in runs if one["arm"] == candidate],
                    alpha,
                )
            )
        elif spec == "worst_benchmark":
            made.append(_worst(benchmarks, alpha))
        elif spec == "contamination":
            made.append(_contamination(contamination))
        else:
            raise ValueError(f"no guardrail {spec!r}")
    return made


def _texts(which: str, margin: float, base: Sequence[Record], other: Sequence[Record], alpha: float) -> list[Guardrail]:
    """which: all, a kind (every source, …), or the name of one source."""
    if which in KINDS:
        found = sorted({name for run in (*base, *other) for name in run["bpb"] if name.startswith(f"{which}:")})
    else:
        found = [ALL if which == ALL else f"source:{which}"]
    if not found:
        return [
            Guardrail(f"bits per byte, {which}", "unproven", "no held-out text of this kind was scored", margin=margin)
        ]
    return [_text(name, margin, base, other, alpha) for name in found]


def _text(name: str, margin: float, base: Sequence[Record], other: Sequence[Record], alpha: float) -> Guardrail:
    title = "bits per byte, " + ("all text" if name == ALL else name.replace(":", " ", 1))
    values = [np.array([run["bpb"][name] for run in some if name in run["bpb"]], np.float64) for some in (base, other)]
    if min(map(len, values)) == 0 or sum(map(len, values)) < 3:
        return Guardrail(title, "unproven", "too few runs with this text to tell", margin=margin)
    estimate, low, high = difference(values[0], values[1], alpha)
    state: State = "held" if high < margin else "broken" if estimate > margin else "unproven"
    words = {
        "held": f"worse by {max(high, 0):.4f} at most, the margin is {margin:g}",
        "unproven": f"could be worse by {high:.4f}, more than the margin {margin:g}; more runs would tell",
        "broken": f"worse by {estimate:.4f}, the margin is {margin:g}",
    }
    return Guardrail(title, state, words[state], estimate, low, high, margin)


def difference(base: NDArray[np.float64], other: NDArray[np.float64], alpha: float) -> tuple[float, float, float]:
    """(other − base, lower, upper one-sided limit at alpha) of the pooled two-sample t; three values or more in all."""
    df = len(base) + len(other) - 2
    pooled = (base.var() * len(base) + other.var() * len(other)) / df
    error = float(np.sqrt(pooled * (1 / len(base) + 1 / len(other))))
    estimate = float(other.mean() - base.mean())
    half = float(stats.t.isf(alpha, df)) * error
    return estimate, estimate - half, estimate + half


def _spikes(base: Sequence[Record], other: Sequence[Record], alpha: float) -> Guardrail:
    """Exact conditional test of equal spikes a step, excluded runs among them."""
    counts = [sum(int(run["spikes"]) for run in some) for some in (base, other)]
    steps = [sum(int(run["steps"]) for run in some) for some in (base, other)]
    total = sum(counts)
    share = steps[1] / max(1, sum(steps))
    p = float(stats.binomtest(counts[1], total, share, "greater").pvalue) if total else 1.0
    said = f"{counts[1]} in {steps[1]:,} steps, baseline {counts[0]} in {steps[0]:,}"
    return Guardrail("loss spikes", "held" if p > alpha else "broken", said if p > alpha else f"{said} (p = {p:.2g})")


def _worst(benchmarks: Sequence[Record], alpha: float) -> Guardrail:
    """No benchmark is worse after Holm's correction."""
    if not benchmarks:
        return Guardrail("worst benchmark", "unproven", "benchmarks were not tested")
    worst = min(benchmarks, key=lambda one: float(one["estimate"]))
    lost = [one for one in benchmarks if one["estimate"] < 0 and one["holm"] <= alpha]
    low, high = worst["ci"]
    if lost:
        names = ", ".join(str(one["benchmark"]) for one in lost)
        return Guardrail("worst benchmark", "broken", f"worse: {names}", worst["estimate"], low, high)
    return Guardrail(
        "worst benchmark", "held", f"none is worse for certain; the lowest is {worst['benchmark']}",
        worst["estimate"], low, high,
    )  # fmt: skip


def _contamination(found: Record | None) -> Guardrail:
    if found is None:
        return Guardrail("contamination", "unproven", "not measured")
    share = float(found["differing"])
    said = f"{100 * share:.2f} % of items stand in the text of some arms only"
    return Guardrail("contamination", "held" if found["ok"] else "broken", said, share)
