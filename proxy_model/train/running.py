"""A run in progress: all that the loop holds, and what of it a checkpoint keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from packing.layout.manifest import Manifest
from packing.loader.dataset import PackedDataset
from proxy_model.dist import Ranks
from proxy_model.model import ProxyLM
from proxy_model.moe import ExpertUsage
from proxy_model.train import checkpoint, data
from proxy_model.train.held_out import HeldOut
from proxy_model.train.log import Log
from proxy_model.train.optim import Optimizers, Weights
from proxy_model.train.settings import TrainSettings
from proxy_model.train.spikes import Watch
from proxy_model.train.tally import Tally
from proxy_model.train.together import everywhere, take_usage
from proxy_model.train.token_table import Step


@dataclass(eq=False)
class Run:
    """What the loop holds."""

    settings: TrainSettings
    dataset: PackedDataset
    order: data.Rows
    plan: list[Step]
    held: HeldOut | None
    identity: dict[str, Any]
    device: torch.device
    ranks: Ranks
    model: ProxyLM
    weights: Weights
    optimizers: Optimizers
    watch: Watch
    tally: Tally
    usage: ExpertUsage  # since the last look
    log: Log


def no_usage(settings: TrainSettings, manifest: Manifest, device: torch.device) -> ExpertUsage:
    """Counts of the experts, at zero."""
    return ExpertUsage(settings.model.layers, settings.model.experts, manifest.sources, device)


def tensors_of(run: Run) -> dict[str, torch.Tensor]:
    """Weights (the fp32 ones), buffers, counts, optimizer and random states."""
    made = {f"weight.{name}": one for name, one in run.weights.masters.items()}
    made |= {f"buffer.{name}": one for name, one in run.model.named_buffers() if name in run.model.state_dict()}
    made |= {f"usage.{name}": one for name, one in everywhere(run.usage, run.ranks).items()}
    made |= {f"optimizer.{name}": one for name, one in run.optimizers.state().items()}
    return made | checkpoint.random_states(run.device)


def state_of(run: Run) -> dict[str, Any]:
    """What is no tensor, for JSON."""
    return {"identity": run.identity, "watch": run.watch.state(), "tally": run.tally.state()}


def restore(run: Run, found: checkpoint.Checkpoint) -> None:
    """Put a checkpoint's values in place; the run goes on with the same bits."""

    def under(prefix: str) -> dict[str, torch.Tensor]:
        return {name.removeprefix(prefix): one for name, one in found.tensors.items() if name.startswith(prefix)}

    with torch.no_grad():
        for name, one in under("weight.").items():
            run.weights.masters[name].copy_(one)
        buffers = dict(run.model.named_buffers())
        for name, one in under("buffer.").items():
            buffers[name].copy_(one)
        take_usage(run.usage, under("usage."), run.ranks)
    run.weights.publish()
    run.optimizers.load_state(under("optimizer."))
    for key, value in found.state["watch"].items():
        setattr(run.watch, key, value)
    run.tally.load_state(found.state["tally"] if run.ranks.first else [])
    checkpoint.set_random_states(found.tensors, run.device)
