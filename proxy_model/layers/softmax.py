"""Softmax attention with grouped keys and RoPE on part of the head: MiniMax-01's every eighth layer (reference §3, §4).

Half precision on CUDA: torch's varlen attention.  Elsewhere documents of similar length together (`layers.groups`).
While torch.compile traces without CUDA: one dense mask, T² in size but free of host values.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from proxy_model.architecture import ModelConfig
from proxy_model.layers.context import Context
from proxy_model.layers.groups import grouped_attention
from proxy_model.layers.rope import rotate
from proxy_model.layers.varlen import HALF, varlen_attention


class SoftmaxAttention(nn.Module):
    """x [T, d] → [T, d]; scores are scaled by head_dim^-½."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        inner, keys = config.heads * config.head_dim, config.kv_heads * config.head_dim
        self.q = nn.Linear(config.width, inner, bias=False)
        self.k = nn.Linear(config.width, keys, bias=False)
        self.v = nn.Linear(config.width, keys, bias=False)
        self.out = nn.Linear(inner, config.width, bias=False)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        q, k, v = (layer(x).unflatten(-1, (-1, self.head_dim)) for layer in (self.q, self.k, self.v))
        q, k = rotate(q, context.cos, context.sin), rotate(k, context.cos, context.sin)
        return self.out(attention(q, k, v, context).flatten(1))  # type: ignore[no-any-return]


def attention(q: Tensor, k: Tensor, v: Tensor, context: Context) -> Tensor:
    """q [T, H, D], k and v [T, K, D] → [T, H, D], by what device, dtype and context allow."""
    if q.is_cuda and q.dtype in HALF:
        return varlen_attention(q, k, v, context.cu_seqlens, context.max_seqlen)
    if context.groups is None or torch.compiler.is_compiling():
        return masked_attention(q, k, v, context.segment_ids)
    return grouped_attention(q, k, v, context.groups)


def masked_attention(q: Tensor, k: Tensor, v: Tensor, segment_ids: Tensor) -> Tensor:
    """The same through one dense mask: a token sees those of its segment up to itself."""
    order = torch.arange(len(segment_ids), device=segment_ids.device)
    mask = (segment_ids[:, None] == segment_ids[None]) & (order[:, None] >= order[None])
    q, k, v = (x.transpose(0, 1)[None] for x in (q, k, v))
    grouped = q.shape[1] != k.shape[1]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=grouped)[0].transpose(0, 1)
