"""transformers' MiniMax as the oracle: small models, one document at a time, no cache; float64 throughout on demand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from proxy_model.config import ModelConfig, model_config
from proxy_model.kernels import lightning_slopes

LIGHTNING, SOFTMAX = "linear_attention", "full_attention"


def hf_minimax(layers: int = 8, seed: int = 0, **changes: Any) -> Any:
    """A MiniMaxForCausalLM of the real layout (7:1, DeepNorm factors), small sizes, its own default initialisation."""
    transformers = pytest.importorskip("transformers")
    alpha = (2 * layers) ** 0.25
    values: dict[str, Any] = {
        "vocab_size": 130,
        "hidden_size": 64,
        "intermediate_size": 48,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "block_size": 16,
        "layer_types": [SOFTMAX if (layer + 1) % 8 == 0 else LIGHTNING for layer in range(layers)],
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
        "full_attn_alpha_factor": alpha,
        "linear_attn_alpha_factor": alpha,
        "mlp_alpha_factor": alpha,
        "bos_token_id": None,
        "eos_token_id": None,
    }
    torch.manual_seed(seed)
    return transformers.MiniMaxForCausalLM(transformers.MiniMaxConfig(**{**values, **changes})).eval()


def exportable(**changes: Any) -> ModelConfig:
    """A config of ours that transformers can express."""
    values: dict[str, Any] = {
        "vocab_size": 130,
        "width": 64,
        "layers": 8,
        "heads": 4,
        "head_dim": 32,
        "kv_heads": 2,
        "rotary_dim": 32,
        "experts": 4,
        "experts_per_token": 2,
        "expert_width": 48,
    }
    return model_config(**{**values, **changes})


def save(model: Any, folder: Path) -> Path:
    """save_pretrained without its progress bar."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    model.save_pretrained(folder)
    return folder


def load(folder: Path) -> tuple[Any, dict[str, Any]]:
    """from_pretrained, and what it says about missing and unexpected names."""
    from transformers import MiniMaxForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    model, info = MiniMaxForCausalLM.from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
    return model.eval(), info


@torch.no_grad()
def hf_logits(model: Any, tokens: Tensor, **options: Any) -> Tensor:
    """[T] → [T, vocabulary], one document, no cache."""
    return model(tokens[None], use_cache=False, **options).logits[0]


@torch.no_grad()
def doubled_model(model: Any) -> Any:
    """The model in float64, its decay tables recomputed from the float32 slopes that ours uses."""
    config = model.config
    model = model.double()
    model.set_experts_implementation("eager")  # grouped_mm has no float64
    for layer, block in enumerate(model.model.layers):
        attention = block.self_attn
        if hasattr(attention, "slope_rate"):
            slopes = lightning_slopes(config.num_attention_heads, layer, config.num_hidden_layers).double()
            attention.slope_rate.copy_(slopes[:, None, None])
            names = ("query_decay", "key_decay", "diagonal_decay")
            for name, table in zip(names, attention.decay_factors(attention.slope_rate), strict=True):
                getattr(attention, name).copy_(table)
    rotary = model.model.rotary_emb
    dim = config.head_dim
    rotary.inv_freq = 1.0 / config.rope_parameters["rope_theta"] ** (torch.arange(0, dim, 2).double() / dim)
    return model


@contextmanager
def casts_lifted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """transformers casts norms, router and RoPE to float32 whatever the model's dtype: here to float64 instead."""
    with monkeypatch.context() as patch:
        patch.setattr(torch, "float32", torch.float64)
        patch.setattr(torch, "float", torch.float64)
        patch.setattr(torch.Tensor, "float", torch.Tensor.double)
        yield
