"""Run-label permutation: the p a sceptic can count.  A robustness line beside the default test, not the test.

Exchanges whole runs between the arms, so it needs no normality (heavy-tailed bad runs, say), but the smallest p is
1/C(k_A + k_B, k_A): 1/20 for 3 against 3.  Exact where the assignments can be counted, else drawn
(Phipson & Smyth 2010).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from proxy_model.experiment.statistics.components import Floats

COUNTABLE = 50_000  # assignments up to which all are gone through
DRAWS = 20_000


@dataclass(frozen=True)
class Permutation:
    """p_greater: one-sided; p_two_sided: of |D|; exact: all assignments were counted; smallest: least p possible."""

    p_greater: float
    p_two_sided: float
    exact: bool
    smallest: float


def permutation(suite: Floats, runs_a: int, seed: int = 0) -> Permutation:
    """suite: float64 [runs] suite means, the baseline's runs_a first."""
    values = np.asarray(suite, np.float64)
    total = len(values)
    count = comb(total, runs_a)
    exact = count <= COUNTABLE
    if exact:
        chosen = np.array(list(combinations(range(total), runs_a)), np.int64)
    else:
        chosen = np.random.default_rng(seed).permuted(np.tile(np.arange(total), (DRAWS, 1)), axis=1)[:, :runs_a]
    sums = values[chosen].sum(1)
    drawn = (values.sum() - sums) / (total - runs_a) - sums / runs_a
    observed = values[runs_a:].mean() - values[:runs_a].mean()
    slack = 1e-12 * max(1.0, float(np.abs(values).max()))
    greater, extreme = int((drawn >= observed - slack).sum()), int((np.abs(drawn) >= abs(observed) - slack).sum())
    own, size = (0, count) if exact else (1, DRAWS + 1)  # a drawn set counts the observed assignment in
    return Permutation((greater + own) / size, (extreme + own) / size, exact, 1 / (count if exact else DRAWS + 1))
