"""What a loop on more processes shares out and puts together; on one process each function changes nothing.

Every process takes every `world`-th sequence of a step, and all evaluate all held-out text together, because a spread
model computes only when all call it.  Sums for the logs are brought to the first process, which alone writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from proxy_model.dist import Ranks
from proxy_model.dist.parallel import wrap
from proxy_model.model import ProxyLM
from proxy_model.moe import ExpertUsage
from proxy_model.train.optim import Weights
from proxy_model.train.settings import TrainSettings
from proxy_model.train.tally import Tally
from proxy_model.train.token_table import Step

USAGE = ("chosen", "dropped", "tokens", "entropy")  # sums of ExpertUsage


def check_ranks(settings: TrainSettings, plan: Sequence[Step], ranks: Ranks) -> None:
    """Raises UsageError for what cannot be shared out evenly."""
    if ranks.world == 1:
        return
    if settings.optimizer.kind == "muon":
        raise UsageError("Muon wants whole matrices, and processes hold parts of them", "say optimizer: {kind: adamw}")
    for step in plan:
        if step.sequences % ranks.world:
            raise UsageError(
                f"step {step.number} has {step.sequences} sequences, which {ranks.world} processes cannot share evenly",
                f"make every batch a multiple of {ranks.world} sequences, or start another number of processes",
            )


def spread(settings: TrainSettings, model: ProxyLM, ranks: Ranks) -> Weights:
    """The trained weights of a model that is spread over the processes, or kept whole on one."""
    bf16 = settings.precision == "bf16"
    wrap(model, ranks, bf16=bf16, expert_parallel=settings.expert_parallel)
    return Weights(model, settings.precision if ranks.world == 1 else "fp32")  # FSDP rounds its gathered copies itself


def own_sequences(step: Step, ranks: Ranks) -> NDArray[np.int64]:
    """Places in the run's order of this process's sequences of a step."""
    return np.arange(step.first + ranks.rank, step.first + step.sequences, ranks.world)


def fold(tally: Tally, ranks: Ranks) -> None:
    """The first process's tally has all, the others' nothing: before a look and before a checkpoint."""
    sums: dict[tuple[str, str], list[float]] = {}
    for state in ranks.collect(tally.state()):
        for kind, name, *values in state:
            before = sums.get((kind, name), [0.0] * len(values))
            sums[kind, name] = [a + b for a, b in zip(before, values, strict=True)]
    tally.load_state([[*key, *values] for key, values in sums.items()] if ranks.first else [])


def everywhere(usage: ExpertUsage, ranks: Ranks) -> dict[str, torch.Tensor]:
    """Sums of all processes, by name."""
    return {name: ranks.sum(getattr(usage, name)) for name in USAGE}


def take_usage(usage: ExpertUsage, saved: dict[str, Any], ranks: Ranks) -> None:
    """Back to saved sums, which the first process then holds for all."""
    for name, value in saved.items():
        getattr(usage, name).copy_(value if ranks.first else torch.zeros_like(value))
