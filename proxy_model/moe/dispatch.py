"""Rows by expert and back: a stable sort, its inverse, and two moves that are each other's backward.

    rows = permute(x, plan)      row r is the token of choice plan.order[r]     (P x)
    y    = unpermute(rows, plan) sums the k rows of every token                 (Pᵀ rows)

Both gather; nothing is added through atomics, so results are the same bits every time.  Choices that are not kept
(dropped, padding) stand behind plan.ends[-1], where grouped products leave garbage, NaN included: they are cut out
by selection, never by a factor of 0.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor


class Plan(NamedTuple):
    """R choices, k a token in the order of tokens, sorted stably by expert."""

    order: Tensor  # int64 [R] choice that stands at row r
    inverse: Tensor  # int64 [R] row at which choice c stands
    ends: Tensor  # int32 [E] row behind the last of every expert; non-decreasing
    kept: Tensor | None  # bool [R] by choice; None: all


def plan_dispatch(experts: Tensor, count: int, kept: Tensor | None = None) -> Plan:
    """experts int64 [R] in 0 … count - 1, kept bool [R] → the plan, without waiting for the device."""
    keys = experts if kept is None else torch.where(kept, experts, count)
    if count < 2**15:
        keys = keys.to(torch.int16)  # a radix sort's time is its bytes
    keys, order = torch.sort(keys, stable=True)
    inverse = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
    ends = torch.searchsorted(keys, torch.arange(count, dtype=keys.dtype, device=keys.device), right=True)
    return Plan(order, inverse, ends.to(torch.int32), kept)


def permute(x: Tensor, plan: Plan, k: int) -> Tensor:
    """x [R / k, …] → [R, …] by expert."""
    return _Permute.apply(x, *plan, k)  # type: ignore[no-any-return, no-untyped-call]


def unpermute(rows: Tensor, plan: Plan, k: int) -> Tensor:
    """rows [R, …] by expert → [R / k, …]: sums over the k choices, without those not kept."""
    return _Unpermute.apply(rows, *plan, k)  # type: ignore[no-any-return, no-untyped-call]


def _spread(x: Tensor, order: Tensor, k: int) -> Tensor:
    return x[order // k if k > 1 else order]


def _gather(rows: Tensor, inverse: Tensor, kept: Tensor | None, k: int) -> Tensor:
    """Sums in float32 at least, choice by choice.

    A forward of an autograd function must not end in a cast that changes nothing, nor in an in-place operation:
    compiled by torch 2.11 its gradient is 0, without a word (test_compiles_whole_and_equals_eager).
    """
    wide = torch.promote_types(rows.dtype, torch.float32)
    total: Tensor | None = None
    for choice in range(k):
        own = slice(choice, None, k)
        part = rows[inverse[own]]
        if kept is not None:
            part = torch.where(kept[own].reshape(-1, *[1] * (rows.dim() - 1)), part, 0)
        if k == 1:
            return part
        total = part.to(wide) if total is None else total + part
    assert total is not None
    return total if total.dtype == rows.dtype else total.to(rows.dtype)


class _Permute(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, order: Tensor, inverse: Tensor, ends: Tensor, kept: Tensor | None, k: int
    ) -> Tensor:
        ctx.save_for_backward(order, inverse, ends, kept)
        ctx.k = k
        return _spread(x, order, k)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return unpermute(gradients[0], Plan(*ctx.saved_tensors), ctx.k), None, None, None, None, None


class _Unpermute(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, order: Tensor, inverse: Tensor, ends: Tensor, kept: Tensor | None, k: int
    ) -> Tensor:
        ctx.save_for_backward(order, inverse, ends, kept)
        ctx.k = k
        return _gather(rows, inverse, kept, k)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return permute(gradients[0], Plan(*ctx.saved_tensors), ctx.k), None, None, None, None, None
