"""The Triton kernels, under the interpreter without a GPU, are the quadratic formula."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from proxy_model.kernels import lightning, lightning_attention, lightning_slopes  # noqa: E402
from proxy_model.kernels.table import Tile, segment_length, segments, tile  # noqa: E402
from tests.proxy_model.kernels.layouts import LAYOUTS, distances, random_rows, resets_of, truth  # noqa: E402

SMALL = Tile(rows=16, columns=16, warps=4, stages=2, state_columns=16, state_warps=4)
SEGMENT = 32
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

if DEVICE == "cpu" and not lightning.interpreted():
    pytest.skip("no CUDA device, and the kernels were imported without TRITON_INTERPRET=1", allow_module_level=True)


def both_passes(q, k, v, slopes, resets, do, entry=SMALL, seg=SEGMENT):
    q, k, v, slopes, resets, do = (x.to(DEVICE) for x in (q, k, v, slopes, resets, do))
    out, states = lightning.forward(q, k, v, slopes, resets, entry, seg)
    grads = lightning.backward(q, k, v, slopes, resets, states, do, entry, seg)
    return tuple(x.cpu() for x in (out, *grads))


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_in_float32(name: str) -> None:
    resets = resets_of(LAYOUTS[name])
    q, k, v, do = random_rows(resets.numel(), 2, 16, torch.float32)
    slopes = lightning_slopes(2, 0, 2)
    assert max(distances(both_passes(q, k, v, slopes, resets, do), truth(q, k, v, slopes, resets, do))) <= 1e-6


@pytest.mark.parametrize(("dtype", "limit"), [(torch.bfloat16, 5e-3), (torch.float16, 1e-3)])
def test_half_precision_rounds_and_no_more(dtype, limit: float) -> None:
    resets = resets_of(LAYOUTS["many"])
    q, k, v, do = random_rows(resets.numel(), 2, 16, dtype)
    slopes = lightning_slopes(2, 1, 3)
    got = both_passes(q, k, v, slopes, resets, do)
    assert all(x.dtype == dtype for x in got)
    assert max(distances(got, truth(q, k, v, slopes, resets, do))) <= limit


@settings(max_examples=8)
@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=8), heads=st.integers(1, 2), seed=st.integers(0, 99))
def test_any_layout(lengths: list[int], heads: int, seed: int) -> None:
    resets = resets_of(lengths)
    q, k, v, do = random_rows(resets.numel(), heads, 16, torch.float32, seed)
    slopes = lightning_slopes(heads, 0, 2)
    assert max(distances(both_passes(q, k, v, slopes, resets, do), truth(q, k, v, slopes, resets, do))) <= 1e-6


def test_the_shipped_tile_with_more_columns_than_one_program_and_a_ragged_end() -> None:
    resets = resets_of([130, 1, 60, 109])
    q, k, v, do = random_rows(300, 1, 32, torch.float32)
    slopes = lightning_slopes(1, 0, 2)
    entry = tile(32, 90)._replace(columns=16)
    got = both_passes(q, k, v, slopes, resets, do, entry, 128)
    assert max(distances(got, truth(q, k, v, slopes, resets, do))) <= 1e-6


@pytest.mark.parametrize("scale", [1e3, 1e18])
def test_a_document_does_not_touch_its_neighbour_by_one_bit(scale: float) -> None:
    resets = resets_of([21, 43, 6])
    q, k, v, do = random_rows(70, 2, 16, torch.float32)
    slopes = lightning_slopes(2, 0, 2)
    before = both_passes(q, k, v, slopes, resets, do)
    louder = torch.ones(70, 1, 1)
    louder[:21] = scale
    after = both_passes(q * louder, k * louder, v * louder, slopes, resets, do * louder)
    for x, y in zip(before, after, strict=True):
        assert torch.equal(x[21:], y[21:])
        assert not torch.equal(x[:21], y[:21])


def test_the_operator_runs_them_and_takes_any_strides() -> None:
    resets = resets_of([7, 13])
    slopes = lightning_slopes(2, 0, 2).to(DEVICE)
    q, k, v, do = random_rows(20, 2, 16, torch.float32)
    wide = torch.stack([do, do], dim=-1)[..., 0]  # last stride 2
    inputs = [x.to(DEVICE).requires_grad_() for x in (q, k, v)]
    out = lightning_attention(*inputs, slopes, resets.to(DEVICE), backend="triton")
    grads = torch.autograd.grad(out, inputs, wide.to(DEVICE))
    got = tuple(x.detach().cpu() for x in (out, *grads))
    assert max(distances(got, truth(q, k, v, slopes.cpu(), resets, do))) <= 1e-6


def test_nothing_in_nothing_out() -> None:
    q = torch.zeros(0, 2, 16, device=DEVICE, requires_grad=True)
    resets, slopes = torch.zeros(0, dtype=torch.int32, device=DEVICE), lightning_slopes(2, 0, 2).to(DEVICE)
    out = lightning_attention(q, q, q, slopes, resets, backend="triton")
    (grad,) = torch.autograd.grad(out.sum(), q)
    assert out.shape == grad.shape == (0, 2, 16)


def test_unknown_head_dimensions_are_named_with_the_table() -> None:
    q = torch.zeros(4, 1, 48, device=DEVICE)
    resets = torch.arange(4, dtype=torch.int32, device=DEVICE)
    with pytest.raises(ValueError, match=r"head dimension 48.*table\.py has 16, 32, 64, 128, 256.*backend='torch'"):
        lightning_attention(q, q, q, lightning_slopes(1, 0, 2).to(DEVICE), resets, backend="triton")


def test_float64_and_old_devices_are_refused() -> None:
    q = torch.zeros(4, 1, 16, dtype=torch.float64, device=DEVICE)
    resets = torch.arange(4, dtype=torch.int32, device=DEVICE)
    with pytest.raises(TypeError, match="backend='torch' computes in float64"):
        lightning_attention(q, q, q, lightning_slopes(1, 0, 2).to(DEVICE), resets, backend="triton")
    with pytest.raises(ValueError, match=r"8\.0 or newer, not 7\.5"):
        tile(64, 75)


def test_newer_generations_use_the_nearest_that_fits() -> None:
    assert tile(128, 86) == tile(128, 89) == tile(128, 80) == tile(128, 120)
    assert tile(128, 103) == tile(128, 100)


def test_segments_fill_the_device_and_stay_long_where_they_can() -> None:
    assert segment_length(65_536, 16, 128) == 2048
    assert segment_length(2_048, 8, 128) == 256
    assert all(segments(n, 8, 64) == -(-n // segment_length(n, 8, 64)) for n in (0, 1, 255, 256, 257, 70_000))
