"""One optimizer step: gradients of its batches, their norm, a verdict, and only then a move."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from packing.loader.batch import Batch
from proxy_model.dist import ALONE, Ranks
from proxy_model.loss import objective, token_nats
from proxy_model.model import ProxyLM
from proxy_model.moe import ExpertUsage, update_biases
from proxy_model.moe.statistics import token_sources
from proxy_model.packed import packed_from
from proxy_model.train.optim import Optimizers, Weights, clip
from proxy_model.train.spikes import Verdict


@dataclass(frozen=True, eq=False)
class Done:
    """What a step found; loss, aux and z are means over its labelled tokens."""

    loss: float
    labels: int
    aux: float
    z: float
    norm: float  # of the gradient, before clipping
    dropped: int
    length: float  # Σ l² / Σ l over the segments: what a token's attention sees
    verdict: Verdict
    nats: list[NDArray[np.float64]]  # of each batch, [T]


def take_step(
    model: ProxyLM, weights: Weights, optimizers: Optimizers, usage: ExpertUsage, parts: Sequence[Batch],
    factor: float, limit: float, judge: Callable[[float, float], Verdict], ranks: Ranks = ALONE,
) -> Done:  # fmt: skip
    """Forward and backward of each part, weighted by its labelled tokens; between them nothing is read back.

    A skipped step leaves weights, balancing biases and optimizer state as they were.  `parts` are this process's; all
    have equally many, and what is found is that of all.
    """
    device = next(iter(weights.live.values())).device
    counted = ranks.sum(torch.tensor([int(batch["loss_mask"].sum()) for batch in parts], device=device))
    counts = counted.tolist()
    total = max(1, sum(counts))
    weights.forget()
    nats, sums = [], []
    dropped: list[torch.Tensor] = []
    for number, batch in enumerate(parts):
        labels = torch.from_numpy(np.ascontiguousarray(batch["labels"])).to(device, non_blocking=True)
        packed = packed_from(batch, device)
        output = model(packed)
        found = token_nats(output.hidden, model.head_weight, labels, vocab_size=model.config.vocab_size)
        loss, pieces = objective(output, found, labels, model.config, counted[number] / ranks.world)
        share = counts[number] / total
        (loss * share).backward()
        weights.collect()
        nats.append(found.detach())
        sums.append(torch.stack([pieces[name].float() * share for name in ("nats", "aux", "z")]))
        source = torch.from_numpy(np.ascontiguousarray(batch["source"])).to(device, non_blocking=True)
        usage.add(output.routing, token_sources(packed.segment_ids, source))
        dropped += [one.dropped for one in output.routing]
    norm = clip(weights, limit, ranks)
    loss_value, aux, z, norm_value = torch.cat([ranks.mean(torch.stack(sums).sum(0)), norm.reshape(1)]).tolist()
    verdict = judge(loss_value, norm_value)
    if not verdict.skip:
        optimizers.step(factor)
    update_biases(model, move=not verdict.skip)
    weights.forget()
    lost = int(ranks.sum(torch.stack(dropped).sum())) if dropped else 0
    return Done(
        loss_value, sum(counts), aux, z, norm_value, lost, _length(parts), verdict,
        [one.double().cpu().numpy() for one in nats],
    )  # fmt: skip


def _length(parts: Sequence[Batch]) -> float:
    sizes = np.concatenate([np.diff(batch["cu_seqlens"]) for batch in parts]).astype(np.float64)
    return float((sizes**2).sum() / max(1.0, sizes.sum()))
