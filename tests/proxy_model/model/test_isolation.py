"""Packed documents know nothing of each other: packed = separate, no leak, order does not matter."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor

from proxy_model.config import ModelConfig
from proxy_model.model import ProxyLM
from proxy_model.packed import Packed, packed_sequences
from tests.proxy_model.model.small import documents, lively, nats_of, small

LENGTHS = (1, 37, 64, 2, 90, 17)
DENSE = small(dense_width=48)
MOE = small()


def hidden_of(model: ProxyLM, docs: list[Tensor]) -> Tensor:
    return model(packed_sequences(docs)).hidden[: sum(map(len, docs))].detach()


@pytest.mark.parametrize(
    ("config", "dtype", "limit"),
    [
        (DENSE, torch.float32, 1e-5),
        (MOE, torch.float32, 1e-4),
        (DENSE, torch.float64, 1e-9),
        (MOE, torch.float64, 1e-9),
        (small(norm="prenorm", layers=3, pattern=("softmax", "lightning", "softmax")), torch.float64, 1e-9),
    ],
)
def test_packed_equals_separate(config: ModelConfig, dtype: torch.dtype, limit: float) -> None:
    model, docs = lively(config, dtype=dtype), documents(*LENGTHS)
    packed = hidden_of(model, docs)
    separate = torch.cat([hidden_of(model, [doc]) for doc in docs])
    assert (packed - separate).norm() <= limit * separate.norm()
    joined = hidden_of(model, [torch.cat(docs)])
    assert (packed - joined).norm() > 1e-2 * packed.norm()  # boundaries do matter to this model


def second_document(model: ProxyLM, first: Tensor, second: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Nats of the second document, and the gradient of their sum."""
    nats = nats_of(model, [first, second])[1]
    model.zero_grad()
    nats.sum().backward()
    return nats.detach(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def test_another_first_document_leaves_the_second_bit_equal_in_a_dense_model() -> None:
    model = lively(DENSE)
    first, other, second = documents(41, 41, 80)
    nats, gradients = second_document(model, first, second)
    changed, changed_gradients = second_document(model, other, second)
    assert torch.equal(nats, changed)
    assert gradients.keys() == changed_gradients.keys() and len(gradients) == len(list(model.parameters()))
    for name, gradient in gradients.items():
        assert torch.equal(gradient, changed_gradients[name]), name


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
def test_another_first_document_leaves_the_second_alone_in_a_model_with_experts(
    dtype: torch.dtype, limit: float
) -> None:
    """float64 takes the experts one by one; grouped products may round differently with other group sizes."""
    model = lively(MOE, dtype=dtype)
    first, other, second = documents(41, 41, 80)
    nats, gradients = second_document(model, first, second)
    changed, changed_gradients = second_document(model, other, second)
    assert (nats - changed).norm() <= limit * nats.norm()
    for name, gradient in gradients.items():
        assert (gradient - changed_gradients[name]).norm() <= limit * gradient.norm(), name


@pytest.mark.parametrize("config", [DENSE, MOE])
def test_permuting_documents_permutes_losses(config: ModelConfig) -> None:
    model, docs = lively(config, dtype=torch.float64), documents(*LENGTHS)
    order = [3, 0, 5, 2, 4, 1]
    plain, permuted = nats_of(model, docs), nats_of(model, [docs[i] for i in order])
    for place, number in enumerate(order):
        torch.testing.assert_close(permuted[place], plain[number], rtol=0, atol=1e-9)


def test_positions_that_begin_inside_a_document_move_rope_and_nothing_else() -> None:
    """RoPE scores depend on distances: a fragment's offset changes nothing but rounding; the state still resets."""
    model, docs = lively(DENSE, dtype=torch.float64), documents(*LENGTHS)
    packed = packed_sequences(docs)
    offsets = torch.arange(len(packed.cu_seqlens)).int()[packed.segment_ids.long()] * 100
    moved = Packed(**{**vars(packed), "positions": packed.positions + offsets})
    for a, b in zip(nats_of(model, docs), nats_of(model, docs, moved), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-9)
    skipped = Packed(**{**vars(packed), "positions": packed.positions * 7})
    assert not torch.allclose(model(skipped).hidden, model(packed).hidden, atol=1e-4)


@pytest.mark.parametrize("changes", [{}, {"dense_width": 32}])
def test_checkpointing_changes_no_bit(changes: dict[str, Any]) -> None:
    docs = documents(50, 70)
    results = []
    for checkpointing in (False, True):
        model = lively(small(layers=3, pattern=("lightning", "softmax", "lightning"), **changes))
        model.checkpointing = checkpointing
        nats = torch.cat(nats_of(model, docs))
        nats.mean().backward()
        results.append([nats.detach(), *(p.grad for p in model.parameters() if p.grad is not None)])
    for a, b in zip(*results, strict=True):
        assert torch.equal(a, b)


def test_padding_is_routed_nowhere() -> None:
    """Otherwise it would enter the balance loss and the statistics of experts."""
    model, docs = lively(MOE), documents(50, 20)
    output = model(packed_sequences(docs))
    assert len(output.hidden) == 128 and len(output.routing) == 8
    for routing in output.routing:
        assert int(routing.counts.sum()) == 70 * MOE.experts_per_token
    exact = model(packed_sequences(documents(50, 20, 58))).routing[0]
    assert int(exact.counts.sum()) == 128 * MOE.experts_per_token


def test_logits_of_rows_that_are_no_token_are_minus_infinity() -> None:
    model = ProxyLM(small(layers=1))
    logits = model.logits(model(packed_sequences(documents(5))).hidden)
    assert logits.shape == (64, 128)
    assert logits[:, :100].isfinite().all() and torch.isneginf(logits[:, 100:]).all()


def test_a_tied_head_is_the_embedding() -> None:
    model = ProxyLM(small(layers=1, tied=True))
    assert model.head is None and model.head_weight is model.embed.weight


def test_training_lowers_the_loss() -> None:
    model, docs = ProxyLM(small(layers=2, pattern=("lightning", "softmax"))), documents(60, 60)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        loss = torch.cat(nats_of(model, docs)).mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 3
