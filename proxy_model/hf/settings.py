"""config.json of transformers' MiniMax, from ours and back, and what is lost on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy_model.architecture import Factors, ModelConfig, ModelConfigError, model_config

MODEL_TYPE = "minimax"
LAYER_TYPES = {"lightning": "linear_attention", "softmax": "full_attention"}
DEFAULT_THETA = 1_000_000.0  # transformers' MiniMaxConfig.default_theta
_FACTORS = {
    "lightning_alpha": "linear_attn_alpha_factor",
    "lightning_beta": "linear_attn_beta_factor",
    "softmax_alpha": "full_attn_alpha_factor",
    "softmax_beta": "full_attn_beta_factor",
    "feed_forward_alpha": "mlp_alpha_factor",
    "feed_forward_beta": "mlp_beta_factor",
}


def from_hf(given: Mapping[str, Any]) -> ModelConfig:
    """Our config for theirs.  Raises ModelConfigError where a setting has no counterpart here.

    transformers knows no `rotary_dim` and rotates the whole head; where the key is present (our lossy export, the
    original checkpoints of MiniMax) it is followed.
    """
    if given.get("model_type") != MODEL_TYPE:
        raise ModelConfigError(f"model_type is {given.get('model_type')!r}, not {MODEL_TYPE!r}", "only MiniMax is read")
    rope = given.get("rope_parameters") or given.get("rope_scaling") or {}
    refused = {
        "hidden_act": given.get("hidden_act", "silu") != "silu",
        "sliding_window": given.get("sliding_window") is not None,
        "rope_parameters": rope.get("rope_type", rope.get("type", "default")) != "default",
    }
    for key, present in refused.items():
        if present:
            raise ModelConfigError(f"{key} {given.get(key)!r} has no counterpart here", "only the default is read")
    heads, layers, width = given["num_attention_heads"], given["num_hidden_layers"], given["hidden_size"]
    head_dim = given.get("head_dim") or width // heads
    types = given.get("layer_types")
    if types is None:  # transformers' default: softmax first, then in turn
        types = ["full_attention" if (layer + 1) % 2 else "linear_attention" for layer in range(layers)]
    own_types = {theirs: ours for ours, theirs in LAYER_TYPES.items()}
    return model_config(
        vocab_size=given["vocab_size"],
        width=width,
        layers=layers,
        heads=heads,
        head_dim=head_dim,
        kv_heads=given.get("num_key_value_heads") or heads,
        rotary_dim=given.get("rotary_dim") or head_dim,
        rope_base=float(rope.get("rope_theta") or given.get("rope_theta") or DEFAULT_THETA),
        experts=given.get("num_local_experts", 8),
        experts_per_token=given.get("num_experts_per_tok", 2),
        expert_width=given["intermediate_size"],
        pattern=tuple(own_types.get(kind, kind) for kind in types),
        norm_eps=given.get("rms_norm_eps", 1e-5),
        factors=Factors(**{ours: float(given.get(theirs, 1.0)) for ours, theirs in _FACTORS.items()}),
        tied=bool(given.get("tie_word_embeddings", False)),
        aux_weight=given.get("router_aux_loss_coef", 0.001) * given.get("num_experts_per_tok", 2),
    )


def losses(config: ModelConfig) -> list[str]:
    """What a MiniMax checkpoint would silently change."""
    found = []
    if config.rotary_dim < config.head_dim:
        found.append(f"rotary_dim {config.rotary_dim} of {config.head_dim}: transformers rotates the whole head")
    if config.capacity_factor is not None:
        found.append(f"capacity_factor {config.capacity_factor}: transformers drops no token")
    if config.bias_rate:
        found.append("bias_rate: transformers chooses experts without the balancing bias")
    return found


def to_hf(config: ModelConfig, max_length: int, specials: Mapping[str, int | None]) -> dict[str, Any]:
    """Their config.json.  Raises ModelConfigError for what MiniMax cannot be: prenorm, dense layers."""
    if config.norm != "deepnorm":
        raise ModelConfigError("transformers' MiniMax carries the normalised state on; prenorm cannot be exported")
    if config.dense_width is not None:
        raise ModelConfigError("transformers' MiniMax has experts in every layer; a dense model cannot be exported")
    factors = config.residual
    return {
        "architectures": ["MiniMaxForCausalLM"],
        "model_type": MODEL_TYPE,
        "vocab_size": config.vocab_size,
        "hidden_size": config.width,
        "intermediate_size": config.expert_width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": max_length,
        "rms_norm_eps": config.norm_eps,
        "use_cache": config.pattern[0] == "softmax",  # its cache is wrong when the first layer is linear (§7)
        "tie_word_embeddings": config.tied,
        "num_experts_per_tok": config.experts_per_token,
        "num_local_experts": config.experts,
        "router_aux_loss_coef": config.aux_weight / config.experts_per_token,  # its loss is k at balance, ours 1
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_base},
        "rope_theta": config.rope_base,
        **({"rotary_dim": config.rotary_dim} if config.rotary_dim < config.head_dim else {}),
        "layer_types": [LAYER_TYPES[mixer] for mixer in config.pattern],
        **{theirs: getattr(factors, ours) for ours, theirs in _FACTORS.items()},
        "bos_token_id": specials.get("bos_token_id"),
        "eos_token_id": specials.get("eos_token_id"),
        "pad_token_id": specials.get("pad_token_id"),
        "torch_dtype": "float32",
    }
