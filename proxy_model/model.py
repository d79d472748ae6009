"""The proxy model: embedding, blocks, final norm, head.

Reads packed rows (`packed.py`), in which no segment sees another.  Documents meet nowhere but in the experts' capacity,
when a config asks for one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from proxy_model.architecture import ModelConfig
from proxy_model.initial import initialise
from proxy_model.layers.block import Block
from proxy_model.layers.context import Context
from proxy_model.layers.groups import plan
from proxy_model.layers.norm import RMSNorm
from proxy_model.layers.rope import angles
from proxy_model.layers.varlen import HALF
from proxy_model.packed import Packed

if TYPE_CHECKING:
    from proxy_model.moe import Routing


@dataclass(frozen=True)
class Output:
    """What the blocks made of a batch."""

    hidden: Tensor  # [T, d] after the final norm
    routing: list[Routing]  # one a layer with experts


class ProxyLM(nn.Module):
    """A causal language model; weights follow from `seed` (see `initial.py`).

    `checkpointing`: blocks are computed again in the backward pass instead of being kept.  Under
    `torch.device("meta")` no weight is made; `to_empty` and `initialise(model, config, seed)` make them later.
    """

    def __init__(self, config: ModelConfig, seed: int = 0, *, checkpointing: bool = False) -> None:
        super().__init__()
        self.config = config
        self.checkpointing = checkpointing
        self.embed = nn.Embedding(config.rows, config.width)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        self.norm = RMSNorm(config.width, config.norm_eps)
        self.head = None if config.tied else nn.Linear(config.width, config.rows, bias=False)
        if not self.embed.weight.is_meta:
            initialise(self, config, seed)

    @property
    def head_weight(self) -> Tensor:
        """[rows, d]: what `loss.token_nats` multiplies hidden states with."""
        return self.embed.weight if self.head is None else self.head.weight

    def forward(self, packed: Packed) -> Output:
        x = self.embed(packed.tokens)
        context = self.context(packed)
        routing: list[Routing] = []
        for block in self.blocks:
            if self.checkpointing and torch.is_grad_enabled():
                x, used = checkpoint(block, x, context, use_reentrant=False)
            else:
                x, used = block(x, context)
            if used is not None:
                routing.append(used)
        return Output(self.norm(x), routing)

    def logits(self, hidden: Tensor) -> Tensor:
        """hidden [T, d] → [T, rows]; -inf for rows that are no token."""
        logits = F.linear(hidden, self.head_weight)
        return logits.masked_fill_(
            torch.arange(logits.shape[-1], device=logits.device) >= self.config.vocab_size, -torch.inf
        )

    def context(self, packed: Packed) -> Context:
        """Angles, and groups of documents where softmax layers will need them."""
        config, weight = self.config, self.embed.weight
        cos, sin = angles(packed.positions, config.rotary_dim, config.rope_base, weight.dtype)
        half = weight.dtype in HALF or torch.is_autocast_enabled(weight.device.type)
        grouped = "softmax" in config.pattern and not (packed.tokens.is_cuda and half)
        groups = plan(packed.cu_seqlens, config.heads * config.head_dim) if grouped else None
        return Context(
            resets=packed.resets,
            segment_ids=packed.segment_ids,
            cu_seqlens=packed.cu_seqlens,
            max_seqlen=packed.max_seqlen,
            cos=cos,
            sin=sin,
            real=packed.real,
            groups=groups,
        )
