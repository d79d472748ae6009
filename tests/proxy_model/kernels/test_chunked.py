"""The torch path (what training on a CPU runs) is the quadratic formula, and its gradient is the gradient."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from proxy_model.kernels import lightning_attention, lightning_slopes  # noqa: E402
from tests.proxy_model.kernels.layouts import LAYOUTS, distances, random_rows, resets_of, truth  # noqa: E402


def both_passes(q, k, v, slopes, resets, do):
    inputs = [x.detach().requires_grad_() for x in (q, k, v)]
    out = lightning_attention(*inputs, slopes, resets, backend="torch")
    return (out.detach(), *torch.autograd.grad(out, inputs, do))


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 1e-12), (torch.float32, 1e-6), (torch.bfloat16, 5e-3)])
def test_every_layout_in_every_precision(name: str, dtype, limit: float) -> None:
    resets = resets_of(LAYOUTS[name])
    q, k, v, do = random_rows(resets.numel(), 3, 16, dtype)
    slopes = lightning_slopes(3, 0, 2)
    slopes = slopes.double() if dtype == torch.float64 else slopes
    got = both_passes(q, k, v, slopes, resets, do)
    assert all(x.dtype == dtype and x.is_contiguous() for x in got)
    assert max(distances(got, truth(q, k, v, slopes, resets, do))) <= limit


@settings(max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 90), min_size=1, max_size=12),
    heads=st.integers(1, 3),
    dim=st.sampled_from([1, 5, 24, 48, 80]),
)
def test_any_layout_and_any_head_dimension(lengths: list[int], heads: int, dim: int) -> None:
    resets = resets_of(lengths)
    q, k, v, do = random_rows(resets.numel(), heads, dim, torch.float64)
    slopes = lightning_slopes(heads, 1, 4).double()
    assert max(distances(both_passes(q, k, v, slopes, resets, do), truth(q, k, v, slopes, resets, do))) <= 1e-12


def test_more_tiles_than_one_batch_of_products() -> None:
    resets = resets_of([700, 1, 1500, 299])
    q, k, v, do = random_rows(2500, 1, 8, torch.float32)
    slopes = lightning_slopes(1, 1, 2) + 0.01
    assert max(distances(both_passes(q, k, v, slopes, resets, do), truth(q, k, v, slopes, resets, do))) <= 1e-6


def test_gradients_by_finite_differences_across_a_boundary() -> None:
    resets = resets_of([7, 30])  # the boundary and a tile's end at 32
    slopes = torch.tensor([0.9], dtype=torch.float64)
    inputs = [x.detach().clone().requires_grad_() for x in random_rows(37, 1, 3, torch.float64)[:3]]
    assert torch.autograd.gradcheck(lambda q, k, v: lightning_attention(q, k, v, slopes, resets), inputs)


@pytest.mark.parametrize("scale", [1e3, 1e18])
def test_a_document_does_not_touch_its_neighbour_by_one_bit(scale: float) -> None:
    resets = resets_of([21, 80, 6])
    q, k, v, do = random_rows(107, 2, 16, torch.float32)
    slopes = lightning_slopes(2, 0, 2)
    before = both_passes(q, k, v, slopes, resets, do)
    louder = torch.ones(107, 1, 1)
    louder[:21] = scale
    after = both_passes(q * louder, k * louder, v * louder, slopes, resets, do * louder)
    for x, y in zip(before, after, strict=True):
        assert torch.equal(x[21:], y[21:])
        assert not torch.equal(x[:21], y[:21])


def test_runs_repeat_bit_by_bit() -> None:
    resets = resets_of([90, 200])
    q, k, v, do = random_rows(290, 2, 32, torch.float32)
    first, second = (both_passes(q, k, v, lightning_slopes(2, 0, 2), resets, do) for _ in range(2))
    assert all(torch.equal(x, y) for x, y in zip(first, second, strict=True))


def test_packed_documents_equal_documents_alone() -> None:
    lengths = [33, 1, 70, 20]
    q, k, v, do = random_rows(124, 2, 16, torch.float32)
    slopes = lightning_slopes(2, 0, 2)
    packed = both_passes(q, k, v, slopes, resets_of(lengths), do)
    start = 0
    for n in lengths:
        part = slice(start, start + n)
        alone = both_passes(q[part], k[part], v[part], slopes, resets_of([n]), do[part])
        assert max(distances(tuple(x[part] for x in packed), tuple(x.double() for x in alone))) <= 1e-6
        start += n
