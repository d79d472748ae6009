"""The layer against a plain loop over tokens; capacity, padding, losses, bias."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional as F  # noqa: E402

from proxy_model.config import ModelConfigError, preset  # noqa: E402
from proxy_model.moe import MoE, update_biases  # noqa: E402
from proxy_model.moe.balance import balance_loss, shares  # noqa: E402

SMALL = preset("pico", width=16, heads=2, head_dim=8, expert_width=24, experts=6)


def layer(config=SMALL, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    made = MoE(config).to(dtype)
    with torch.no_grad():
        for weight in made.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.3)
    return made


def tokens(count=40, dtype=torch.float64, seed=1):
    return torch.randn(count, SMALL.width, generator=torch.Generator().manual_seed(seed)).to(dtype).requires_grad_()


def moe_reference(made, x, kept=None):
    """Token by token, expert by expert."""
    k, rows = made.config.experts_per_token, []
    probabilities = F.linear(x, made.gate.weight).softmax(-1)
    for t in range(len(x)):
        chosen = sorted(range(made.config.experts), key=lambda e: -probabilities[t, e].item())[:k]
        total = sum(probabilities[t, e] for e in chosen)
        y = torch.zeros_like(x[t])
        for place, e in enumerate(chosen):
            if kept is None or kept[t, place]:
                gate, up = (made.gate_up[e] @ x[t]).chunk(2)
                y = y + probabilities[t, e] / total * (made.down[e] @ (F.silu(gate) * up))
        rows.append(y)
    return torch.stack(rows)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_equals_a_loop_over_tokens_with_gradients(k):
    made, x = layer(replace(SMALL, experts_per_token=k)), tokens()
    upstream = torch.randn(40, SMALL.width, dtype=torch.float64)
    leaves = [x, *made.parameters()]
    y, routing = made(x)
    expected = moe_reference(made, x)
    assert torch.allclose(y, expected, atol=1e-12)
    for got, wanted in zip(
        torch.autograd.grad((y * upstream).sum(), leaves, allow_unused=True),
        torch.autograd.grad((expected * upstream).sum(), leaves, allow_unused=True),
        strict=True,
    ):
        assert torch.allclose(got, wanted, atol=1e-10)
    assert int(routing.counts.sum()) == 40 * k
    assert int(routing.dropped) == 0
    assert torch.allclose(routing.weights.sum(-1), torch.ones(40, dtype=torch.float64))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_grouped_path_equals_the_float64_path(dtype, tolerance):
    made, x = layer(), tokens(200)
    with torch.no_grad():
        narrow = layer().to(dtype)
        wide = layer()
        for a, b in zip(wide.parameters(), narrow.parameters(), strict=True):
            a.copy_(b)
        y, used = narrow(x.to(dtype))
        expected, routing = wide(x.to(dtype).double())
    same = (used.experts == routing.experts).all(-1)  # a near tie may fall the other way
    assert same.double().mean() > 0.98
    assert (y.double() - expected)[same].norm() <= tolerance * expected[same].norm()
    assert made.gate.weight.dtype == torch.float64


def test_gradcheck_through_router_and_losses():
    made = layer(replace(SMALL, experts=3, expert_width=8))
    x = tokens(7)

    def function(x, gate):
        with torch.no_grad():
            chosen = F.linear(x, gate).softmax(-1)
        assert chosen.shape == (7, 3)
        y, routing = torch.func.functional_call(made, {"gate.weight": gate}, (x,))
        return y, routing.aux, routing.z

    assert torch.autograd.gradcheck(function, (x, made.gate.weight.detach().requires_grad_()))


@pytest.mark.parametrize("factor", [None, 0.7])
def test_padding_takes_no_room_and_enters_no_loss(factor):
    made = layer(replace(SMALL, capacity_factor=factor))
    x = tokens(40).detach()
    mask = torch.arange(40) % 10 < 8
    y, routing = made(x, mask)
    alone, expected = made(x[mask])
    assert torch.allclose(y[mask], alone, atol=1e-14)
    assert (routing.kept is None) == (factor is None)
    if factor is not None:
        assert not y[~mask].any()
        made.eval()
        assert made(x, mask)[1].kept is None  # a capacity is for training
    assert torch.equal(routing.counts, expected.counts)
    assert torch.equal(routing.dropped, expected.dropped)
    assert torch.allclose(routing.aux, expected.aux)
    assert torch.allclose(routing.z, expected.z)


@pytest.mark.parametrize("factor", [None, 0.7])
def test_padding_of_any_value_leaves_gradients_alone(factor):
    made = layer(replace(SMALL, capacity_factor=factor))
    mask = torch.arange(40) % 4 < 3
    found = []
    for filling in (0.0, 1e4):
        x = torch.where(mask[:, None], tokens(), filling).detach().requires_grad_()
        y, routing = made(x, mask)
        made.zero_grad()
        (y[mask].square().sum() + routing.aux + routing.z).backward()
        assert not x.grad[~mask].any()
        found.append([x.grad[mask], *(one.grad for one in made.parameters())])
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, atol=1e-12, rtol=1e-12)


def test_capacity_drops_by_position_and_counts():
    made, x = layer(replace(SMALL, capacity_factor=0.5)), tokens()
    y, routing = made(x)
    room = -(-40 * 2 * 0.5 // 6)  # ceil(factor · k · T / E)
    seen = [0] * 6
    expected = torch.zeros(40, 2, dtype=torch.bool)
    for t in range(40):
        for place in range(2):
            expert = int(routing.experts[t, place])
            expected[t, place] = seen[expert] < room
            seen[expert] += 1
    assert torch.equal(routing.kept, expected)
    assert int(routing.dropped) == int((~expected).sum()) > 0
    assert torch.equal(routing.counts, torch.tensor(seen))
    assert torch.allclose(y, moe_reference(made, x, expected), atol=1e-12)
    y.sum().backward()
    assert all(torch.isfinite(one.grad).all() for one in (x, *made.parameters()))


def test_dropless_documents_do_not_touch_each_other_and_capped_ones_do():
    x = tokens().detach()
    other = torch.cat([x[:20] * 3 + 1, x[20:]])
    free = layer()
    assert torch.equal(free(x)[0][20:], free(other)[0][20:])
    capped = layer(replace(SMALL, capacity_factor=0.5))
    assert not torch.equal(capped(x)[0][20:], capped(other)[0][20:])


@pytest.mark.parametrize("kind", ["switch", "gshard"])
def test_balance_loss_is_one_at_balance_and_experts_at_collapse(kind):
    made = layer(replace(SMALL, aux=kind))
    with torch.no_grad():
        made.gate.weight.zero_()
    assert abs(made(tokens())[1].aux.item() - 1) < 1e-12  # equal probabilities, whatever the choice
    one = torch.zeros(10, 6, dtype=torch.float64)
    one[:, 2] = 1
    counts = torch.zeros(6, dtype=torch.int64)
    counts[2] = 10
    assert float(balance_loss(one, shares(counts), torch.tensor(10.0), None)) == 6


def test_gshard_counts_first_choices_and_switch_all():
    x = tokens()
    values = {}
    for kind in ("switch", "gshard"):
        made = layer(replace(SMALL, aux=kind))
        _, routing = made(x)
        used = routing.experts if kind == "switch" else routing.experts[:, :1]
        f = torch.bincount(used.flatten(), minlength=6) / used.numel()
        values[kind] = routing.aux.item()
        assert abs(values[kind] - float(6 * (f * routing.probabilities.mean(0)).sum())) < 1e-6
    assert values["switch"] != values["gshard"]


def test_z_loss_is_the_mean_squared_log_partition():
    made, x = layer(), tokens()
    expected = torch.logsumexp(x @ made.gate.weight.t(), -1).square().mean()
    assert torch.allclose(made(x)[1].z, expected)


def test_bias_balances_a_skewed_router_and_survives_a_cast():
    made = layer(replace(SMALL, bias_rate=0.004))
    with torch.no_grad():
        made.gate.weight[0] += 0.2
    x = torch.randn(600, SMALL.width, dtype=torch.float64) + 0.5

    def spread():
        return float(made(x)[1].counts.double().std())

    before = spread()
    for _ in range(200):
        made(x)
        update_biases(made)
    assert spread() < before / 3
    steps = made.steps.clone()
    update_biases(made, move=False)  # a skipped step: what it counted is forgotten
    update_biases(made)
    assert torch.equal(made.steps, steps)
    made.to(torch.bfloat16)
    assert torch.equal(made.steps, steps)
    made.eval()
    made(x.bfloat16())
    update_biases(made)
    assert torch.equal(made.steps, steps)  # evaluation moves nothing


def test_same_input_same_bits():
    made = layer(dtype=torch.float32)
    found = []
    for _ in range(2):
        x = tokens(300, torch.float32)
        made.zero_grad()
        y, _ = made(x)
        y.square().sum().backward()
        found.append([y, x.grad, *(one.grad.clone() for one in made.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_compiles_whole_and_equals_eager():
    made = layer(replace(SMALL, capacity_factor=1.0, bias_rate=0.0), torch.float32)
    x = tokens(64, torch.float32)
    compiled = torch.compile(made, fullgraph=True, backend="aot_eager")
    y, routing = compiled(x)
    expected, used = made(x)
    assert torch.allclose(y, expected, atol=1e-6)
    assert torch.equal(routing.counts, used.counts)
    found = torch.autograd.grad(y.square().sum() + routing.aux, made.parameters())
    wanted = torch.autograd.grad(expected.square().sum() + used.aux, made.parameters())
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(found, wanted, strict=True))


def test_autocast_computes_experts_narrow_and_the_router_wide():
    made, x = layer(dtype=torch.float32), tokens(64, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        y, routing = made(x)
    assert y.dtype == torch.bfloat16
    assert routing.probabilities.dtype == torch.float32
    assert torch.equal(routing.experts, made(x)[1].experts)
    y.float().sum().backward()
    assert made.gate_up.grad.dtype == torch.float32


def test_no_token_at_all():
    made = layer(dtype=torch.float32)
    mask = torch.zeros(8, dtype=torch.bool)
    y, routing = made(tokens(8, torch.float32), mask)
    (y[mask].sum() + routing.aux + routing.z).backward()
    assert routing.aux.item() == routing.z.item() == 0
    assert not made.gate_up.grad.any()


def test_widths_that_grouped_products_cannot_take_are_refused():
    with pytest.raises(ModelConfigError, match="multiple of 8"):
        MoE(replace(SMALL, expert_width=12))
