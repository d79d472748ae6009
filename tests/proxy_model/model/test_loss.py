"""Chunked cross-entropy is F.cross_entropy, values and gradients; the objective adds what it says."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from proxy_model.loss import objective, token_nats
from proxy_model.model import ProxyLM
from proxy_model.packed import packed_sequences
from tests.proxy_model.model.small import documents, labels_of, small

ROWS, WIDTH = 64, 12


def problem(tokens: int, vocab_size: int, ignored: float, dtype: torch.dtype, seed: int = 0):  # type: ignore[no-untyped-def]
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(tokens, WIDTH, dtype=dtype, generator=generator).requires_grad_()
    weight = torch.randn(ROWS, WIDTH, dtype=dtype, generator=generator).requires_grad_()
    labels = torch.randint(0, vocab_size, (tokens,), generator=generator)
    labels[torch.rand(tokens, generator=generator) < ignored] = -100
    return hidden, weight, labels


@given(
    st.integers(1, 40),
    st.sampled_from([1, 50, ROWS]),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.sampled_from([1, 7, 64, None]),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_equals_cross_entropy_in_values_and_gradients(
    tokens: int, vocab_size: int, ignored: float, chunk: int | None, weighted: bool
) -> None:
    hidden, weight, labels = problem(tokens, vocab_size, ignored, torch.float64, tokens)
    upstream = torch.randn(tokens, dtype=torch.float64) if weighted else torch.tensor(0.7).double().expand(tokens)
    found = token_nats(hidden, weight, labels, vocab_size=vocab_size, chunk=chunk)
    expected = F.cross_entropy((hidden @ weight.T)[:, :vocab_size], labels, reduction="none")
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    own = torch.autograd.grad(found, (hidden, weight), upstream)
    reference = torch.autograd.grad(expected, (hidden, weight), upstream)
    for a, b in zip(own, reference, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
    assert own[1][vocab_size:].count_nonzero() == 0
    assert found[labels == -100].count_nonzero() == 0


def test_float32_is_as_good_as_torchs() -> None:
    hidden, weight, labels = problem(300, 50, 0.2, torch.float32)
    exact = F.cross_entropy((hidden.double() @ weight.double().T)[:, :50], labels, reduction="none")
    found = token_nats(hidden, weight, labels, vocab_size=50, chunk=32)
    assert found.dtype == torch.float32 and (found - exact).abs().max() <= 1e-5
    (found.sum() / 240).backward()
    wanted = torch.autograd.grad(exact.sum() / 240, (hidden, weight))
    for a, b in zip((hidden.grad, weight.grad), wanted, strict=True):
        assert (a - b).norm() <= 1e-6 * b.norm()


def test_bfloat16_gives_float32_nats_and_bfloat16_gradients() -> None:
    hidden, weight, labels = problem(100, 50, 0.2, torch.float64)
    exact = token_nats(hidden, weight, labels, vocab_size=50)
    half = [x.detach().bfloat16().requires_grad_() for x in (hidden, weight)]
    found = token_nats(half[0], half[1], labels, vocab_size=50, chunk=16)
    assert found.dtype == torch.float32
    assert (found - exact).norm() <= 1e-2 * exact.norm()
    found.sum().backward()
    wanted = torch.autograd.grad(exact.sum(), (hidden, weight))
    for a, b in zip(half, wanted, strict=True):
        assert a.grad is not None and a.grad.dtype == torch.bfloat16
        assert (a.grad - b).norm() <= 2e-2 * b.norm()


def test_autocast_reaches_the_head() -> None:
    hidden, weight, labels = problem(50, 50, 0.0, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = token_nats(hidden, weight, labels)
    found.sum().backward()
    plain = token_nats(hidden.detach().bfloat16(), weight.detach().bfloat16(), labels)
    assert torch.equal(found, plain) and hidden.grad.dtype == weight.grad.dtype == torch.float32


def test_large_logits_do_not_overflow() -> None:
    hidden, weight, labels = problem(10, ROWS, 0.0, torch.float32)
    found = token_nats(hidden * 1e4, weight, labels)
    assert found.isfinite().all()


def test_without_a_gradient_none_is_made() -> None:
    hidden, weight, labels = problem(20, 50, 0.0, torch.float32)
    with torch.no_grad():
        quiet = token_nats(hidden, weight, labels, vocab_size=50)
    assert not quiet.requires_grad
    assert torch.equal(quiet, token_nats(hidden, weight, labels, vocab_size=50))


def test_objective_is_mean_nats_and_the_experts_losses() -> None:
    config = small(aux_weight=0.5, z_weight=0.25)
    model, docs = ProxyLM(config), documents(20, 44)
    output, labels = model(packed_sequences(docs)), labels_of(docs)
    nats = token_nats(output.hidden, model.head_weight, labels, vocab_size=config.vocab_size)
    loss, parts = objective(output, nats, labels, config)
    aux = sum(routing.aux for routing in output.routing) / 8
    z = sum(routing.z for routing in output.routing) / 8
    assert len(output.routing) == 8 and int(parts["count"]) == 62
    torch.testing.assert_close(loss, nats.sum() / 62 + 0.5 * aux + 0.25 * z)
    torch.testing.assert_close(parts["nats"], nats.detach().sum() / 62)
    assert not any(part.requires_grad for part in parts.values())
    spread, _ = objective(output, nats, labels, config, count=torch.tensor(124))
    torch.testing.assert_close(spread, loss - nats.sum() / 124)


def test_a_batch_without_labels_has_no_loss_and_finite_gradients() -> None:
    config = small(dense_width=32)
    model, docs = ProxyLM(config), documents(64)
    output, labels = model(packed_sequences(docs)), torch.full((64,), -100)
    nats = token_nats(output.hidden, model.head_weight, labels)
    loss, _ = objective(output, nats, labels, config)
    loss.backward()
    assert loss == 0 and all(p.grad is None or not p.grad.count_nonzero() for p in model.parameters())
