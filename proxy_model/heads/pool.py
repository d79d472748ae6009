"""One vector a document of a packed row: the hidden state of its last token, which has seen all of it.

`mean` averages over its tokens instead.  Padding and empty segments give no vector, so no gradient comes from them.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from proxy_model.packed import Packed

Pooling = Literal["last", "mean", "both"]
POOLINGS: tuple[str, ...] = get_args(Pooling)


def documents(packed: Packed) -> tuple[Tensor, Tensor]:
    """(first, last): int64 [n] token indices of the segments that are documents, in their order."""
    ends = packed.cu_seqlens[1:].long()
    starts = packed.cu_seqlens[:-1].long()
    there = ends > starts
    last = (ends - 1).clamp(min=0)
    if packed.real is not None:
        there = there & packed.real[last]
    return starts[there], last[there]


def pool(hidden: Tensor, packed: Packed, pooling: Pooling = "last") -> Tensor:
    """hidden [T, d] → [n, d], or [n, 2d] for `both` (last, then mean)."""
    first, last = documents(packed)
    ends = hidden[last]
    if pooling == "last":
        return ends
    sums = hidden.new_zeros(len(packed.cu_seqlens) - 1, hidden.shape[1])
    sums = sums.index_add(0, packed.segment_ids.long(), hidden)
    mean = sums[packed.segment_ids.long()[last]] / (last - first + 1)[:, None]
    return mean if pooling == "mean" else torch.cat([ends, mean], dim=1)


def pooled_width(width: int, pooling: Pooling) -> int:
    """Numbers of a vector that `pool` gives."""
    return 2 * width if pooling == "both" else width
