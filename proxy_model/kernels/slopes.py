"""Decay rates of the heads: geometric over the heads, smaller in deeper layers (MiniMax-01 and its published code)."""

from __future__ import annotations

import torch
from torch import Tensor


def lightning_slopes(heads: int, layer: int, layers: int) -> Tensor:
    """float32 [heads]: 2^(-8(h+1)/H) · (1 - l/(L-1+1e-5) + 1e-5).  Computed, never stored and never cast.

    In bfloat16 a slope of 0.08334 becomes 0.08350: a decay wrong by 28 % over 2,048 tokens.
    """
    if not 0 <= layer < layers or heads < 1:
        raise ValueError(f"lightning_slopes: layer {layer} of {layers} layers, {heads} heads")
    depth = 1 - layer / (layers - 1 + 1e-5) + 1e-5
    return torch.tensor([2.0 ** (-8.0 * (h + 1) / heads) * depth for h in range(heads)], dtype=torch.float32)
