"""torch's attention over packed rows, in the spellings of the releases that have it (CUDA, half precision only).

2.10          varlen_attn(q, k, v, cu_seq_q, cu_seq_k, max_q, max_k, is_causal=False, return_aux=None)
2.11          varlen_attn(q, k, v, cu_seq_q, cu_seq_k, max_q, max_k, *, return_aux, scale, window_size=(-1, -1))
2.12, 2.13    the same with enable_gqa=False, seqused_k, block_table, num_splits

Causal is `window_size=(-1, 0)` from 2.11.  Before 2.12 keys have to have as many heads as queries: they are repeated.
"""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

HALF = (torch.bfloat16, torch.float16)


@lru_cache(maxsize=1)
def _parameters() -> frozenset[str]:
    from torch.nn.attention.varlen import varlen_attn

    return frozenset(inspect.signature(varlen_attn).parameters)


def varlen_attention(q: Tensor, k: Tensor, v: Tensor, cu_seqlens: Tensor, max_seqlen: int) -> Tensor:
    """q [T, H, D], k and v [T, K, D] → [T, H, D]: causal attention inside each segment; empty segments are allowed."""
    from torch.nn.attention.varlen import varlen_attn

    known = _parameters()
    grouped = k.shape[1] != q.shape[1]
    if grouped and "enable_gqa" not in known:
        repeats = q.shape[1] // k.shape[1]
        k, v, grouped = k.repeat_interleave(repeats, 1), v.repeat_interleave(repeats, 1), False
    options: dict[str, Any] = {"window_size": (-1, 0)} if "window_size" in known else {"is_causal": True}
    if grouped:
        options["enable_gqa"] = True
    # a pair comes only where return_aux is asked for
    return varlen_attn(q, k, v, cu_seqlens, cu_seqlens, max_seqlen, max_seqlen, **options)  # type: ignore[return-value]
