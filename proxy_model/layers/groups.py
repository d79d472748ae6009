"""Softmax attention of many documents in few calls, where no kernel for packed rows exists (CPU, float32, float64).

Documents of similar length form a group, padded at the end: with a causal mask no token sees what follows it, so
padding needs no mask.  A group is an index int64 [documents, longest] into the packed rows; T stands for padding.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

# Score pairs times head dimensions that padding may waste before another call is cheaper.
SPARE = 1 << 22


def plan(cu_seqlens: Tensor, inner: int) -> tuple[Tensor, ...]:
    """Groups of segments for layers with `inner` = heads · head_dim; reads cu_seqlens on the host."""
    bounds = cu_seqlens.tolist()
    total = bounds[-1]
    spans = sorted(((b - a, a) for a, b in pairwise(bounds) if b > a), key=lambda s: (-s[0], s[1]))
    groups: list[list[tuple[int, int]]] = []
    wasted = 0
    for length, start in spans:
        if groups:
            wasted += groups[-1][0][0] ** 2 - length**2
        if not groups or wasted * inner > SPARE:
            groups.append([])
            wasted = 0
        groups[-1].append((length, start))
    return tuple(_indices(group, total, cu_seqlens.device) for group in groups)


def grouped_attention(q: Tensor, k: Tensor, v: Tensor, groups: tuple[Tensor, ...]) -> Tensor:
    """q [T, H, D], k and v [T, K, D] → [T, H, D]: causal attention inside each segment of the groups."""
    tokens, heads, dim = q.shape
    queries, keys = heads * dim, k.shape[1] * dim
    if len(groups) == 1 and len(groups[0]) == 1:
        return _attend(q[None], k[None], v[None])[0]
    rows = F.pad(torch.cat([q.flatten(1), k.flatten(1), v.flatten(1)], dim=1), (0, 0, 0, 1))
    outs = []
    for index in groups:
        picked = rows[index.flatten()].view(*index.shape, -1)
        parts = torch.split(picked, [queries, keys, keys], dim=-1)
        out = _attend(*(part.view(*index.shape, -1, dim) for part in parts))
        outs.append(out.flatten(0, 1).flatten(1))
    where = torch.cat([index.flatten() for index in groups])
    place = where.new_empty(tokens + 1)
    place[where] = torch.arange(len(where), device=where.device)
    return torch.cat(outs)[place[:tokens]].view(tokens, heads, dim)


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """[B, L, heads, D] → [B, L, heads, D]"""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=q.shape[1] != k.shape[1]).transpose(1, 2)


def _indices(group: list[tuple[int, int]], total: int, device: torch.device) -> Tensor:
    longest = group[0][0]
    starts = torch.tensor([start for _, start in group])[:, None]
    lengths = torch.tensor([length for length, _ in group])[:, None]
    step = torch.arange(longest)[None]
    return torch.where(step < lengths, starts + step, total).to(device)
