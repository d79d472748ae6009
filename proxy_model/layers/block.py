"""One layer: attention, then experts (or a dense feed-forward), each with its norm and residual.

DeepNorm as MiniMax has it normalises first and carries the *normalised* h on: h = norm(x), x' = alpha·h + beta·f(h)
(reference, proxy model §7).  PreNorm carries x: x' = x + f(norm(x)).
"""

from __future__ import annotations

from torch import Tensor, nn

from proxy_model.architecture import ModelConfig
from proxy_model.layers.context import Context
from proxy_model.layers.feed_forward import FeedForward
from proxy_model.layers.lightning import LightningAttention
from proxy_model.layers.norm import RMSNorm
from proxy_model.layers.softmax import SoftmaxAttention
from proxy_model.moe import MoE, Routing


class Block(nn.Module):
    """x [T, d] → x' [T, d], and how the experts were used (None for a dense feed-forward)."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        lightning = config.pattern[layer] == "lightning"
        residual = config.residual
        self.mixer_norm = RMSNorm(config.width, config.norm_eps)
        self.mixer = LightningAttention(config, layer) if lightning else SoftmaxAttention(config)
        self.feed_forward_norm = RMSNorm(config.width, config.norm_eps)
        self.feed_forward = MoE(config) if config.dense_width is None else FeedForward(config.width, config.dense_width)
        self.carries_normalised = config.norm == "deepnorm"
        if lightning:
            self.mixer_factors = residual.lightning_alpha, residual.lightning_beta
        else:
            self.mixer_factors = residual.softmax_alpha, residual.softmax_beta
        self.feed_forward_factors = residual.feed_forward_alpha, residual.feed_forward_beta

    def forward(self, x: Tensor, context: Context) -> tuple[Tensor, Routing | None]:
        h = self.mixer_norm(x)
        x = self._joined(x, h, self.mixer(h, context), *self.mixer_factors)
        h = self.feed_forward_norm(x)
        y, routing = self.feed_forward(h, context.real)
        return self._joined(x, h, y, *self.feed_forward_factors), routing

    def _joined(self, x: Tensor, h: Tensor, y: Tensor, alpha: float, beta: float) -> Tensor:
        carried = h if self.carries_normalised else x
        return carried * alpha + (y if beta == 1.0 else y * beta)
