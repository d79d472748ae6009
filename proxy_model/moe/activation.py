"""SwiGLU between an expert's two products, times the router's weight: SiLU(gate) ∘ up · weight.

The weight is applied here, not to the expert's output: that is the same product (down is linear), and the output
then need not be kept for the backward pass.  Computed in float32 and rounded once; backward computes the factors again
from gate and up instead of keeping them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def weighted_swiglu(gate_up: Tensor, weights: Tensor) -> Tensor:
    """gate_up [R, 2I] (gate, then up), weights [R] → [R, I] in gate_up's dtype."""
    return _WeightedSwiGLU.apply(gate_up, weights)  # type: ignore[no-any-return, no-untyped-call]


class _WeightedSwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate_up: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(gate_up, weights)
        gate, up, weight = _wide(gate_up, weights)
        made = F.silu(gate).mul_(up) * weight  # neither in place nor a cast that changes nothing: see dispatch._gather
        return made if made.dtype == gate_up.dtype else made.to(gate_up.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        gate_up, weights = ctx.saved_tensors
        gate, up, weight = _wide(gate_up, weights)
        g = gradients[0].to(gate.dtype)
        inner = g * F.silu(gate)
        d_weights = torch.linalg.vecdot(inner, up)
        d_up = inner.mul_(weight)
        d_gate = torch.ops.aten.silu_backward((g * weight).mul_(up), gate)
        return torch.cat([d_gate, d_up], -1).to(gate_up.dtype), d_weights.to(weights.dtype)


def _wide(gate_up: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    wide = torch.promote_types(gate_up.dtype, torch.float32)
    gate, up = gate_up.to(wide).chunk(2, dim=-1)
    return gate, up, weights.to(wide)[:, None]
