"""Several candidates against one baseline: Dunnett or Holm for a decision, Benjamini–Hochberg for exploration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from scipy import stats

from curation.pipeline.errors import UsageError
from proxy_model.experiment.statistics.components import Floats
from proxy_model.experiment.statistics.per_benchmark import holm


@dataclass(frozen=True)
class Candidate:
    """One candidate: estimate, its one-sided p, and the adjusted p's."""

    name: str
    estimate: float
    p: float
    holm: float
    discovery: float


def adjust(names: Sequence[str], estimates: Sequence[float], p: Sequence[float]) -> tuple[Candidate, ...]:
    """Holm controls the chance of any false winner; discovery (Benjamini & Hochberg 1995) the share of false ones in a
    list of many mixes, whose best then needs fresh seeds (it was selected)."""
    values = np.asarray(p, np.float64)
    strict, loose = holm(values), stats.false_discovery_control(values)
    rows = zip(names, estimates, values, strict, loose, strict=True)
    return tuple(Candidate(name, float(e), float(v), float(h), float(d)) for name, e, v, h, d in rows)


def dunnett(baseline: Floats, candidates: Sequence[Floats], seed: int = 0) -> Floats:
    """One-sided adjusted p of each candidate's run means against the baseline's (Dunnett 1955; items fixed).

    Equal run variances; integrated by randomised quadrature, to about 1e-4, hence the seed.
    """
    if len(baseline) + sum(map(len, candidates)) <= len(candidates) + 1:
        raise UsageError("one run per arm: Dunnett's test needs a variance between runs", "train a second run")
    result = stats.dunnett(*candidates, control=baseline, alternative="greater", **_seeded(seed))
    return np.asarray(result.pvalue)


def _seeded(seed: int) -> dict[str, np.random.Generator]:
    """scipy 1.15 renamed `random_state` to `rng`."""
    newer = tuple(map(int, scipy.__version__.split(".")[:2])) >= (1, 15)
    return {"rng" if newer else "random_state": np.random.default_rng(seed)}
