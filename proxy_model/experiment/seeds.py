"""The seeds of runs: each run of each arm has a number that no other run has, so arms are not paired by their seeds."""

from __future__ import annotations

from dataclasses import dataclass

from curation.pipeline.hashing import Purpose, derive_seed
from proxy_model.experiment.settings import Experiment

ARM_STRIDE = 1000  # numbers of one arm; more than twice settings.MOST_RUNS, for runs that replace excluded ones
PILOT = 900_000  # A/A runs are no runs of the experiment, which may use their σ_seed
_PURPOSES = {"init": Purpose.INIT, "order": Purpose.ORDER, "subset": Purpose.SUBSET}


@dataclass(frozen=True)
class RunSeeds:
    """numbers: as `seeds:` of `curate proxy train` has them; derived: the 64-bit seeds they stand for."""

    numbers: dict[str, int]
    derived: dict[str, int]


def run_seeds(experiment: Experiment, arm: str, number: int) -> RunSeeds:
    """What is not randomised has number 0 (init) or is the shards' own (order, subset)."""
    config = experiment.config
    own = list(config.arms).index(arm) * ARM_STRIDE + number + (PILOT if experiment.pilot else 0)
    numbers: dict[str, int] = {"init": 0, **dict.fromkeys(config.randomize, own)}
    return RunSeeds(numbers, {key: derive_seed(config.seed, _PURPOSES[key], n) for key, n in numbers.items()})
