"""Vectors of documents from a backbone: many in a packed row for training, each in a row of its own for labels.

Packed rows equal single ones to rounding only (the last bits depend on the shapes of the products), and a label may
depend on nothing but its text: so `alone` runs one document at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from proxy_model.evaluate.scoring import dropless
from proxy_model.heads.pool import Pooling, pool, pooled_width
from proxy_model.model import ProxyLM
from proxy_model.packed import packed_sequences

BUDGET = 4096  # tokens of a packed row


def rows(lengths: Sequence[int], budget: int = BUDGET) -> Iterator[list[int]]:
    """Numbers of consecutive documents that share a row of at most `budget` tokens; one at least."""
    row: list[int] = []
    used = 0
    for number, length in enumerate(lengths):
        if row and used + length > budget:
            yield row
            row, used = [], 0
        row.append(number)
        used += length
    if row:
        yield row


@torch.inference_mode()
def packed_features(
    model: ProxyLM, sequences: Sequence[Tensor], pooling: Pooling = "last", budget: int = BUDGET
) -> Tensor:
    """Vectors float32 [n, F] on the CPU; no sequence is empty.  A capacity of the experts is lifted."""
    model = dropless(model).eval()
    device = model.embed.weight.device
    made = [torch.zeros(0, pooled_width(model.config.width, pooling))]
    for row in rows([len(one) for one in sequences], budget):
        packed = packed_sequences([sequences[i] for i in row], device)
        made.append(pool(model(packed).hidden, packed, pooling).float().cpu())
    return torch.cat(made)


def alone(model: ProxyLM, sequences: Sequence[Tensor], pooling: Pooling = "last") -> Tensor:
    """The same, each document in a row of its own: its bits are a function of its tokens."""
    return packed_features(model, sequences, pooling, budget=1)
