"""Lightning attention in Triton: three kernels, of which one computes O, dQ, dK and dV.

With A, B, C = rows of three of (q, k, v, do) and a running state S [D, D], a tile of n tokens gives

    out = in ∘ (A S) + (A Bᵀ ∘ M) C,        S ← keep·S + Bᵀ (up ∘ C)

    O  = mix(q, k, v)                       dV = mix(k, q, do) reversed
    dQ = mix(do, v, k), states transposed   dK = mix(v, do, q) reversed, states transposed

where M, in, up, keep are powers of γ = exp(-slope) of one age each, zero across a document boundary; r = resets:

                  forward                             reversed
    M[i, j]       γ^(i-j)   where 0 <= i-j <= r[i]    γ^(j-i)   where 0 <= j-i <= r[j]
    in[i]         γ^(i+1)   where r[i] > i            γ^(n-1-i) where n-1-i <= r[n-1]
    up[j]         γ^(n-1-j) where n-1-j <= r[n-1]     γ^(j+1)   where r[j] > j
    keep          γ^n       where r[n-1] > n-1        the same

Tiles are cut from the packed stream, not from documents: the grid depends on T alone, there is no list of documents,
no wait for the device, no compilation for a new length.  A stream is cut into segments: `_state` computes what each
adds to the state, `_scan` the state in front of each, `_mix` walks through one.  No atomics: runs repeat bit by bit.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator"
from __future__ import annotations

import contextlib
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from proxy_model.kernels.table import SCAN_BLOCK, SEGMENTS, Tile, segment_length, tile

LOG2E = tl.constexpr(1.4426950408889634)
INTERPRETED_CAPABILITY = 90


@triton.jit(do_not_specialize=["T"])
def _state(
    B, C, RESETS, STATES, SLOPES, T, SEG, b_t, b_h, c_t, c_h,
    H: tl.constexpr, D: tl.constexpr, BT: tl.constexpr, BC: tl.constexpr, REVERSED: tl.constexpr, UPCAST: tl.constexpr,
):  # fmt: skip
    """What one segment alone adds to the state behind it (reversed: to the gradient of the state in front of it)."""
    segment, head = tl.program_id(1), tl.program_id(2).to(tl.int64)
    first = segment.to(tl.int64) * SEG
    length = tl.minimum(SEG, T - first).to(tl.int32)
    slope = tl.load(SLOPES + head) * LOG2E
    d, columns, t_ = tl.arange(0, D), tl.program_id(0) * BC + tl.arange(0, BC), tl.arange(0, BT)
    open_age = tl.load(RESETS + first + length - 1)  # age of the segment's last token
    b_ = B + first * b_t + head * b_h + d[:, None]
    c_ = C + first * c_t + head * c_h + columns[None, :]
    state = tl.zeros([D, BC], dtype=tl.float32)
    for start in range(0, length, BT):
        i = start + t_
        there = i < length
        if REVERSED:  # documents that began before the segment
            age = tl.load(RESETS + first + i, mask=there, other=0)
            weight = tl.where(age > i, tl.exp2(-slope * (i + 1).to(tl.float32)), 0.0)
        else:  # the document that is open at the end
            left = length - 1 - i
            weight = tl.where(there & (left <= open_age), tl.exp2(-slope * tl.maximum(left, 0).to(tl.float32)), 0.0)
        b = tl.load(b_ + i[None, :] * b_t, mask=there[None, :], other=0.0)
        c = tl.load(c_ + i[:, None] * c_t, mask=there[:, None], other=0.0)
        if UPCAST:
            b, c = b.to(tl.float32), c.to(tl.float32)
        state += tl.dot(b, (c * weight[:, None]).to(b.dtype), input_precision="ieee")
    tl.store(STATES + ((segment * H + head) * D + d[:, None]) * D + columns[None, :], state)


@triton.jit(do_not_specialize=["T", "COUNT"])
def _scan(STATES, RESETS, SLOPES, T, SEG, COUNT, H: tl.constexpr, DD: tl.constexpr, BLOCK: tl.constexpr,
          REVERSED: tl.constexpr):  # fmt: skip
    """In place: what each segment adds → the state in front of it (reversed: behind it)."""
    head = tl.program_id(1).to(tl.int64)
    slope = tl.load(SLOPES + head) * LOG2E
    entry = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    state = tl.zeros([BLOCK], dtype=tl.float32)
    for i in range(0, COUNT):
        segment = COUNT - 1 - i if REVERSED else i
        length = tl.minimum(SEG, T - segment * SEG)
        here = STATES + (segment * H + head) * DD + entry
        added = tl.load(here)
        tl.store(here, state)
        open_age = tl.load(RESETS + segment * SEG + length - 1)
        keep = tl.where(open_age > length - 1, tl.exp2(-slope * length.to(tl.float32)), 0.0)
        state = state * keep + added


@triton.jit(do_not_specialize=["T"])
def _mix(
    A, B, C, OUT, RESETS, STATES, SLOPES, T, SEG, a_t, a_h, b_t, b_h, c_t, c_h,
    H: tl.constexpr, D: tl.constexpr, BT: tl.constexpr, BC: tl.constexpr,
    REVERSED: tl.constexpr, TRANSPOSED: tl.constexpr, UPCAST: tl.constexpr,
):  # fmt: skip
    """BC columns of one head's output in one segment; see the module."""
    segment, head = tl.program_id(1), tl.program_id(2).to(tl.int64)
    first = segment.to(tl.int64) * SEG
    length = tl.minimum(SEG, T - first).to(tl.int32)
    slope = tl.load(SLOPES + head) * LOG2E
    d, columns, t_ = tl.arange(0, D), tl.program_id(0) * BC + tl.arange(0, BC), tl.arange(0, BT)
    base = STATES + (segment * H + head) * D * D
    if TRANSPOSED:
        state = tl.load(base + columns[None, :] * D + d[:, None])
    else:
        state = tl.load(base + d[:, None] * D + columns[None, :])
    a_ = A + first * a_t + head * a_h + d[None, :]
    b_ = B + first * b_t + head * b_h + d[None, :]
    c_ = C + first * c_t + head * c_h + columns[None, :]
    out_ = OUT + (first * H + head) * D + columns[None, :]
    resets_ = RESETS + first
    lag = t_[None, :] - t_[:, None] if REVERSED else t_[:, None] - t_[None, :]
    decay = tl.where(lag >= 0, tl.exp2(-slope * tl.maximum(lag, 0).to(tl.float32)), 0.0)
    from_start = tl.exp2(-slope * (t_ + 1).to(tl.float32))
    count = tl.cdiv(length, BT)
    for step in range(0, count):
        start = (count - 1 - step) * BT if REVERSED else step * BT
        n = tl.minimum(BT, length - start)
        there = t_ < n
        row = start + t_
        age = tl.load(resets_ + row, mask=there, other=0)
        open_age = tl.load(resets_ + start + n - 1)
        a = tl.load(a_ + row[:, None] * a_t, mask=there[:, None], other=0.0)
        b = tl.load(b_ + row[:, None] * b_t, mask=there[:, None], other=0.0)
        c = tl.load(c_ + row[:, None] * c_t, mask=there[:, None], other=0.0)
        if UPCAST:
            a, b, c = a.to(tl.float32), b.to(tl.float32), c.to(tl.float32)
        left = n - 1 - t_
        continued = tl.where(there & (age > t_), from_start, 0.0)
        still_open = tl.where(there & (left <= open_age), tl.exp2(-slope * tl.maximum(left, 0).to(tl.float32)), 0.0)
        keep = tl.where(open_age > n - 1, tl.exp2(-slope * n.to(tl.float32)), 0.0)
        if REVERSED:
            enter, update, same = still_open, continued, lag <= age[None, :]
        else:
            enter, update, same = continued, still_open, lag <= age[:, None]
        scores = tl.where(same, tl.dot(a, tl.trans(b), input_precision="ieee") * decay, 0.0)
        out = tl.dot(a, state.to(a.dtype), input_precision="ieee") * enter[:, None]
        out += tl.dot(scores.to(c.dtype), c, input_precision="ieee")
        state = state * keep + tl.dot(tl.trans(b), (c * update[:, None]).to(c.dtype), input_precision="ieee")
        tl.store(out_ + row[:, None] * (H * D), out.to(OUT.dtype.element_ty), mask=there[:, None])


def forward(
    q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, resets: Tensor, entry: Tile | None = None, seg: int | None = None
) -> tuple[Tensor, Tensor]:
    """q, k, v [T, H, D] → o [T, H, D] and the states in front of each segment, float32 [segments, H, D, D]."""
    entry, seg = _checked(q, slopes, entry, seg)
    q, k, v = _rows(q), _rows(k), _rows(v)
    states = _states(k, v, resets, slopes, entry, seg, reverse=False)
    return _mixed(q, k, v, resets, states, slopes, entry, seg, reverse=False, transposed=False), states


def backward(
    q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, resets: Tensor, states: Tensor, do: Tensor,
    entry: Tile | None = None, seg: int | None = None,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of q, k, v, contiguous [T, H, D]; `states`, `entry` and `seg` as `forward` had them."""
    entry, seg = _checked(q, slopes, entry, seg)
    q, k, v, do = _rows(q), _rows(k), _rows(v), _rows(do)
    dq = _mixed(do, v, k, resets, states, slopes, entry, seg, reverse=False, transposed=True)
    behind = _states(q, do, resets, slopes, entry, seg, reverse=True)
    dv = _mixed(k, q, do, resets, behind, slopes, entry, seg, reverse=True, transposed=False)
    dk = _mixed(v, do, q, resets, behind, slopes, entry, seg, reverse=True, transposed=True)
    return dq, dk, dv


def _checked(q: Tensor, slopes: Tensor, entry: Tile | None, seg: int | None) -> tuple[Tile, int]:
    if q.dtype not in (torch.bfloat16, torch.float16, torch.float32) or slopes.dtype != torch.float32:
        raise TypeError(
            f"the Triton kernels take bfloat16, float16 or float32 with float32 slopes, not {q.dtype} with "
            f"{slopes.dtype}; backend='torch' computes in float64"
        )
    if not q.is_cuda and not interpreted():
        raise RuntimeError(
            "the Triton kernels need a CUDA device; on a CPU leave backend at 'auto', or set TRITON_INTERPRET=1 before "
            "the first import of proxy_model to run them under Triton's interpreter"
        )
    if entry is None:
        major, minor = torch.cuda.get_device_capability(q.device) if q.is_cuda else divmod(INTERPRETED_CAPABILITY, 10)
        entry = tile(q.shape[2], 10 * major + minor)
    seg = segment_length(*q.shape) if seg is None else seg
    if seg % entry.rows:
        raise ValueError(f"a segment of {seg} tokens is not a multiple of the tile of {entry.rows}")
    return entry, seg


def interpreted() -> bool:
    """Whether the kernels were imported under TRITON_INTERPRET=1: they then run on a CPU, and cannot be compiled."""
    return not isinstance(_mix, triton.runtime.JITFunction)


def _rows(x: Tensor) -> Tensor:
    # pointers are 64-bit in front of a segment, 32-bit inside it
    return x if x.stride(-1) == 1 and x.stride(0) * SEGMENTS[0] < 2**31 else x.contiguous()


def _common(x: Tensor) -> dict[str, Any]:
    # bf16 arithmetic in the interpreter is wrong (it multiplies bit patterns): it computes in float32
    return {"H": x.shape[1], "D": x.shape[2], "UPCAST": x.dtype == torch.bfloat16 and not x.is_cuda}


def _device(x: Tensor) -> contextlib.AbstractContextManager[Any]:
    return torch.cuda.device(x.device) if x.is_cuda else contextlib.nullcontext()


def _states(b: Tensor, c: Tensor, resets: Tensor, slopes: Tensor, entry: Tile, seg: int, reverse: bool) -> Tensor:
    tokens, heads, dim = b.shape
    count = triton.cdiv(tokens, seg)
    if count <= 1:
        return b.new_zeros(count, heads, dim, dim, dtype=torch.float32)
    states = b.new_empty(count, heads, dim, dim, dtype=torch.float32)
    with _device(b):
        _state[dim // entry.state_columns, count, heads](
            b, c, resets, states, slopes, tokens, seg, b.stride(0), b.stride(1), c.stride(0), c.stride(1),
            BT=entry.rows, BC=entry.state_columns, REVERSED=reverse, **_common(b),
            num_warps=entry.state_warps, num_stages=entry.state_stages, enable_fp_fusion=True,
        )  # fmt: skip
        _scan[dim * dim // SCAN_BLOCK, heads](
            states, resets, slopes, tokens, seg, count, H=heads, DD=dim * dim, BLOCK=SCAN_BLOCK, REVERSED=reverse,
            num_warps=SCAN_BLOCK // 64, enable_fp_fusion=True,
        )  # fmt: skip
    return states


def _mixed(
    a: Tensor, b: Tensor, c: Tensor, resets: Tensor, states: Tensor, slopes: Tensor, entry: Tile, seg: int,
    reverse: bool, transposed: bool,
) -> Tensor:  # fmt: skip
    tokens, heads, dim = a.shape
    out = a.new_empty(tokens, heads, dim)
    if out.numel():
        with _device(a):
            _mix[dim // entry.columns, triton.cdiv(tokens, seg), heads](
                a, b, c, out, resets, states, slopes, tokens, seg,
                a.stride(0), a.stride(1), b.stride(0), b.stride(1), c.stride(0), c.stride(1),
                BT=entry.rows, BC=entry.columns, REVERSED=reverse, TRANSPOSED=transposed, **_common(a),
                num_warps=entry.warps, num_stages=entry.stages, enable_fp_fusion=True,
            )  # fmt: skip
    return out
