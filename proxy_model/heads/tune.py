"""Backbone and heads trained together on labelled documents, from heads that were fitted on the frozen backbone.

Fitting the heads first keeps the first steps from spoiling the features (Kumar et al. 2022, LP-FT).  Documents stand
packed in rows; the experts' balancing losses stay on.  The same seed gives the same weights on the same machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from proxy_model.heads.features import BUDGET, rows
from proxy_model.heads.linear import Pairs
from proxy_model.heads.model import RewardHeads
from proxy_model.heads.ordinal import ordinal_nats, pair_nats
from proxy_model.heads.pool import Pooling, pool
from proxy_model.loss import objective
from proxy_model.model import ProxyLM
from proxy_model.packed import packed_sequences

WARMUP = 0.1  # of the steps; then linear to 0
CLIP = 1.0
BETAS, DECAY = (0.9, 0.95), 0.1  # decay of matrices of the backbone


@dataclass(frozen=True)
class Targets:
    """Labels of n documents: levels [D] of float32 [n, L], category int64 [n] (empty: none), weight float32 [n]."""

    levels: tuple[Tensor, ...]
    category: Tensor
    weight: Tensor


@dataclass(frozen=True)
class Batch:
    """Documents of one step, or pairs (numbers of `pairs`) on one score."""

    documents: tuple[int, ...]
    score: int = -1
    pairs: tuple[int, ...] = ()


def tune(
    model: ProxyLM, heads: RewardHeads, sequences: Sequence[Tensor], targets: Targets, *,
    pooling: Pooling = "last", pairs: dict[int, Pairs] | None = None, epochs: int = 3, lr: float = 3e-4,
    seed: int = 0, budget: int = BUDGET, note: Callable[[str], None] = lambda text: None,
) -> None:  # fmt: skip
    """Train both in place; pairs: by the number of the score.  One step a row of `budget` tokens."""
    model.train()
    groups = _groups(model, heads)
    optimizer = torch.optim.AdamW(groups, lr=lr, betas=BETAS)
    every = [parameter for group in groups for parameter in group["params"]]
    lengths = [len(one) for one in sequences]
    plan = [list(_epoch(lengths, pairs or {}, budget, seed, epoch)) for epoch in range(epochs)]
    steps, done = sum(map(len, plan)), 0
    for epoch, batches in enumerate(plan):
        total = 0.0
        for batch in batches:
            factor = min((done + 1) / max(1.0, WARMUP * steps), (steps - done) / (steps * (1 - WARMUP)), 1.0)
            for group in optimizer.param_groups:
                group["lr"] = lr * factor
            optimizer.zero_grad()
            loss = _loss(model, heads, sequences, targets, pairs or {}, batch, pooling)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(every, CLIP)
            optimizer.step()
            total += float(loss.detach())
            done += 1
        note(f"epoch {epoch + 1} of {epochs}: mean loss {total / max(1, len(batches)):.4f}")
    model.eval()


def _groups(model: ProxyLM, heads: RewardHeads) -> list[dict[str, Any]]:
    model.requires_grad_(True)
    if model.head is not None:
        model.head.requires_grad_(False)  # no token is predicted here
    body = [one for one in model.parameters() if one.requires_grad]
    return [
        {"params": [one for one in body if one.dim() > 1], "weight_decay": DECAY},
        {"params": [one for one in body if one.dim() < 2] + list(heads.parameters()), "weight_decay": 0.0},
    ]


def _epoch(lengths: Sequence[int], pairs: dict[int, Pairs], budget: int, seed: int, epoch: int) -> Iterator[Batch]:
    """All documents and all pairs once, shuffled, in rows of `budget` tokens; the rows shuffled too."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    order = torch.randperm(len(lengths), generator=generator).tolist()
    made = [Batch(tuple(order[i] for i in row)) for row in rows([lengths[i] for i in order], budget)]
    for score, some in sorted(pairs.items()):
        turn = torch.randperm(len(some.better), generator=generator).tolist()
        size = [lengths[int(some.better[i])] + lengths[int(some.worse[i])] for i in turn]
        for row in rows(size, budget):
            numbers = tuple(turn[i] for i in row)
            both = tuple(int(side[i]) for side in (some.better, some.worse) for i in numbers)
            made.append(Batch(both, score, numbers))
    for i in torch.randperm(len(made), generator=generator).tolist():
        yield made[i]


def _loss(
    model: ProxyLM, heads: RewardHeads, sequences: Sequence[Tensor], targets: Targets, pairs: dict[int, Pairs],
    batch: Batch, pooling: Pooling,
) -> Tensor:  # fmt: skip
    packed = packed_sequences([sequences[i] for i in batch.documents], model.embed.weight.device)
    output = model(packed)
    scores, logits = heads(pool(output.hidden, packed, pooling))
    if batch.pairs:
        half = len(batch.pairs)
        nats = pairs[batch.score].weight * pair_nats(scores[:half, batch.score], scores[half:, batch.score])
    else:
        chosen, cuts = torch.tensor(batch.documents), heads.cuts
        nats = torch.zeros(len(chosen), device=scores.device)
        for d, levels in enumerate(targets.levels):
            nats = nats + ordinal_nats(scores[:, d], cuts[d], levels[chosen].to(scores))
        if len(targets.category):
            wanted = targets.category[chosen].to(scores.device)
            nats = nats + torch.nn.functional.cross_entropy(logits, wanted, reduction="none")
        nats = nats * targets.weight[chosen].to(scores)
    loss, _ = objective(output, nats, torch.zeros(len(nats), dtype=torch.int64, device=nats.device), model.config)
    return loss
