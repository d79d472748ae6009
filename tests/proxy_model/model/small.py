"""Small models and batches for the tests of this folder."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from proxy_model.config import ModelConfig, model_config
from proxy_model.loss import token_nats
from proxy_model.model import ProxyLM
from proxy_model.packed import Packed, packed_sequences

VOCABULARY = 100


def small(**changes: Any) -> ModelConfig:
    """Eight layers 7:1, experts, everything small."""
    values: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "width": 32,
        "layers": 8,
        "heads": 2,
        "head_dim": 16,
        "kv_heads": 1,
        "experts": 4,
        "experts_per_token": 2,
        "expert_width": 32,
    }
    return model_config(**{**values, **changes})


def lively(config: ModelConfig, seed: int = 0, dtype: torch.dtype = torch.float32) -> ProxyLM:
    """A model with larger weights than at the start of training, so that every part of it matters."""
    model = ProxyLM(config, seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(3)
    return model.to(dtype)


def documents(*lengths: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(0, VOCABULARY, (length,), generator=generator) for length in lengths]


def labels_of(docs: list[Tensor]) -> Tensor:
    """Next tokens inside each document, -100 elsewhere, padded as `packed_sequences` pads."""
    labels = [torch.cat([doc[1:], torch.tensor([-100])]) for doc in docs if len(doc)]
    flat = torch.cat(labels)
    return torch.cat([flat, flat.new_full((-len(flat) % 64,), -100)])


def nats_of(model: ProxyLM, docs: list[Tensor], packed: Packed | None = None) -> list[Tensor]:
    """Nats of every token of every document, from one packed row."""
    output = model(packed or packed_sequences(docs))
    nats = token_nats(output.hidden, model.head_weight, labels_of(docs), vocab_size=model.config.vocab_size)
    return list(nats[: sum(map(len, docs))].split([len(doc) for doc in docs]))
