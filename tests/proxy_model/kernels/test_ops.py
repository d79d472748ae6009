"""The operator: what torch wants of it, what it refuses and says, and the decay rates."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from proxy_model.kernels import lightning, lightning_attention, lightning_slopes  # noqa: E402
from tests.proxy_model.kernels.layouts import random_rows, resets_of  # noqa: E402

RESETS = resets_of([9, 25])
BACKENDS = [
    "torch",
    pytest.param("triton", marks=pytest.mark.skipif(not lightning.interpreted(), reason="no interpreter")),
]


@pytest.mark.parametrize("backend", BACKENDS)
def test_opcheck_finds_nothing(backend: str) -> None:
    q, k, v, do = random_rows(34, 1, 16, torch.float32)
    slopes = lightning_slopes(1, 0, 2)
    inputs = tuple(x.detach().requires_grad_() for x in (q, k, v))
    forward = torch.library.opcheck(torch.ops.proxy_model.lightning_forward, (*inputs, slopes, RESETS, backend))
    _, states = torch.ops.proxy_model.lightning_forward(q, k, v, slopes, RESETS, backend)
    arguments = (q, k, v, slopes, RESETS, states, do, backend)
    backward = torch.library.opcheck(torch.ops.proxy_model.lightning_backward, arguments)
    assert set(forward.values()) == set(backward.values()) == {"SUCCESS"}


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_compiled_function_is_one_graph_and_equals_eager(backend: str) -> None:
    slopes = lightning_slopes(2, 0, 2)

    def loss(fused):  # the operator inside other work, on views of a fused projection
        q, k, v = torch.nn.functional.silu(fused).split(16, dim=-1)
        return lightning_attention(q, k, v, slopes, RESETS, backend).square().sum()

    fused = torch.randn(34, 2, 48, requires_grad=True)
    eager = loss(fused)
    (expected,) = torch.autograd.grad(eager, fused)
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")(fused)
    (got,) = torch.autograd.grad(compiled, fused)
    torch.testing.assert_close(compiled, eager)
    torch.testing.assert_close(got, expected)


@pytest.mark.slow
def test_inductor_equals_eager() -> None:
    slopes = lightning_slopes(2, 0, 2)
    fused = torch.randn(34, 2, 48, requires_grad=True)

    def loss(x):
        q, k, v = torch.nn.functional.silu(x).split(16, dim=-1)
        return lightning_attention(q, k, v, slopes, RESETS).square().sum()

    (expected,) = torch.autograd.grad(loss(fused), fused)
    (got,) = torch.autograd.grad(torch.compile(loss, fullgraph=True)(fused), fused)
    torch.testing.assert_close(got, expected)


def test_strided_views_and_strided_gradients() -> None:
    q, k, v, do = random_rows(34, 2, 16, torch.float64)
    slopes = lightning_slopes(2, 0, 2).double()
    views = [x.detach().requires_grad_() for x in (q, k, v)]
    copies = [x.detach().contiguous().requires_grad_() for x in (q, k, v)]
    assert not views[0].is_contiguous()
    got = torch.autograd.grad(
        lightning_attention(*views, slopes, RESETS), views, do.transpose(0, 1).contiguous().transpose(0, 1)
    )
    expected = torch.autograd.grad(lightning_attention(*copies, slopes, RESETS), copies, do)
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))
    summed = torch.autograd.grad(lightning_attention(*views, slopes, RESETS).sum(), views)  # a gradient of strides 0
    ones = torch.autograd.grad(lightning_attention(*views, slopes, RESETS), views, torch.ones_like(do))
    assert all(torch.equal(a, b) for a, b in zip(summed, ones, strict=True))


def test_nothing_in_nothing_out() -> None:
    q = torch.zeros(0, 2, 16, requires_grad=True)
    out = lightning_attention(q, q, q, lightning_slopes(2, 0, 2), torch.zeros(0, dtype=torch.int32))
    (grad,) = torch.autograd.grad(out.sum(), q)
    assert out.shape == grad.shape == (0, 2, 16)


def test_a_second_gradient_is_refused() -> None:
    q = torch.randn(34, 1, 4, requires_grad=True)
    out = lightning_attention(q, q, q, lightning_slopes(1, 0, 2), RESETS)
    (grad,) = torch.autograd.grad(out.square().sum(), q, create_graph=True)
    with pytest.raises(NotImplementedError, match="no second derivative"):
        grad.sum().backward()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"slopes": torch.ones(2, dtype=torch.bfloat16)}, "slopes must be float32 .2., not torch.bfloat16"),
        ({"slopes": torch.ones(3)}, "slopes must be float32 .2."),
        ({"resets": torch.zeros(34, dtype=torch.int64)}, "resets must be int32 .34., not torch.int64"),
        ({"resets": torch.zeros(33, dtype=torch.int32)}, "resets must be int32 .34."),
        ({"k": torch.zeros(34, 2, 8)}, "of one dtype: q .34, 2, 16.*k .34, 2, 8."),
        ({"v": torch.zeros(34, 2, 16, dtype=torch.float64)}, "of one dtype"),
        ({"k": torch.zeros(34, 2, 16, device="meta")}, "q is on cpu, k meta"),
        ({"backend": "cuda"}, "'cuda' is none of auto, torch, triton, fla"),
    ],
)
def test_wrong_inputs_are_named(change: dict[str, object], says: str) -> None:
    q, k, v, _ = random_rows(34, 2, 16, torch.float32)
    given = {"q": q, "k": k, "v": v, "slopes": lightning_slopes(2, 0, 2), "resets": RESETS} | change
    with pytest.raises(ValueError, match=says):
        lightning_attention(**given)


def test_fla_is_missed_aloud() -> None:
    q, k, v, _ = random_rows(34, 2, 16, torch.float32)
    with pytest.raises(RuntimeError, match="needs a CUDA device"):
        lightning_attention(q, k, v, lightning_slopes(2, 0, 2), RESETS, backend="fla")


def test_slopes_are_those_of_the_published_model() -> None:
    slopes = lightning_slopes(8, 3, 80)
    assert slopes.dtype == torch.float32
    expected = [2.0 ** -(h + 1) * (1 - 3 / (79 + 1e-5) + 1e-5) for h in range(8)]
    torch.testing.assert_close(slopes, torch.tensor(expected), rtol=1e-7, atol=0)
    assert torch.isfinite(lightning_slopes(4, 0, 1)).all()
    assert (lightning_slopes(4, 79, 80) > 0).all()
    with pytest.raises(ValueError, match="layer 80 of 80"):
        lightning_slopes(4, 80, 80)
