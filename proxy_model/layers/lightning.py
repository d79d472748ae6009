"""Lightning attention block: SiLU(qkv), no scale, no RoPE, norm over the concatenated heads, sigmoid gate.

MiniMax-01 §2.2.1 as transformers has it (reference, proxy model §7): the projection holds q, k and v head by head.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from proxy_model.architecture import ModelConfig
from proxy_model.kernels import lightning_attention, lightning_slopes
from proxy_model.layers.context import Context
from proxy_model.layers.norm import RMSNorm

NORM_EPS = 1e-6  # of the norm inside; fixed in transformers, whatever rms_norm_eps says


class LightningAttention(nn.Module):
    """x [T, d] → [T, d]; the state begins anew wherever `context.resets` is 0."""

    slopes: Tensor

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.heads, self.head_dim = config.heads, config.head_dim
        self.layer, self.layers = layer, config.layers
        inner = config.heads * config.head_dim
        self.qkv = nn.Linear(config.width, 3 * inner, bias=False)
        self.gate = nn.Linear(config.width, inner, bias=False)
        self.out = nn.Linear(inner, config.width, bias=False)
        self.norm = RMSNorm(inner, NORM_EPS)
        self.register_buffer("slopes", self._slopes(), persistent=False)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        qkv = F.silu(self.qkv(x)).view(-1, self.heads, 3 * self.head_dim)
        q, k, v = torch.split(qkv, self.head_dim, dim=-1)
        o = lightning_attention(q, k, v, self.slopes, context.resets).flatten(1)
        return self.out(torch.sigmoid(self.gate(x)) * self.norm(o))  # type: ignore[no-any-return]

    def _slopes(self) -> Tensor:
        return lightning_slopes(self.heads, self.layer, self.layers)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> LightningAttention:
        """Slopes follow the device but keep float32: rounded to bfloat16, decay is wrong by 28 % over 2,048 tokens."""
        moved: Any = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        device = self.slopes.device
        self.slopes = self.slopes.float() if device.type == "meta" else self._slopes().to(device)
        return moved  # type: ignore[no-any-return]
