"""Each piece of a layer against its formula."""

from __future__ import annotations

import sys
import types
from itertools import pairwise
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from proxy_model.layers import varlen
from proxy_model.layers.block import Block
from proxy_model.layers.groups import SPARE, grouped_attention, plan
from proxy_model.layers.norm import RMSNorm
from proxy_model.layers.rope import angles, rotate
from proxy_model.layers.softmax import masked_attention
from proxy_model.model import ProxyLM
from proxy_model.packed import packed_sequences
from tests.proxy_model.model.small import documents, lively, small


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_norm_is_x_over_its_root_mean_square_times_the_weight(dtype: torch.dtype) -> None:
    x = torch.randn(5, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(dtype)
    norm = RMSNorm(24, 1e-5).to(dtype)
    torch.nn.init.uniform_(norm.weight)
    wide = x.double()
    expected = wide / (wide.square().mean(-1, keepdim=True) + 1e-5).sqrt() * norm.weight.double()
    found = norm(x)
    assert found.dtype == dtype
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-6, torch.bfloat16: 1e-2}[dtype]
    assert ((found.double() - expected).abs() <= tolerance * expected.abs()).all()


def test_norm_of_bfloat16_activations_with_float32_weights_keeps_their_dtype() -> None:
    assert RMSNorm(8, 1e-5)(torch.ones(2, 8, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_rope_rotates_exactly_half_of_the_head_dimensions() -> None:
    config = small()
    assert config.rotary_dim == config.head_dim // 2
    x = torch.randn(9, 2, config.head_dim)
    turned = rotate(x, *angles(torch.arange(9), config.rotary_dim, config.rope_base, x.dtype))
    changed = (turned != x).any(0).any(0)
    assert changed.tolist() == [True] * config.rotary_dim + [False] * (config.head_dim - config.rotary_dim)
    assert torch.equal(turned[0], x[0])
    norms = [
        t.unflatten(-1, (2, -1)).square().sum(-2)
        for t in (turned[..., : config.rotary_dim], x[..., : config.rotary_dim])
    ]
    torch.testing.assert_close(*norms)


@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 300))
@settings(max_examples=30, deadline=None)
def test_rope_depends_on_distances_alone(i: int, j: int, shift: int) -> None:
    q, k = torch.randn(2, 1, 1, 8, dtype=torch.float64)

    def score(a: int, b: int) -> Any:
        cos, sin = angles(torch.tensor([a, b]), 8, 10_000.0, torch.float64)
        return (rotate(q, cos[:1], sin[:1]) * rotate(k, cos[1:], sin[1:])).sum()

    torch.testing.assert_close(score(i, j), score(i + shift, j + shift), rtol=0, atol=1e-9)


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=12).filter(any),
    st.sampled_from([1, 2]),
    st.sampled_from([0, 16, SPARE]),
)
@settings(max_examples=25, deadline=None)
def test_grouped_attention_is_attention_document_by_document(lengths: list[int], kv_heads: int, spare: int) -> None:
    total = sum(lengths)
    cu = torch.tensor([0, *lengths]).cumsum(0).int()
    generator = torch.Generator().manual_seed(total)
    q, k, v = (torch.randn(total, h, 8, dtype=torch.float64, generator=generator) for h in (2, kv_heads, kv_heads))
    inputs = [x.requires_grad_() for x in (q, k, v)]
    upstream = torch.randn(total, 2, 8, dtype=torch.float64, generator=generator)
    groups = plan(cu, SPARE // max(spare, 1))
    assert sorted(int(i) for g in groups for i in g.flatten() if i < total) == list(range(total))
    repeats = 2 // kv_heads
    parts = []
    for a, b in zip(cu.tolist(), cu.tolist()[1:], strict=False):
        scores = torch.einsum("ihd,jhd->hij", q[a:b], k[a:b].repeat_interleave(repeats, 1)) / 8**0.5
        mask = torch.ones(b - a, b - a, dtype=torch.bool).tril()
        weights = scores.masked_fill(~mask, -torch.inf).softmax(-1)
        parts.append(torch.einsum("hij,jhd->ihd", weights, v[a:b].repeat_interleave(repeats, 1)))
    expected = torch.cat(parts)
    segment_ids = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths)).int()
    wanted = torch.autograd.grad(expected, inputs, upstream)
    for found in (grouped_attention(q, k, v, groups), masked_attention(q, k, v, segment_ids)):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
        for gradient, reference in zip(torch.autograd.grad(found, inputs, upstream), wanted, strict=True):
            torch.testing.assert_close(gradient, reference, rtol=0, atol=1e-11)


def test_documents_of_similar_length_share_a_call() -> None:
    cu = torch.tensor([0, *[200, 198, 3, 4, 199, 5]]).cumsum(0).int()
    assert [tuple(group.shape) for group in plan(cu, 1024)] == [(3, 200), (3, 5)]


SPELLINGS = {
    "2.10": "q, k, v, cu_seq_q, cu_seq_k, max_q, max_k, is_causal=False, return_aux=None",
    "2.11": "q, k, v, cu_seq_q, cu_seq_k, max_q, max_k, *, return_aux=None, scale=None, window_size=(-1, -1)",
    "2.13": "q, k, v, cu_seq_q, cu_seq_k, max_q, max_k, *, return_aux=None, scale=None, window_size=(-1, -1), "
    "enable_gqa=False, seqused_k=None, block_table=None, num_splits=None",
}


@pytest.mark.parametrize("release", SPELLINGS)
def test_varlen_attention_is_asked_for_in_the_words_of_each_release(
    release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function of each release's signature, which computes what that release documents."""
    namespace: dict[str, Any] = {}
    exec(f"def varlen_attn({SPELLINGS[release]}): return compute(locals())", namespace)  # the signature is the subject

    def compute(given: dict[str, Any]) -> Any:
        q, k, v, cu = (given[name] for name in ("q", "k", "v", "cu_seq_q"))
        assert given.get("window_size", (-1, 0)) == (-1, 0) and given.get("is_causal", True)
        assert isinstance(given["max_q"], int)
        if not given.get("enable_gqa"):
            assert q.shape[1] == k.shape[1]
        bounds = cu.tolist()
        ids = torch.cat([torch.full((b - a,), i) for i, (a, b) in enumerate(pairwise(bounds))])
        return masked_attention(q, k, v, ids)

    namespace["compute"] = compute
    module = types.ModuleType("torch.nn.attention.varlen")
    module.varlen_attn = namespace["varlen_attn"]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.nn.attention.varlen", module)
    varlen._parameters.cache_clear()
    q, k, v = torch.randn(10, 4, 8), torch.randn(10, 2, 8), torch.randn(10, 2, 8)
    cu = torch.tensor([0, 3, 10, 10], dtype=torch.int32)
    found = varlen.varlen_attention(q, k, v, cu, 64)
    varlen._parameters.cache_clear()
    ids = torch.tensor([0] * 3 + [1] * 7)
    torch.testing.assert_close(found, masked_attention(q, k, v, ids))


def test_the_installed_torch_has_a_known_spelling() -> None:
    varlen._parameters.cache_clear()
    assert varlen._parameters() & {"window_size", "is_causal"}


def test_slopes_keep_float32_through_every_cast() -> None:
    model = ProxyLM(small())
    before = [block.mixer.slopes.clone() for block in model.blocks if hasattr(block.mixer, "slopes")]
    assert len(before) == 7
    for dtype in (torch.bfloat16, torch.float64, torch.float32):
        model = model.to(dtype)
        after = [block.mixer.slopes for block in model.blocks if hasattr(block.mixer, "slopes")]
        assert all(torch.equal(a, b) and a.dtype == torch.float32 for a, b in zip(after, before, strict=True))
    assert not any("slopes" in name for name in model.state_dict())


def test_slopes_are_right_after_a_model_leaves_the_meta_device() -> None:
    with torch.device("meta"):
        model = ProxyLM(small())
    model = model.to_empty(device="cpu")
    expected = ProxyLM(small())
    for block, other in zip(model.blocks, expected.blocks, strict=True):
        if hasattr(block.mixer, "slopes"):
            assert torch.equal(block.mixer.slopes, other.mixer.slopes)


def test_deepnorm_carries_the_normalised_state_and_prenorm_the_state() -> None:
    for norm, alpha in (("deepnorm", 2.0), ("prenorm", 1.0)):  # (2 · 8)^¼ = 2
        model = lively(small(norm=norm, dense_width=32), dtype=torch.float64)
        block, docs = model.blocks[0], documents(64)
        context = model.context(packed_sequences(docs))
        x = torch.randn(64, 32, dtype=torch.float64)
        h = block.mixer_norm(x)
        x1 = alpha * (h if norm == "deepnorm" else x) + block.mixer(h, context)
        h2 = block.feed_forward_norm(x1)
        gate, up = F.linear(h2, block.feed_forward.gate_up.weight).chunk(2, -1)
        y = F.linear(F.silu(gate) * up, block.feed_forward.down.weight)
        expected = alpha * (h2 if norm == "deepnorm" else x1) + y
        torch.testing.assert_close(block(x, context)[0], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("layer", "dense_width"), [(0, 32), (1, None)])
def test_a_block_compiles_to_one_graph(layer: int, dense_width: int | None) -> None:
    config = small(layers=2, pattern=("lightning", "softmax"), dense_width=dense_width)
    model = lively(config)
    block = model.blocks[layer]
    assert isinstance(block, Block)
    context = model.context(packed_sequences(documents(30, 1, 33)))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 32, generator=generator).requires_grad_()
    compiled = torch.compile(block, fullgraph=True, backend="aot_eager")
    expected, found = block(x, context)[0], compiled(x, context)[0]
    assert (found - expected).norm() <= 1e-5 * expected.norm()
    upstream = torch.randn(64, 32, generator=generator)
    gradients = [torch.autograd.grad(out, x, upstream)[0] for out in (expected, found)]
    assert (gradients[1] - gradients[0]).norm() <= 1e-5 * gradients[0].norm()
