"""Initial weights: each parameter is a pure function of the seed, its name and its shape.

So neither the order of construction nor how parameters are spread over processes changes a model.  DeepNorm (Wang et
al. 2022): Xavier-normal, times (8N)^-¼ where a matrix feeds the residual stream; MiniMax-01 uses the same.  Lightning's
value projection is left out: the norm after it cancels its scale.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from proxy_model.architecture import ModelConfig

STD = 0.02  # embedding, head and router, as MiniMax's initializer_range
RESIDUAL = ("mixer.v.weight", "mixer.out.weight", "feed_forward.gate_up", "feed_forward.down")


def initial_value(name: str, shape: Sequence[int], config: ModelConfig, seed: int) -> Tensor:
    """float32 on the CPU: the whole parameter `name` of ProxyLM(config, seed)."""
    if len(shape) == 1:
        return torch.zeros(shape) if name.endswith("bias") else torch.ones(shape)
    generator = torch.Generator().manual_seed(_seed(name, seed))
    return torch.empty(tuple(shape)).normal_(0.0, _std(name, shape, config), generator=generator)


@torch.no_grad()
def initialise(model: nn.Module, config: ModelConfig, seed: int) -> None:
    """Fill all parameters of a ProxyLM; rows past the vocabulary are zero."""
    for name, parameter in model.named_parameters():
        value = initial_value(name, parameter.shape, config, seed)
        if name in ("embed.weight", "head.weight"):
            value[config.vocab_size :] = 0
        parameter.copy_(value)


def _seed(name: str, seed: int) -> int:
    """63 bits: what torch.Generator takes on every platform."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest(), "big") >> 1


def _std(name: str, shape: Sequence[int], config: ModelConfig) -> float:
    if name in ("embed.weight", "head.weight") or name.endswith("feed_forward.gate.weight"):
        return STD
    rows, columns = shape[-2], shape[-1]
    if "feed_forward.gate_up" in name:
        rows //= 2  # gate and up are two matrices
    elif name.endswith("mixer.qkv.weight"):
        rows //= 3
    std = math.sqrt(2.0 / (rows + columns))
    inside = name.split(".", 2)[-1]
    if not inside.startswith(RESIDUAL):
        return std
    if config.norm == "deepnorm":
        return std / math.sqrt(math.sqrt(8 * config.layers))
    narrow = "mixer.out" in inside or "feed_forward.down" in inside
    return std / math.sqrt(2 * config.layers) if narrow else std
