"""Experiments on data mixes: power-analysed comparisons in which the training run is the unit of replication.

The names a user needs, resolved when first used:

    from proxy_model.experiment import Design, RunScores, compare, score_matrix
    matrix = score_matrix([RunScores("base", 0, digest, table), ...], "norm_prob_byte", baseline="base")
    verdict = compare(matrix, Design(mde=0.01))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from proxy_model.experiment.scores import RunScores, ScoreMatrix, score_matrix
    from proxy_model.experiment.statistics.calibrate import calibrate
    from proxy_model.experiment.statistics.compare import compare, compare_candidates
    from proxy_model.experiment.statistics.components import Components
    from proxy_model.experiment.statistics.design import Design, Verdict
    from proxy_model.experiment.statistics.plan import Costs, Goal, Plan, plan
    from proxy_model.experiment.statistics.registry_prior import Noise, NoiseKey, Registry
    from proxy_model.experiment.statistics.sequential import bounds
    from proxy_model.experiment.statistics.simulate import Truth, simulate

_HOME = {
    "Components": "statistics.components",
    "Costs": "statistics.plan",
    "Design": "statistics.design",
    "Goal": "statistics.plan",
    "Noise": "statistics.registry_prior",
    "NoiseKey": "statistics.registry_prior",
    "Plan": "statistics.plan",
    "Registry": "statistics.registry_prior",
    "RunScores": "scores",
    "ScoreMatrix": "scores",
    "Truth": "statistics.simulate",
    "Verdict": "statistics.design",
    "bounds": "statistics.sequential",
    "calibrate": "statistics.calibrate",
    "compare": "statistics.compare",
    "compare_candidates": "statistics.compare",
    "plan": "statistics.plan",
    "score_matrix": "scores",
    "simulate": "statistics.simulate",
}

__all__ = [
    "Components",
    "Costs",
    "Design",
    "Goal",
    "Noise",
    "NoiseKey",
    "Plan",
    "Registry",
    "RunScores",
    "ScoreMatrix",
    "Truth",
    "Verdict",
    "bounds",
    "calibrate",
    "compare",
    "compare_candidates",
    "plan",
    "score_matrix",
    "simulate",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
