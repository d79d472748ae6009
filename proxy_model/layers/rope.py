"""Rotary positions on the first `rotary_dim` dimensions of a head, halves paired (i with i + rotary_dim/2).

MiniMax-01 rotates half of the head dimensions; transformers' MiniMax rotates all of them (reference, proxy model §7).
"""

from __future__ import annotations

import torch
from torch import Tensor


def angles(positions: Tensor, rotary_dim: int, base: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """cos, sin [T, rotary_dim/2] of position · base^(-2i/rotary_dim); float32, or float64 when `dtype` is."""
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    exponents = torch.arange(0, rotary_dim, 2, dtype=wide, device=positions.device) / rotary_dim
    angle = positions.to(wide)[:, None] * (1.0 / base**exponents)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x [T, H, D] with its first rotary dimensions turned, in x's dtype; the others are left as they are."""
    half = cos.shape[-1]
    cos, sin = cos[:, None], sin[:, None]
    first, second, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    turned = (first * cos - second * sin, second * cos + first * sin)
    return torch.cat([turned[0].to(x.dtype), turned[1].to(x.dtype), rest], dim=-1)
