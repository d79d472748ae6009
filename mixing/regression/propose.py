"""What to train next: the best mix predicted, the best that can be had, and the runs that would teach most.

"Can be had" is `mixing.plan`: a mix of sources is projected on epoch caps, category floors and ceilings for the
budget, and only such projections are compared, so the answer is the best feasible mix and not the projection of
an infeasible one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from curation.pipeline.errors import UsageError
from curation.pipeline.registry import suggest
from mixing.inventory.cells import Cells
from mixing.plan import PlanConfig, plan
from mixing.regression.fitted import Regression
from mixing.regression.models import one_thread
from mixing.regression.runs import Floats
from mixing.regression.search import Found, Project, distances, search

CANDIDATES = 384  # among which the next runs are chosen


@dataclass(frozen=True, eq=False)
class Proposal:
    """A mix float64[sources]: the target predicted for it with its interval, and its total variation from the
    nearest tested mix."""

    weights: Floats
    predicted: float
    low: float
    high: float
    distance: float


@dataclass(frozen=True, eq=False)
class Proposals:
    """best: whatever it takes; feasible: under caps and floors (None: no cells were given); tested: the best run
    (by observation), with what the models say of it; next: runs to do, the most telling first; usual_distance:
    median total variation of a tested mix from the nearest other."""

    best: Proposal
    feasible: Proposal | None
    tested: Proposal
    observed: float
    next: tuple[Proposal, ...]
    usual_distance: float

    @property
    def gap(self) -> float | None:
        """What caps and floors cost: predicted target of the feasible mix minus that of the best."""
        return None if self.feasible is None else self.feasible.predicted - self.best.predicted


def propose(regression: Regression, project: Project | None = None, following: int = 8, seed: int = 0) -> Proposals:
    """project: see `projector`; following: how many next runs to name."""
    with one_thread():
        return _propose(regression, project, following, seed)


def _propose(regression: Regression, project: Project | None, following: int, seed: int) -> Proposals:
    runs = regression.runs
    observed = runs.losses @ regression.task_weights
    first = int(np.argmin(observed))
    free = search(regression.target, runs.weights, observed, seed)
    bound = None if project is None else search(regression.target, runs.weights, observed, seed, project)
    best = free.best
    if bound is not None and regression.target(bound.best[None])[0] < regression.target(best[None])[0]:
        best = bound.best  # a search is no proof
    next_mixes = next_runs(regression, free if bound is None else bound, following)
    return Proposals(
        _proposal(regression, best),
        None if bound is None else _proposal(regression, bound.best),
        _proposal(regression, runs.weights[first]),
        float(observed[first]),
        tuple(_proposal(regression, mix) for mix in next_mixes),
        _usual_distance(runs.weights),
    )


def _proposal(regression: Regression, mix: Floats) -> Proposal:
    row = mix[None]
    low, high = regression.interval(row)
    apart = float(distances(row, regression.runs.weights)[0])
    return Proposal(mix, float(regression.target(row)[0]), float(low[0]), float(high[0]), apart)


def _usual_distance(tested: Floats) -> float:
    apart = [float(distances(tested[i : i + 1], np.delete(tested, i, 0))[0]) for i in range(len(tested))]
    return float(np.median(apart))


def next_runs(regression: Regression, found: Found, count: int) -> Floats:
    """float64[count, sources]: of the mixes that may still beat the best, those that the GPs know least about.

    One after another: each run is taken as done before the next is chosen (the variance does not depend on its
    result).  Variances of the tasks' log losses are added with the squares of their weights.
    """
    low, _ = regression.interval(found.pool)
    limit = float(regression.interval(found.best[None])[1][0])
    hopeful = np.unique(found.pool[low <= limit], axis=0)
    step = max(1, len(hopeful) // CANDIDATES)
    mixes = hopeful[::step][:CANDIDATES]
    if not count or not len(mixes):
        return mixes[:0]
    joints = []
    for gaussian, share in zip(regression.gaussians, regression.task_weights, strict=True):
        covariance, noise = gaussian.covariance(mixes)
        joints.append((share**2, covariance, noise))
    chosen: list[int] = []
    for _ in range(min(count, len(mixes))):
        variance = sum(share * np.diag(covariance) for share, covariance, _ in joints)
        variance[chosen] = -np.inf
        pick = int(np.argmax(variance))
        chosen.append(pick)
        joints = [(share, _given(covariance, noise, pick), noise) for share, covariance, noise in joints]
    return mixes[chosen]


def _given(covariance: Floats, noise: float, run: int) -> Floats:
    """The covariance after one more run."""
    column = covariance[:, run]
    made: Floats = covariance - np.outer(column, column) / (column[run] + noise)
    return made


def projector(
    sources: tuple[str, ...], cells: Cells, budget: float, config: PlanConfig, of: Mapping[str, str] | None = None
) -> Project:
    """Mixes → the shares of sources that the planner makes of them; `of`: {source of the runs: source of the cells}.

    Raises UsageError where the names differ, and what `plan` raises (Infeasible among it).
    """
    named = [(of or {}).get(source, source) for source in sources]
    there = sorted(set(cells.source))
    for name in named:
        if name not in there:
            raise UsageError(f"the runs have a source {name!r}, and the documents do not", suggest(name, there))
    if missing := sorted(set(there) - set(named)):
        raise UsageError(
            f"the documents have a source {missing[0]!r} that no run used", "leave it out, or run mixes with it"
        )
    if len(set(named)) < len(named):
        raise UsageError("two sources of the runs are one source of the documents")
    member = np.array([named.index(source) for source in cells.source])

    def project(mixes: Floats) -> Floats:
        made = np.empty_like(mixes)
        for i, mix in enumerate(mixes):
            shares = mix / mix.sum()
            weights = {name: min(float(share), 1.0) for name, share in zip(named, shares, strict=True)}
            asked = replace(config, preset="regression", weights=weights, weights_of="source", fold=False)
            x = plan(cells, budget, asked).x
            made[i] = np.bincount(member, weights=x, minlength=len(named)) / x.sum()
        return made

    return project
