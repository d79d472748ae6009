"""The same attention by flash-linear-attention (`pip install fla-core`), on CUDA: a comparison, not a dependency.

`fla.ops.lightning_attn` has TransNormer's linear decay; MiniMax's geometric slopes are `chunk_simple_gla` with
g_gamma = -slope and scale = 1 (its default scale is D^-1/2).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor


def lightning_attention(q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, resets: Tensor) -> Tensor:
    """As `ops.lightning_attention`; waits for the device once, to count the segments."""
    if not q.is_cuda:
        raise RuntimeError("backend 'fla' needs a CUDA device (its kernels do not run under Triton's interpreter)")
    try:
        from fla.ops.simple_gla import chunk_simple_gla  # type: ignore[import-not-found]
    except ImportError as error:
        raise RuntimeError("backend 'fla' needs flash-linear-attention: pip install fla-core") from error
    starts = torch.nonzero(resets == 0).flatten().to(torch.int64)
    bounds = torch.cat([starts, starts.new_tensor([resets.numel()])])
    out, _ = chunk_simple_gla(q[None], k[None], v[None], g_gamma=-slopes, scale=1.0, cu_seqlens=bounds)
    return cast(Tensor, out[0])
