"""Lightning attention in plain torch, tile by tile, with its gradient written out: what training on a CPU runs.

With tiles of BT tokens, rows i and j of a tile, r = resets (index of a token in its segment), γ = exp(-slope):

    M[i, j] = γ^(i-j)   if 0 <= i-j <= r[i]      pairs of one document inside the tile
    w[i]    = γ^(i+1)   if r[i] > i              rows whose document began before the tile
    u[j]    = γ^(BT-1-j) if BT-1-j <= r[BT-1]    rows of the document that is open at the end of the tile
    keep    = γ^BT      if r[BT-1] > BT-1        no document began inside the tile

    O = (Q Kᵀ ∘ M) V + w ∘ (Q S),   S' = keep·S + Kᵀ (u ∘ V)

A power of γ is always of one age (never γ^i / γ^j), so nothing overflows.  The backward pass is the adjoint of the two
lines; it is explicit because autograd inside a custom operator fails under AOT dispatch.  Arithmetic is float32, or
float64 for float64 inputs.  Any head dimension.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

GROUP = 16  # tiles handled by one batched matrix product: keeps the temporaries of a pass near the cache


class Masks(NamedTuple):
    """Everything that depends on resets and slopes; N tiles, H heads."""

    decay: Tensor  # [H, BT, BT] γ^(i-j), 1 above the diagonal
    blocked: Tensor  # bool [N, 1, BT, BT]
    enter: Tensor  # w [N, H, BT, 1]
    leave: Tensor  # u [N, H, BT, 1]
    keep: Tensor  # [N, H, 1, 1]


def tile_size(head_dim: int) -> int:
    """Tokens a tile: measured on one core, the best of 16…128 for head dimensions 16…128."""
    return 32 if head_dim <= 32 else 64


def tiles(tokens: int, head_dim: int) -> int:
    """Number of tiles of a stream of `tokens` tokens (the last one may be ragged)."""
    return -(-tokens // tile_size(head_dim))


def forward(q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, resets: Tensor) -> tuple[Tensor, Tensor]:
    """q, k, v [T, H, D] → o [T, H, D] in q's dtype, and the state before each tile, [N, H, D, D]."""
    tokens, heads, dim = q.shape
    masks = _masks(slopes, resets, dim, _compute_dtype(q))
    q_, k_, v_ = (_tiled(x) for x in (q, k, v))
    states = q_.new_empty(q_.shape[0], heads, dim, dim)
    out = torch.empty_like(q_)
    state = q_.new_zeros(heads, dim, dim)
    for a in range(0, q_.shape[0], GROUP):
        b = min(a + GROUP, q_.shape[0])
        local = k_[a:b].transpose(-1, -2) @ (v_[a:b] * masks.leave[a:b])
        for n in range(a, b):
            states[n] = state
            state = torch.addcmul(local[n - a], state, masks.keep[n])
        torch.matmul(_scores(q_[a:b], k_[a:b], masks, a, b), v_[a:b], out=out[a:b])
        out[a:b].addcmul_(q_[a:b] @ states[a:b], masks.enter[a:b])
    return _flat(out, tokens, q.dtype), states


def backward(
    q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, resets: Tensor, states: Tensor, do: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of q, k, v [T, H, D] for do [T, H, D]; `states` as `forward` gave them."""
    tokens, heads, dim = q.shape
    masks = _masks(slopes, resets, dim, _compute_dtype(q))
    q_, k_, v_, do_ = (_tiled(x) for x in (q, k, v, do))
    dq, dk, dv = torch.empty_like(q_), torch.empty_like(q_), torch.empty_like(q_)
    carry = q_.new_zeros(heads, dim, dim)  # gradient of the state behind the tile
    for a in reversed(range(0, q_.shape[0], GROUP)):
        b = min(a + GROUP, q_.shape[0])
        enter, leave = masks.enter[a:b], masks.leave[a:b]
        local = q_[a:b].transpose(-1, -2) @ (do_[a:b] * enter)
        carries = torch.empty_like(local)
        for n in reversed(range(a, b)):
            carries[n - a] = carry
            carry = torch.addcmul(local[n - a], carry, masks.keep[n])
        scores = _scores(q_[a:b], k_[a:b], masks, a, b)
        torch.matmul(scores.transpose(-1, -2), do_[a:b], out=dv[a:b])
        dv[a:b].addcmul_(k_[a:b] @ carries, leave)
        scores = _scores(do_[a:b], v_[a:b], masks, a, b)
        torch.matmul(scores.transpose(-1, -2), q_[a:b], out=dk[a:b])
        dk[a:b].addcmul_(v_[a:b] @ carries.transpose(-1, -2), leave)
        torch.matmul(scores, k_[a:b], out=dq[a:b])
        dq[a:b].addcmul_(do_[a:b] @ states[a:b].transpose(-1, -2), enter)
    return _flat(dq, tokens, q.dtype), _flat(dk, tokens, k.dtype), _flat(dv, tokens, v.dtype)


def _scores(rows: Tensor, columns: Tensor, masks: Masks, a: int, b: int) -> Tensor:
    scores = rows @ columns.transpose(-1, -2)
    return scores.mul_(masks.decay).masked_fill_(masks.blocked[a:b], 0.0)


def _masks(slopes: Tensor, resets: Tensor, dim: int, dtype: torch.dtype) -> Masks:
    size = tile_size(dim)
    age = F.pad(resets, (0, -resets.numel() % size)).view(-1, size)
    row = torch.arange(size, device=resets.device)
    lag = row[:, None] - row
    last = age[:, -1:]
    slope = slopes.to(dtype)

    def power(exponents: Tensor, where: Tensor) -> Tensor:  # γ^exponents [H, BT] where the rows [N, BT] say so
        return (torch.exp(-slope[:, None] * exponents) * where[:, None].to(dtype))[..., None]

    return Masks(
        decay=torch.exp(-slope[:, None, None] * lag.clamp(min=0)),
        blocked=((lag < 0) | (lag > age[:, :, None]))[:, None],
        enter=power(row + 1, age > row),
        leave=power(size - 1 - row, size - 1 - row <= last),
        keep=power(row.new_full((1,), size), last >= size),
    )


def _compute_dtype(q: Tensor) -> torch.dtype:
    return torch.float64 if q.dtype == torch.float64 else torch.float32


def _tiled(x: Tensor) -> Tensor:  # [T, H, D] → contiguous [N, H, BT, D], zeros behind the last token
    tokens, heads, dim = x.shape
    size, count = tile_size(dim), tiles(tokens, dim)
    if tokens % size:
        x = F.pad(x, (0, 0, 0, 0, 0, count * size - tokens))
    rows = x.reshape(count, size, heads, dim).transpose(1, 2)
    return rows.to(_compute_dtype(x)).contiguous()


def _flat(x: Tensor, tokens: int, dtype: torch.dtype) -> Tensor:  # [N, H, BT, D] → a new contiguous [T, H, D]
    count, heads, size, dim = x.shape
    return x.transpose(1, 2).reshape(count * size, heads, dim)[:tokens].to(dtype).contiguous()
