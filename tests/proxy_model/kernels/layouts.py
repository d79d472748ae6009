"""Packed rows that have broken kernels: lengths of the segments, and how far a result is from the truth."""

from __future__ import annotations

import torch
from torch import Tensor

from proxy_model.kernels.reference import lightning_reference

LAYOUTS = {
    "one token": [1],
    "only single tokens": [1] * 37,
    "exactly one tile": [16],
    "one document, ragged": [67],
    "longer than a segment": [3, 100, 5],
    "boundaries at tiles": [16, 32, 16, 16],
    "single tokens around a tile's end": [15, 1, 1, 31, 1],
    "starts in the last row": [63, 1],
    "tail of one token": [40, 24, 1],
    "many": [2, 9, 1, 1, 30, 5, 17, 1, 20, 3, 11],
}


def resets_of(lengths: list[int]) -> Tensor:
    """int32 [sum of lengths]: the index of each token in its segment."""
    return torch.cat([torch.arange(n) for n in lengths]).to(torch.int32)


def random_rows(
    tokens: int, heads: int, dim: int, dtype: torch.dtype, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """q, k, v as views of one fused projection (per head q|k|v, as MiniMax lays them), and a gradient of the output."""
    generator = torch.Generator().manual_seed(seed)
    fused = torch.randn(tokens, heads, 3 * dim, generator=generator).to(dtype)
    q, k, v = fused.split(dim, dim=-1)
    return q, k, v, torch.randn(tokens, heads, dim, generator=generator).to(dtype)


def truth(q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, resets: Tensor, do: Tensor) -> tuple[Tensor, ...]:
    """o, dq, dk, dv in float64 by the quadratic formula and autograd."""
    wide = [x.detach().double().requires_grad_() for x in (q, k, v)]
    out = lightning_reference(*wide, slopes, resets)
    return (out.detach(), *torch.autograd.grad(out, wide, do.double()))


def distances(got: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> list[float]:
    """Relative norms of the differences."""
    return [((a.double() - b).norm() / b.norm().clamp(min=1e-30)).item() for a, b in zip(got, expected, strict=True)]
