"""How many runs, at which cost, to find which effect: the cheapest design, and what the paper's sizing would do.

Runs dominate (evaluating 10,000 items costs about 1/17,000 of training 1B active parameters on 40B tokens), so the
search is over runs; every item is always scored.  Tokens and model size enter through components measured at that
scale (`cheapest_of`): σ_seed differs tenfold between scales, so no curve is invented.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from curation.pipeline.errors import UsageError
from proxy_model.experiment.statistics.components import Components
from proxy_model.experiment.statistics.crossed import Items
from proxy_model.experiment.statistics.design import Kind
from proxy_model.experiment.statistics.power import PaperSizing, Sampling, paper_sizing
from proxy_model.experiment.statistics.registry_prior import Prior


@dataclass(frozen=True)
class Goal:
    """effect (superiority) or margin in metric units; budget in the unit of the costs.  Give effect or margin for the
    cheapest design, budget alone for the smallest detectable effect.  candidates: mixes against one baseline."""

    kind: Kind = "superiority"
    effect: float | None = None
    margin: float | None = None
    budget: float | None = None
    alpha: float = 0.05
    two_sided: bool = False
    power: float = 0.8
    items: Items = "random"
    candidates: int = 1
    max_runs: int = 32
    exploratory: bool = False

    @property
    def side(self) -> float:
        return (self.alpha / 2 if self.two_sided else self.alpha) / self.candidates

    @property
    def target(self) -> float | None:
        return self.effect if self.kind == "superiority" else self.margin


@dataclass(frozen=True)
class Costs:
    """Of one run with its evaluation, in any one unit (GPU-hours, say); existing: baseline runs already there."""

    baseline: float = 1.0
    candidate: float = 1.0
    existing: int = 0


@dataclass(frozen=True)
class PlanRow:
    """k against k: detectable effect in metric units and in σ_seed, power at the goal (nan without one), cost."""

    runs: tuple[int, int]
    mde: float
    mde_in_sigma: float
    power: float
    cost: float


@dataclass(frozen=True)
class Plan:
    """runs (baseline, candidate), in the cheapest design; reached: whether it has the power within the budget."""

    goal: Goal
    runs: tuple[int, int]
    power: float
    mde: float
    mde_in_sigma: float
    cost: float
    reached: bool
    sentence: str
    table: tuple[PlanRow, ...]
    paper: PaperSizing | None
    warnings: tuple[str, ...]


def plan(goal: Goal, costs: Costs, parts: Components, prior: Prior | None = None) -> Plan:
    """Exhaustive over (k_A, k_B) ≤ max_runs, integers.  Raises UsageError for a goal without effect, margin or
    budget, for a budget that pays no test, and for one run in an arm without a registry unless exploratory."""
    _check(goal, costs)
    sampler = _Sampler(goal, parts, 0.0 if prior is None else prior.df)
    affordable = [
        r for r in _pairs(goal, costs, prior) if goal.budget is None or cost(r, goal, costs) <= goal.budget + 1e-9
    ]
    if not affordable:
        raise UsageError(f"a budget of {goal.budget:g} pays no design with a test", "two runs per arm are the least")
    chosen, reached = _choose(goal, costs, sampler, affordable)
    own = sampler(chosen)
    mde = own.mde(goal.power, goal.side)
    power = float("nan") if goal.target is None else sampler.power(chosen)
    return Plan(
        goal, chosen, power, mde, mde / parts.sigma_seed, cost(chosen, goal, costs), reached,
        _sentence(chosen, mde, parts, goal, reached),
        tuple(_row(k, sampler, goal, costs, parts) for k in _ladder(goal.max_runs, prior)),
        _paper(goal, parts), _warnings(goal, chosen, prior, reached),
    )  # fmt: skip


def cheapest_of(
    goal: Goal, options: Mapping[str, tuple[Costs, Components, float]], prior: Mapping[str, Prior] | None = None
) -> dict[str, Plan]:
    """One plan for each named scale (tokens, model size), the cheapest that reaches the goal first.

    options: name → (costs, components measured at that scale, the goal's effect at that scale).
    """
    plans = {}
    for name, (costs, parts, effect) in options.items():
        scaled = replace(goal, effect=effect) if goal.kind == "superiority" else replace(goal, margin=effect)
        plans[name] = plan(scaled, costs, parts, (prior or {}).get(name))
    return dict(sorted(plans.items(), key=lambda entry: (not entry[1].reached, entry[1].cost)))


def cost(runs: tuple[int, int], goal: Goal, costs: Costs) -> float:
    return max(0, runs[0] - costs.existing) * costs.baseline + goal.candidates * runs[1] * costs.candidate


@dataclass(frozen=True, eq=False)
class _Sampler:
    goal: Goal
    parts: Components
    prior_df: float

    def __call__(self, runs: tuple[int, int]) -> Sampling:
        return Sampling(self.parts, runs, self.prior_df, self.goal.items)

    def power(self, runs: tuple[int, int]) -> float:
        """Power at the goal's effect; at a true difference of 0 for a margin."""
        target = self.goal.target
        if target is None:
            raise ValueError("no effect and no margin")
        if self.goal.kind == "equivalence":
            return self(runs).power_equivalent(target, self.goal.side)
        return self(runs).power(target, self.goal.side)


def _pairs(goal: Goal, costs: Costs, prior: Prior | None) -> Iterator[tuple[int, int]]:
    least = 1 if goal.exploratory or prior is not None else 2
    for a in range(max(least, min(costs.existing, goal.max_runs)), goal.max_runs + 1):
        for b in range(least, goal.max_runs + 1):
            if a + b > 2 or prior is not None:
                yield a, b


def _choose(goal: Goal, costs: Costs, sampler: _Sampler, pairs: list[tuple[int, int]]) -> tuple[tuple[int, int], bool]:
    """Cheapest pair with the power; without one (or without an effect) the pair that sees most."""
    among = set(pairs)
    # power grows with either arm, so where nothing more can be added tells whether any design reaches the goal
    edge = [r for r in pairs if (r[0] + 1, r[1]) not in among or (r[0], r[1] + 1) not in among]
    if goal.target is not None:
        best = max(edge, key=lambda r: (sampler.power(r), -cost(r, goal, costs)))
        if sampler.power(best) < goal.power:
            return best, False
        for runs in sorted(pairs, key=lambda r: (cost(r, goal, costs), -sampler(r).run_df, abs(r[0] - r[1]))):
            if sampler.power(runs) >= goal.power:
                return runs, True
        return best, True
    return min(edge, key=lambda r: (sampler(r).mde(goal.power, goal.side), cost(r, goal, costs))), True


def _ladder(most: int, prior: Prior | None) -> Iterator[tuple[int, int]]:
    for k in (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32):
        if k <= most and (k > 1 or prior is not None):
            yield k, k


def _row(runs: tuple[int, int], sampler: _Sampler, goal: Goal, costs: Costs, parts: Components) -> PlanRow:
    mde = sampler(runs).mde(goal.power, goal.side)
    power = float("nan") if goal.target is None else sampler.power(runs)
    return PlanRow(runs, mde, mde / parts.sigma_seed, power, cost(runs, goal, costs))


def _paper(goal: Goal, parts: Components) -> PaperSizing | None:
    """Over one list of items with these benchmarks' weights; None where runs show no main effect."""
    if parts.sigma_s2 <= 0:
        return None
    difference = float((parts.share**2 * (parts.tau2 + 2 * parts.sigma_e2) / parts.units).sum() * parts.units.sum())
    return paper_sizing(float(np.sqrt(difference)), float(np.sqrt(parts.sigma_s2)))


def _sentence(runs: tuple[int, int], mde: float, parts: Components, goal: Goal, reached: bool) -> str:
    text = (
        f"With {runs[0]} baseline and {runs[1]} candidate runs you can detect {mde:.4g} = "
        f"{mde / parts.sigma_seed:.2f}·σ_seed with {goal.power:.0%} power at {goal.alpha:.3g} "
        f"({'two-sided' if goal.two_sided else 'one-sided'})."
    )
    return text if reached else text + " That is not enough for the goal."


def _warnings(goal: Goal, runs: tuple[int, int], prior: Prior | None, reached: bool) -> tuple[str, ...]:
    out = []
    if not reached:
        limit = f"{goal.max_runs} runs per arm" if goal.budget is None else "the budget"
        out.append(f"no design within {limit} reaches {goal.power:.0%} power")
    if min(runs) == 1:
        out.append("one run in an arm: equal run variance is assumed and cannot be checked")
    if goal.exploratory:
        out.append("exploratory: no verdict will be given without a noise registry")
    if runs[0] + runs[1] - 2 + (0 if prior is None else prior.df) < 4:
        out.append("two runs per arm: the test is conservative, three find about 1.6 times smaller effects")
    return tuple(out)


def _check(goal: Goal, costs: Costs) -> None:
    if goal.kind != "superiority" and goal.margin is None:
        raise UsageError(f"{goal.kind} needs a margin", "the largest difference that would not matter, in metric units")
    if goal.target is None and goal.budget is None:
        raise UsageError("a plan needs an effect to find, or a budget")
    if goal.target is not None and goal.target <= 0:
        raise UsageError(f"effect or margin {goal.target} must be above 0")
    if min(costs.baseline, costs.candidate) <= 0 or goal.candidates < 1 or goal.max_runs < 2:
        raise UsageError("costs and the number of candidates must be positive, and at least two runs allowed")
