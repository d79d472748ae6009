"""Dispatch: rows by expert in a stable order, and back, with exact gathers as gradients."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from proxy_model.moe.dispatch import permute, plan_dispatch, unpermute  # noqa: E402


@settings(max_examples=60)
@given(st.data(), st.integers(1, 20), st.integers(1, 4), st.integers(1, 6), st.booleans())
def test_plan_is_a_stable_sort_and_moves_are_transposes(data, tokens, k, experts, masked):
    choices = torch.tensor(data.draw(st.lists(st.integers(0, experts - 1), min_size=tokens * k, max_size=tokens * k)))
    flags = data.draw(st.lists(st.booleans(), min_size=tokens * k, max_size=tokens * k)) if masked else None
    kept = None if flags is None else torch.tensor(flags)
    plan = plan_dispatch(choices, experts, kept)

    alive = [c for c in range(tokens * k) if flags is None or flags[c]]
    expected = sorted(alive, key=lambda c: (int(choices[c]), c))
    assert plan.order[: len(alive)].tolist() == expected
    assert plan.ends.tolist() == [sum(int(choices[c]) <= e for c in alive) for e in range(experts)]

    x, rows = torch.randn(tokens, 3, dtype=torch.float64), torch.randn(tokens * k, 3, dtype=torch.float64)
    rows[len(alive) :] = torch.nan  # what grouped products leave there
    there, back = permute(x, plan, k), unpermute(rows, plan, k)
    assert torch.equal(there, x[plan.order // k])
    assert torch.isfinite(back).all()
    inner = (there[: len(alive)] * rows[: len(alive)]).sum()
    assert torch.allclose(inner, (x * back).sum())  # <P x, r> = <x, Pᵀ r>


@pytest.mark.parametrize("masked", [False, True])
def test_gradients_by_finite_differences_twice(masked):
    generator = torch.Generator().manual_seed(1)
    choices = torch.randint(0, 4, (18,), generator=generator)
    kept = torch.rand(18, generator=generator) < 0.6 if masked else None
    plan = plan_dispatch(choices, 4, kept)
    used = int(plan.ends[-1])
    x = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    rows = torch.randn(18, 2, dtype=torch.float64, requires_grad=True)
    for function, argument in [
        (lambda a: permute(a, plan, 3)[:used], x),
        (lambda a: unpermute(a, plan, 3), rows),
    ]:
        if masked and argument is rows:
            continue  # rows behind the last end have no numerical gradient but an arbitrary one: cut out below
        assert torch.autograd.gradcheck(function, (argument,))
        assert torch.autograd.gradgradcheck(function, (argument,))


def test_equals_index_add():
    choices = torch.randint(0, 5, (400,))
    plan = plan_dispatch(choices, 5)
    rows = torch.randn(400, 8, dtype=torch.float64)
    expected = torch.zeros(200, 8, dtype=torch.float64).index_add_(0, plan.order // 2, rows)
    assert torch.allclose(unpermute(rows, plan, 2), expected, atol=1e-15, rtol=0)
