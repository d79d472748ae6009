"""Matrix products of rows grouped by expert: torch's grouped_mm behind an operator of our own.

What the operator adds (each tested; torch 2.11 and 2.13, reference, proxy model §3): float64, by the loop over experts
that is also the reference; float32 on the meta device and under torch.compile, where torch's own shape function wants
bfloat16; gradients with stride 0; a clear error for rows that are no multiple of 16 bytes.  Rows from ends[-1] on are
undefined in every result, as in grouped_mm.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

ALIGN = 8  # numbers a row: 16 bytes in bfloat16


def grouped_linear(x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    """x [R, K], weight [E, N, K], ends int32 [E] → [R, N]: rows up to ends[e] times weight[e]ᵀ; differentiable.

    One dtype for both.  Raises ValueError when K or N is no multiple of 8 (float64: any size).
    """
    if x.dtype != torch.float64 and (weight.shape[1] % ALIGN or weight.shape[2] % ALIGN):
        raise ValueError(f"expert matrices of {tuple(weight.shape[1:])}; both sizes have to be multiples of {ALIGN}")
    return _rows(x, weight, ends, True)  # type: ignore[no-any-return]


def grouped_rows_reference(x: Tensor, weight: Tensor, ends: Tensor, transposed: bool) -> Tensor:
    """x times weight[e]ᵀ (transposed) or weight[e], one expert after the other; 0 from ends[-1] on."""
    y = x.new_zeros(len(x), weight.shape[1 if transposed else 2])
    begin = 0
    for expert, end in enumerate(ends.tolist()):
        y[begin:end] = x[begin:end] @ (weight[expert].t() if transposed else weight[expert])
        begin = end
    return y


def grouped_outer_reference(a: Tensor, b: Tensor, ends: Tensor) -> Tensor:
    """a [R, N], b [R, K] → [E, N, K]: aᵀb of every expert's rows."""
    bounds = [0, *ends.tolist()]
    return torch.stack([a[i:j].t() @ b[i:j] for i, j in pairwise(bounds)])


@torch.library.custom_op("curate_moe::rows", mutates_args=())
def _rows(x: Tensor, weight: Tensor, ends: Tensor, transposed: bool) -> Tensor:
    if x.dtype == torch.float64:
        return grouped_rows_reference(x, weight, ends, transposed)
    matrices = weight.transpose(-2, -1) if transposed else weight
    return F.grouped_mm(x.contiguous(), matrices, offs=ends)


@_rows.register_fake
def _(x: Tensor, weight: Tensor, ends: Tensor, transposed: bool) -> Tensor:
    return x.new_empty(x.shape[0], weight.shape[1 if transposed else 2])


@torch.library.custom_op("curate_moe::outer", mutates_args=())
def _outer(a: Tensor, b: Tensor, ends: Tensor) -> Tensor:
    if a.dtype == torch.float64:
        return grouped_outer_reference(a, b, ends)
    return F.grouped_mm(a.contiguous().t(), b.contiguous(), offs=ends)


@_outer.register_fake
def _(a: Tensor, b: Tensor, ends: Tensor) -> Tensor:
    return a.new_empty(ends.shape[0], a.shape[1], b.shape[1])


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, ends, ctx.transposed = inputs
    ctx.save_for_backward(x, weight, ends)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    x, weight, ends = ctx.saved_tensors
    gradient = gradient.contiguous()
    needs_x, needs_weight = ctx.needs_input_grad[:2]
    d_x = _rows(gradient, weight, ends, not ctx.transposed) if needs_x else None
    pair = (gradient, x) if ctx.transposed else (x, gradient)
    return d_x, _outer(*pair, ends) if needs_weight else None, None, None


_rows.register_autograd(_backward, setup_context=_save)
