"""Where a mix starts: the base shares b of each preset, as logarithms (−inf: a share of 0).

b ∝ U^τ, U the tokens after natural duplication.  τ = 1 is the paper's uniform start (MiniMax-01 §4.1.2:
every document alike), τ = 0 with caps is UniMax (Chung 2023), between them temperature sampling.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixing.inventory.cells import Cells
from mixing.plan.config import PlanConfig, names_of
from mixing.plan.waterfill import Array


def log_prior(cells: Cells, config: PlanConfig) -> Array:
    """log b, float64[n], Σ b = 1.  Cells without tokens have −inf."""
    with np.errstate(divide="ignore"):
        size = np.where(cells.tokens > 0, np.log(np.maximum(cells.natural, 0)), -np.inf)
    if config.weights:
        names = np.array(names_of(cells, config.weights_of))
        return _within(size, names, {str(n): _log(config.weights[str(n)]) for n in np.unique(names)})
    if config.over == "cell":
        return normalised(np.where(np.isneginf(size), -np.inf, config.exponent * np.where(np.isneginf(size), 0, size)))
    names = np.array(names_of(cells, config.over))
    whole = {str(name): log_sum(size[names == name]) for name in np.unique(names)}
    return _within(size, names, {name: config.exponent * one if one > -np.inf else one for name, one in whole.items()})


def _within(size: Array, names: NDArray[np.str_], shares: dict[str, float]) -> Array:
    """Each group's share (a logarithm) given to its cells in proportion to their size."""
    found = np.full(len(size), -np.inf)
    for name, share in shares.items():
        mine = names == name
        whole = log_sum(size[mine])
        if whole > -np.inf and share > -np.inf:
            found[mine] = size[mine] - whole + share
    return normalised(found)


def normalised(logs: Array) -> Array:
    """Logarithms shifted so that the shares sum to 1; unchanged where every one is −inf."""
    whole = log_sum(logs)
    return logs - whole if whole > -np.inf else logs


def log_sum(logs: Array) -> float:
    """log Σ exp."""
    if not len(logs) or np.isneginf(highest := float(logs.max())):
        return -np.inf
    return highest + float(np.log(np.exp(logs - highest).sum()))


def _log(share: float) -> float:
    return float(np.log(share)) if share > 0 else -np.inf
