"""Looking for the mix with the smallest predicted target, inside what the runs have tried.

Rounds of random mixes around the best so far (cross-entropy method), the first around the tested mixes.  No
gradient, so trees are as welcome as smooth models.  No source gets more than it ever had in a run: beyond that,
every model only guesses.  `project` maps a mix to the one that a planner would make of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from curation.pipeline.hashing import Purpose, derive_seed
from mixing.regression.runs import Floats

POOL = 2_048  # mixes of a round
ELITE = 48
TIGHTER = (20.0, 60.0, 200.0, 600.0, 2_000.0, 8_000.0)  # Dirichlet concentration around the elite, by round
PROJECTED = 256  # mixes of a round that are projected: the best by prediction
MOVES = 4  # parts of a pool that start at the elite

Project = Callable[[Floats], Floats]


@dataclass(frozen=True, eq=False)
class Found:
    """best: float64[sources]; pool: float64[n, sources], every mix that was looked at in the last rounds."""

    best: Floats
    pool: Floats


def search(
    target: Callable[[Floats], Floats], tested: Floats, values: Floats, seed: int, project: Project | None = None
) -> Found:
    """target: float64[n, sources] → float64[n]; tested: float64[runs, sources] with observed values float64[runs].

    project: float64[n, sources] → the same; with it, only projected mixes are compared and returned.
    """
    draws = np.random.Generator(np.random.PCG64(derive_seed(seed, Purpose.SUBSET, "mixture regression")))
    most = tested.max(0)
    elite = tested[np.argsort(values, kind="stable")[:ELITE]]
    if project is not None:
        elite = project(elite)
    kept: list[Floats] = []
    for concentration in TIGHTER:
        around = elite[draws.integers(0, len(elite), POOL)]
        if not kept:  # the first round also looks between all tested mixes
            pairs = tested[draws.integers(0, len(tested), (POOL, 2))]
            around[::MOVES] = pairs[::MOVES].mean(1)
        moved = _transferred(draws, elite[draws.integers(0, len(elite), POOL)])
        pool = _bounded(np.concatenate([_dirichlet(draws, around * concentration), moved]), most)
        pool = np.concatenate([elite, pool])
        guess = target(pool)
        if project is not None:
            pool = np.concatenate([elite, project(pool[np.argsort(guess, kind="stable")[:PROJECTED]])])
            guess = target(pool)
        order = np.argsort(guess, kind="stable")
        elite = pool[order[:ELITE]]
        kept.append(pool[order[: POOL // 2]])
    return Found(elite[0], np.concatenate(kept))


def _dirichlet(draws: np.random.Generator, parameters: Floats) -> Floats:
    """float64[n, sources], a row for each row of parameters (0: no weight)."""
    raw = draws.gamma(np.maximum(parameters, 1e-3))
    raw = np.where(raw.sum(1, keepdims=True) > 0, raw, parameters)
    made: Floats = raw / raw.sum(1, keepdims=True)
    return made


def _transferred(draws: np.random.Generator, mixes: Floats) -> Floats:
    """In each row, some of one source's weight goes to another."""
    made = mixes.copy()
    row = np.arange(len(made))
    giver, taker = draws.integers(0, made.shape[1], (2, len(made)))
    part = made[row, giver] * draws.random(len(made)) ** 2
    made[row, giver] -= part
    made[row, taker] += part
    return made


def _bounded(weights: Floats, most: Floats) -> Floats:
    """Rows that sum to 1 with no source above `most` (Σ most ≥ 1): what is cut goes to the others."""
    for _ in range(weights.shape[1]):
        over = np.clip(weights - most, 0, None)
        spare = over.sum(1, keepdims=True)
        if not (spare > 1e-12).any():
            break
        weights = np.minimum(weights, most)
        room = most - weights
        share = np.divide(room, room.sum(1, keepdims=True), out=np.zeros_like(room), where=room > 0)
        weights = weights + spare * share
    return weights


def distances(mixes: Floats, tested: Floats) -> Floats:
    """float64[n]: total variation of each mix from the nearest tested one."""
    found: Floats = np.array([np.abs(tested - mix).sum(1).min() / 2 for mix in mixes])
    return found
