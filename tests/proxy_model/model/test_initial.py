"""Initial weights are a pure function of seed, name and shape, of the size that DeepNorm wants."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import torch

from proxy_model.initial import initial_value, initialise
from proxy_model.model import ProxyLM
from tests.proxy_model.model.small import small


def test_the_same_seed_gives_the_same_model_and_another_seed_another() -> None:
    torch.manual_seed(1)
    a = ProxyLM(small(), seed=3)
    torch.manual_seed(2)  # nothing is drawn from the global generator
    b, c = ProxyLM(small(), seed=3), ProxyLM(small(), seed=4)
    for (name, x), y, z in zip(a.named_parameters(), b.parameters(), c.parameters(), strict=True):
        assert torch.equal(x, y), name
        assert x.ndim == 1 or not torch.equal(x, z), name


def test_each_parameter_can_be_made_alone_and_in_any_order() -> None:
    config = small()
    model = ProxyLM(config, seed=9)
    for name, parameter in reversed(list(model.named_parameters())):
        value = initial_value(name, parameter.shape, config, 9)
        rows = config.vocab_size if name in ("embed.weight", "head.weight") else len(value)
        assert torch.equal(value[:rows], parameter[:rows]), name
    with torch.device("meta"):
        later = ProxyLM(config)
    later = later.to_empty(device="cpu")
    initialise(later, config, 9)
    for a, b in zip(model.parameters(), later.parameters(), strict=True):
        assert torch.equal(a, b)


def test_no_two_parameters_share_their_numbers() -> None:
    model = ProxyLM(small(), seed=0)
    heads = [tuple(p.flatten()[:4].div(p.std()).tolist()) for p in model.parameters() if p.ndim > 1]
    assert len(set(heads)) == len(heads)


def test_what_feeds_the_residual_stream_is_scaled_by_deepnorms_beta() -> None:
    config = small(
        width=256, head_dim=64, heads=4, kv_heads=4, layers=2, pattern=("lightning", "softmax"), expert_width=256
    )
    named = dict(ProxyLM(config).named_parameters())
    beta, xavier = (8 * 2) ** -0.25, (2 / (256 + 256)) ** 0.5
    scaled = ["blocks.0.mixer.out.weight", "blocks.1.mixer.out.weight", "blocks.1.mixer.v.weight"]
    scaled += [f"blocks.{layer}.feed_forward.{name}" for layer in (0, 1) for name in ("gate_up", "down")]
    plain = [
        "blocks.0.mixer.qkv.weight",
        "blocks.0.mixer.gate.weight",
        "blocks.1.mixer.q.weight",
        "blocks.1.mixer.k.weight",
    ]
    for name in scaled:
        assert named[name].std().item() == pytest.approx(beta * xavier, rel=0.02), name
    for name in plain:
        assert named[name].std().item() == pytest.approx(xavier, rel=0.02), name
    assert named["blocks.0.feed_forward.gate.weight"].std().item() == pytest.approx(0.02, rel=0.1)
    assert all(bool((p == 1).all()) for p in named.values() if p.ndim == 1)


def test_rows_that_are_no_token_begin_at_zero() -> None:
    model = ProxyLM(small())
    assert model.embed.weight[100:].count_nonzero() == 0 and model.embed.weight[:100].count_nonzero() == 100 * 32
