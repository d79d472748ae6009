"""What a training run is: one frozen record, checked at the edge (`proxy_model/settings.py`), and its identity."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from proxy_model.architecture import ModelConfig
from proxy_model.train.schedule import Schedule
from proxy_model.train.spikes import Policy
from proxy_model.train.token_table import TokenTable

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Seeds:
    """64-bit seeds of what differs between runs of one arm.  `order`, `subset`: None leaves the shards' own."""

    init: int
    order: int | None = None
    subset: int | None = None


@dataclass(frozen=True)
class Optimizer:
    """`muon` takes the matrices and experts; AdamW always keeps embedding, head, router and norms."""

    kind: Literal["adamw", "muon"] = "adamw"
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    weight_decay: float = 0.1
    muon_lr: float = 0.02  # of the matrices; `lr` is AdamW's


@dataclass(frozen=True)
class TrainSettings:
    """Decides a run together with the shards and the held-out text; paths and how often one looks do not."""

    model: ModelConfig
    shards: Path
    folder: Path  # of the run's outputs
    tokens: int
    batch: TokenTable
    lr: float
    schedule: Schedule
    seeds: Seeds
    optimizer: Optimizer = field(default_factory=Optimizer)
    micro_batch: int | None = None  # sequences of one forward pass; None: the whole step
    subset_share: float = 1.0  # of every queue's rows, chosen by seeds.subset
    holdout_share: float = 0.0  # of the rows, kept from training and evaluated; the same for every seed
    clip: float = 1.0
    precision: Precision = "fp32"
    policy: Policy = field(default_factory=Policy)
    device: str = "cpu"
    threads: int = 1
    expert_parallel: bool = False  # on more processes: each holds whole experts, instead of a part of every one
    evaluate_every: int = 0  # steps; 0: only at the end
    checkpoint_every: int = 0  # steps; 0: only at the end
    keep: int = 2

    def identity(self, root: str, held_out: str) -> dict[str, Any]:
        """All that decides the losses: settings without paths, threads and intervals, shards, held-out text."""
        values = asdict(self)
        for name in ("shards", "folder", "threads", "expert_parallel", "evaluate_every", "checkpoint_every", "keep"):
            del values[name]
        values["model"] = self.model.to_json()
        found = {**values, "shards": root, "held_out": held_out}
        return dict(json.loads(json.dumps(found)))


def run_id(identity: dict[str, Any]) -> str:
    """32 hexadecimal digits; equal ids are equal runs on one kind of machine."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
