"""The ladder of models, and what each costs: presets, numbers of parameters, floating-point operations.

`architecture.py` holds the record itself; its names are here too, so that one import serves.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

from proxy_model.architecture import Factors, ModelConfig, ModelConfigError, from_json, hybrid, model_config

__all__ = [
    "PRESETS",
    "Factors",
    "Flops",
    "ModelConfig",
    "ModelConfigError",
    "Params",
    "flops",
    "from_json",
    "hybrid",
    "model_config",
    "params",
    "preset",
]

CHUNK = 64  # tokens a tile of lightning attention: what stays memory-bound (reference, proxy model §1.1)

# width, layers, heads, head_dim, experts, expert_width, vocab_size: reference, proxy model §6 "Ladder";
# pico is our own, sized for one CPU thread
_LADDER = {
    "pico": (64, 2, 2, 32, 4, 128, 4096),
    "nano": (256, 8, 4, 64, 8, 384, 32_768),
    "xs": (384, 8, 6, 64, 16, 512, 32_768),
    "s": (640, 8, 5, 128, 16, 896, 32_768),
    "m": (1024, 16, 8, 128, 16, 1280, 65_536),
    "l": (1536, 24, 12, 128, 32, 1536, 65_536),
    "paper": (2048, 24, 16, 128, 32, 2048, 200_064),
}
_COLUMNS = ("width", "layers", "heads", "head_dim", "experts", "expert_width", "vocab_size")


def preset(name: str, **overrides: Any) -> ModelConfig:
    """A preset with some keys changed; kv_heads, rotary_dim and pattern follow unless given.

    Raises ModelConfigError for an unknown preset or key.
    """
    if name not in _LADDER:
        near = difflib.get_close_matches(name, _LADDER, n=1)
        remedy = f"did you mean {near[0]}?" if near else f"known presets: {', '.join(_LADDER)}"
        raise ModelConfigError(f"there is no preset {name!r}", remedy)
    values = {**dict(zip(_COLUMNS, _LADDER[name], strict=True)), "experts_per_token": 2, **overrides}
    if name == "pico" and isinstance(values["layers"], int):  # too few layers for 7:1
        values.setdefault("pattern", hybrid(values["layers"], period=2))
    return model_config(**values)


PRESETS: dict[str, ModelConfig] = {name: preset(name) for name in _LADDER}


@dataclass(frozen=True)
class Params:
    """Numbers of parameters; `total` and `active` leave out `embedding` (embedding, and head when not tied)."""

    total: int
    active: int  # those that one token meets
    embedding: int


@dataclass(frozen=True)
class Flops:
    """Floating-point operations a token, head included; a multiplication and an addition are two."""

    forward: float
    backward: float

    @property
    def total(self) -> float:
        return self.forward + self.backward


def params(config: ModelConfig) -> Params:
    """Counted by formula; equals the numbers of elements of ProxyLM's parameters (tested)."""
    c = config
    inner, shared = c.heads * c.head_dim, 0
    for mixer in c.pattern:
        shared += 2 * c.width  # two norms
        if mixer == "lightning":
            shared += 5 * c.width * inner + inner  # q, k, v, gate, out; norm of the concatenated heads
        else:
            shared += 2 * c.width * inner + 2 * c.width * c.kv_heads * c.head_dim
    shared += c.width  # final norm
    matrices = 1 if c.tied else 2
    embedding = matrices * c.rows * c.width
    if c.dense_width is not None:
        dense = shared + c.layers * 3 * c.width * c.dense_width
        return Params(dense, dense, embedding)
    router, expert = c.experts * c.width, 3 * c.width * c.expert_width
    return Params(
        total=shared + c.layers * (router + c.experts * expert),
        active=shared + c.layers * (router + c.experts_per_token * expert),
        embedding=embedding,
    )


def flops(config: ModelConfig, length: float) -> Flops:
    """A token's FLOPs in documents of `length` tokens; backward is twice the matrix products of forward.

    Lightning attention: 4·D·(C + D) a head forward, 10·D·(C + D) backward, tiles of C = 64 tokens (reference §1.1);
    softmax: causal, 2·length·D a head forward, 2.5 times that backward (the score matrix is computed again).
    """
    c = config
    matrices = params(c).active - (2 * c.layers + 1) * c.width + c.rows * c.width
    lightning = c.pattern.count("lightning")
    matrices -= lightning * c.heads * c.head_dim  # norms are no matrices
    state = lightning * c.heads * c.head_dim * (CHUNK + c.head_dim)
    scores = (c.layers - lightning) * c.heads * c.head_dim * length
    return Flops(forward=2 * matrices + 4 * state + 2 * scores, backward=4 * matrices + 10 * state + 5 * scores)
