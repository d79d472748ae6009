"""What a model is: one frozen record, checked once, and its JSON.

Architecture of MiniMax-01 (reference, paper §3): seven layers of lightning attention to one of softmax attention, each
followed by a mixture of experts.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, Literal, get_args

from curation.pipeline.errors import UsageError

Mixer = Literal["lightning", "softmax"]
Norm = Literal["deepnorm", "prenorm"]
Aux = Literal["switch", "gshard"]

ROW_ALIGN = 64  # embedding rows are a multiple (CONTRACTS, Mix table → packing → training)
KV_GROUP = 8  # query heads that share one key head (MiniMax-01: 64 heads, 8 key heads)
PERIOD = 8  # one softmax layer in eight


class ModelConfigError(UsageError):
    """A model that cannot be built, or a description of one that cannot be read."""


@dataclass(frozen=True)
class Factors:
    """Residual factors x' = alpha·h + beta·f(h), where a checkpoint brings its own instead of DeepNorm's."""

    lightning_alpha: float
    lightning_beta: float
    softmax_alpha: float
    softmax_beta: float
    feed_forward_alpha: float
    feed_forward_beta: float


@dataclass(frozen=True)
class ModelConfig:
    """Sizes and choices of one model.  Raises ModelConfigError at construction when they do not fit together."""

    vocab_size: int  # token ids that exist, special tokens included
    width: int  # d
    layers: int
    heads: int
    head_dim: int
    kv_heads: int  # of softmax layers; divides heads
    rotary_dim: int  # dimensions of a head that RoPE rotates; half of head_dim by default
    experts: int
    experts_per_token: int
    expert_width: int
    pattern: tuple[Mixer, ...]  # one a layer
    rope_base: float = 10_000.0
    norm: Norm = "deepnorm"
    norm_eps: float = 1e-5
    factors: Factors | None = None  # None: DeepNorm's alpha = (2·layers)^¼, beta = 1; not for prenorm
    tied: bool = False  # one matrix for embedding and head
    capacity_factor: float | None = None  # None: no token is dropped
    aux: Aux = "gshard"
    aux_weight: float = 0.01
    z_weight: float = 1e-3
    bias_rate: float = 0.0  # step of the loss-free balancing bias; 0: none
    dense_width: int | None = None  # a dense SwiGLU of this width instead of experts, for comparison

    def __post_init__(self) -> None:
        _check(self)

    @property
    def rows(self) -> int:
        """Rows of embedding and head: the next multiple of 64 above vocab_size."""
        return -(-self.vocab_size // ROW_ALIGN) * ROW_ALIGN

    @property
    def residual(self) -> Factors:
        """The factors in use."""
        if self.factors is not None:
            return self.factors
        alpha = (2 * self.layers) ** 0.25 if self.norm == "deepnorm" else 1.0
        return Factors(alpha, 1.0, alpha, 1.0, alpha, 1.0)

    def to_json(self) -> dict[str, Any]:
        """Only JSON types; `from_json` gives an equal config."""
        return {**asdict(self), "pattern": list(self.pattern)}


def hybrid(layers: int, period: int = PERIOD) -> tuple[Mixer, ...]:
    """One softmax layer at the end of every `period` layers, lightning elsewhere; period 1 is all softmax."""
    return tuple("softmax" if (layer + 1) % period == 0 else "lightning" for layer in range(layers))


def model_config(**values: Any) -> ModelConfig:
    """A config with what follows from the rest filled in: kv_heads, rotary_dim and pattern.

    kv_heads: the fewest that let at most KV_GROUP query heads share one.  Raises ModelConfigError for unknown or
    missing keys.
    """
    _known(values, ModelConfig)
    complete = dict(values)
    if "heads" in values:
        heads = values["heads"]
        groups = [g for g in range(1, KV_GROUP + 1) if isinstance(heads, int) and heads > 0 and heads % g == 0]
        complete.setdefault("kv_heads", heads // max(groups) if groups else heads)
    for name in ("layers", "head_dim"):  # others follow from them
        if name in values:
            _whole(name, values[name])
    if "head_dim" in values:
        complete.setdefault("rotary_dim", values["head_dim"] // 2)
    if "layers" in values:
        complete.setdefault("pattern", hybrid(values["layers"]))
    missing = [f.name for f in fields(ModelConfig) if f.default is MISSING and f.name not in complete]
    if missing:
        raise ModelConfigError(f"the model lacks {', '.join(missing)}", "give them, or start from a preset")
    if not isinstance(complete["pattern"], Sequence) or isinstance(complete["pattern"], str):
        raise ModelConfigError(f"pattern is {complete['pattern']!r}", "give a list with lightning or softmax a layer")
    complete["pattern"] = tuple(complete["pattern"])
    if complete.get("factors") is not None and not isinstance(complete["factors"], Factors):
        if not isinstance(complete["factors"], Mapping):
            raise ModelConfigError(f"factors is {complete['factors']!r}", "give all six factors by name")
        _known(complete["factors"], Factors)
        try:
            complete["factors"] = Factors(**complete["factors"])
        except TypeError as error:
            raise ModelConfigError(f"factors: {error}", "give all six factors") from None
    return ModelConfig(**complete)


def from_json(values: Mapping[str, Any]) -> ModelConfig:
    """The config that `to_json` wrote.  Raises ModelConfigError for unknown or missing keys."""
    return model_config(**values)


def _known(values: Mapping[str, Any], record: type) -> None:
    names = [field.name for field in fields(record)]
    for key in values:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(names)}"
            raise ModelConfigError(f"{key!r} is no key of a model", remedy)


def _whole(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < 2**31:
        raise ModelConfigError(f"{name} is {value!r:.80}", "give a whole number of at least 1 (below 2^31)")


def _real(name: str, value: object) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ModelConfigError(f"{name} is {value!r:.80}", "give a number (YAML reads 1e-5 as text: write 1.0e-5)")


def _check(c: ModelConfig) -> None:
    sizes = ("vocab_size", "width", "layers", "heads", "head_dim", "kv_heads", "experts", "experts_per_token")
    for name in (*sizes, "expert_width"):
        _whole(name, getattr(c, name))
    if c.dense_width is not None:
        _whole("dense_width", c.dense_width)
    for name in ("rope_base", "norm_eps", "aux_weight", "z_weight", "bias_rate"):
        _real(name, getattr(c, name))
    if c.capacity_factor is not None:
        _real("capacity_factor", c.capacity_factor)
    if c.factors is not None:
        for name, value in asdict(c.factors).items():
            _real(name, value)
    if not isinstance(c.tied, bool):
        raise ModelConfigError(f"tied is {c.tied!r:.80}", "say true or false")
    demands = [
        (c.heads % c.kv_heads == 0, f"kv_heads {c.kv_heads} does not divide heads {c.heads}"),
        (c.head_dim % 2 == 0, f"head_dim {c.head_dim} is odd; RoPE rotates pairs"),
        (
            isinstance(c.rotary_dim, int) and 0 < c.rotary_dim <= c.head_dim and c.rotary_dim % 2 == 0,
            f"rotary_dim {c.rotary_dim} is not an even number up to head_dim {c.head_dim}",
        ),
        (
            len(c.pattern) == c.layers and all(m in get_args(Mixer) for m in c.pattern),
            f"pattern has to name lightning or softmax for each of {c.layers} layers, it is {list(c.pattern)}",
        ),
        (c.experts_per_token <= c.experts, f"experts_per_token {c.experts_per_token} of {c.experts} experts"),
        (c.norm in get_args(Norm), f"norm {c.norm!r} is none of {', '.join(get_args(Norm))}"),
        (c.aux in get_args(Aux), f"aux {c.aux!r} is none of {', '.join(get_args(Aux))}"),
        (c.factors is None or c.norm == "deepnorm", "factors belong to deepnorm; prenorm has none"),
        (c.capacity_factor is None or c.capacity_factor > 0, f"capacity_factor {c.capacity_factor} is not positive"),
        (c.rope_base > 1, f"rope_base {c.rope_base} is not above 1"),
        (c.norm_eps > 0, f"norm_eps {c.norm_eps} is not positive"),
        (min(c.aux_weight, c.z_weight, c.bias_rate) >= 0, "aux_weight, z_weight and bias_rate must not be negative"),
    ]
    for holds, message in demands:
        if not holds:
            raise ModelConfigError(message)
