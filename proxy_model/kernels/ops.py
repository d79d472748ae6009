"""`lightning_attention`: one differentiable operator over packed rows, and who computes it.

`auto`: Triton on CUDA, the tiled torch code on a CPU.  `triton` on a CPU runs the kernels under Triton's interpreter
(TRITON_INTERPRET=1 before the import; for tests: hundreds of times slower).  `fla` calls flash-linear-attention on
CUDA, for comparison.  Both passes are custom operators with fakes, so `torch.compile(fullgraph=True)` sees one node.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

import proxy_model.kernels.chunked as chunked
import proxy_model.kernels.fla as fla

BACKENDS = ("auto", "torch", "triton", "fla")


def lightning_attention(
    q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, resets: Tensor, backend: str = "auto"
) -> Tensor:
    """o[i] = Σ_{j ≤ i, same segment} exp(-slope·(i-j)) (q[i]·k[j]) v[j]; no scale.  MiniMax-01, section 2.2.

    q, k, v: [T, H, D] of one dtype, any strides (views of a fused projection are read in place on CUDA).  slopes:
    float32 [H] (float64 too on the torch path); no gradient.  resets: int32 [T], index of the token inside its segment,
    0 at each start.  Returns [T, H, D] in q's dtype.  Differentiable once: the gradient of a gradient is an error.
    Head dimensions: powers of two from 16 to 256 in Triton (kernels/table.py), any on the torch path.
    """
    _check(q, k, v, slopes, resets, backend)
    if backend == "fla":
        return fla.lightning_attention(q, k, v, slopes, resets)
    out, _ = _forward(q, k, v, slopes, resets, backend)
    return cast(Tensor, out)


def _check(q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, resets: Tensor, backend: str) -> None:
    if backend not in BACKENDS:
        raise ValueError(f"lightning_attention: backend {backend!r} is none of {', '.join(BACKENDS)}")
    if q.ndim != 3 or q.shape != k.shape or q.shape != v.shape or not q.dtype == k.dtype == v.dtype:
        given = ", ".join(f"{n} {list(x.shape)} {x.dtype}" for n, x in (("q", q), ("k", k), ("v", v)))
        raise ValueError(f"lightning_attention: q, k, v must be [T, H, D] of one dtype: {given}")
    if not q.is_floating_point():
        raise TypeError(f"lightning_attention: floating point only, not {q.dtype}")
    if slopes.dtype not in (torch.float32, torch.float64) or slopes.shape != q.shape[1:2]:
        raise ValueError(
            f"lightning_attention: slopes must be float32 [{q.shape[1]}], not {slopes.dtype} {list(slopes.shape)}; "
            "a slope in bfloat16 decays wrongly: keep them out of .to(dtype), compute them by lightning_slopes"
        )
    if not q.device == k.device == v.device == slopes.device == resets.device:
        raise ValueError(
            f"lightning_attention: q is on {q.device}, k {k.device}, v {v.device}, slopes {slopes.device}, "
            f"resets {resets.device}: put them on one device"
        )
    if resets.dtype != torch.int32 or resets.shape != q.shape[:1]:
        raise ValueError(f"lightning_attention: resets must be int32 [{q.shape[0]}], not {resets.dtype} {resets.shape}")


def _uses_triton(q: Tensor, backend: str) -> bool:
    return backend == "triton" or (backend == "auto" and q.device.type == "cuda")


@torch.library.custom_op("proxy_model::lightning_forward", mutates_args=())
def _forward(q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, resets: Tensor, backend: str) -> tuple[Tensor, Tensor]:
    if _uses_triton(q, backend):
        import proxy_model.kernels.lightning as lightning

        return lightning.forward(q, k, v, slopes, resets)
    return chunked.forward(q, k, v, slopes, resets)


@_forward.register_fake
def _(q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, resets: Tensor, backend: str) -> tuple[Tensor, Tensor]:
    tokens, heads, dim = q.shape
    if _uses_triton(q, backend):
        import proxy_model.kernels.table as table

        states = table.segments(tokens, heads, dim)
    else:
        states = chunked.tiles(tokens, dim)
    dtype = torch.float64 if q.dtype == torch.float64 else torch.float32
    return q.new_empty(q.shape), q.new_empty((states, heads, dim, dim), dtype=dtype)


@torch.library.custom_op("proxy_model::lightning_backward", mutates_args=())
def _backward(
    q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, resets: Tensor, states: Tensor, do: Tensor, backend: str
) -> tuple[Tensor, Tensor, Tensor]:
    if _uses_triton(q, backend):
        import proxy_model.kernels.lightning as lightning

        return lightning.backward(q, k, v, slopes, resets, states, do)
    return chunked.backward(q, k, v, slopes, resets, states, do)


@_backward.register_fake
def _(
    q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, resets: Tensor, states: Tensor, do: Tensor, backend: str
) -> tuple[Tensor, Tensor, Tensor]:
    return q.new_empty(q.shape), k.new_empty(k.shape), v.new_empty(v.shape)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.backend = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(*tensors, output[1])


def _gradient(ctx: Any, do: Tensor, _states: Tensor) -> tuple[Tensor | None, ...]:
    q, k, v, slopes, resets, states = ctx.saved_tensors
    dq, dk, dv = _backward(q, k, v, slopes, resets, states, do, ctx.backend)
    return dq, dk, dv, None, None, None


def _no_second_gradient(ctx: Any, *_grads: Tensor) -> None:
    raise NotImplementedError("lightning_attention has no second derivative: call backward without create_graph=True")


_forward.register_autograd(_gradient, setup_context=_save)
_backward.register_autograd(_no_second_gradient)
