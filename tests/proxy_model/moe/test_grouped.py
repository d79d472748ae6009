"""Grouped products: equal to a loop over experts, and every trap of torch's grouped_mm is closed."""

import pytest

torch = pytest.importorskip("torch")

from proxy_model.moe import grouped  # noqa: E402

ENDS = [5, 5, 22, 30]  # expert 1 has no row; two rows of the 32 belong to nobody


def inputs(dtype, device="cpu"):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(32, 16, generator=generator).to(device, dtype).requires_grad_()
    weight = torch.randn(4, 24, 16, generator=generator).to(device, dtype).requires_grad_()
    return x, weight, torch.tensor(ENDS, dtype=torch.int32, device=device)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 8e-3), (torch.float64, 0.0)])
def test_equals_the_loop_with_gradients(dtype, tolerance):
    x, weight, ends = inputs(dtype)
    used = ENDS[-1]
    upstream = torch.randn(used, 24).to(dtype)
    found = grouped.grouped_linear(x, weight, ends)[:used]
    got = torch.autograd.grad((found * upstream).sum(), (x, weight))
    expected = grouped.grouped_rows_reference(x, weight, ends, True)[:used]
    wanted = torch.autograd.grad((expected * upstream).sum(), (x, weight))
    for mine, reference in [(found, expected), (got[0][:used], wanted[0][:used]), (got[1], wanted[1])]:
        assert (mine.double() - reference.double()).norm() <= tolerance * reference.double().norm()
    assert not got[1][1].any()  # the expert without a row


def test_expanded_gradients_pass():
    x, weight, ends = inputs(torch.float32)
    grouped.grouped_linear(x, weight, ends).sum().backward()  # a gradient of stride 0
    assert torch.isfinite(weight.grad).all()


def test_meta_device_and_compilation_take_float32():
    x, weight, ends = inputs(torch.float32, "meta")
    assert grouped.grouped_linear(x, weight, ends).shape == (32, 24)
    x, weight, ends = inputs(torch.float32)
    compiled = torch.compile(grouped.grouped_linear, fullgraph=True, backend="aot_eager")
    used = ENDS[-1]
    found = torch.autograd.grad(compiled(x, weight, ends)[:used].square().sum(), (x, weight))
    wanted = torch.autograd.grad(grouped.grouped_linear(x, weight, ends)[:used].square().sum(), (x, weight))
    assert torch.equal(found[0][:used], wanted[0][:used])
    assert torch.equal(found[1], wanted[1])


def test_operators_keep_torchs_rules():
    x, weight, ends = inputs(torch.float64)  # 0 behind the last end: nothing undefined to compare
    torch.library.opcheck(grouped._rows, (x, weight, ends, True))
    torch.library.opcheck(grouped._outer, (x.detach(), x.detach(), ends))


def test_gradients_by_finite_differences():
    x, weight, ends = inputs(torch.float64)
    assert torch.autograd.gradcheck(lambda a, b: grouped.grouped_linear(a[:, :6], b[:, :5, :6], ends), (x, weight))


def test_rows_of_odd_bytes_are_refused():
    x, weight, ends = inputs(torch.float32)
    with pytest.raises(ValueError, match="multiples of 8"):
        grouped.grouped_linear(x[:, :12], weight[:, :, :12], ends)
