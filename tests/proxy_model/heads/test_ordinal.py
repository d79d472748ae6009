"""Promises of the losses: probabilities of levels are those of the definition, ordered, and learn what they should."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy_model.heads.linear import Pairs, fit_categories, fit_ordinal
from proxy_model.heads.ordinal import at_least, level_targets, log_levels, ordered, pair_nats, unordered

REAL = st.floats(-30, 30)


def log_levels_reference(score: float, cuts: list[float], factor: float) -> list[float]:
    """P(level = l) as differences of σ(z) = ½(1 + tanh(z/2))."""
    above = [1.0, *((1 + math.tanh(factor * (score - cut) / 2)) / 2 for cut in cuts), 0.0]
    return [above[i] - above[i + 1] for i in range(len(above) - 1)]


@given(REAL, st.floats(-10, 10), st.lists(st.floats(-5, 10), min_size=1, max_size=6), st.floats(0.05, 20))
@settings(deadline=None, max_examples=200)
def test_levels_are_a_distribution_equal_to_the_definition(
    score: float, first: float, gaps: list[float], factor: float
) -> None:
    cuts = ordered(torch.tensor(first, dtype=torch.float64), torch.tensor(gaps, dtype=torch.float64))
    assert (cuts.diff() > 0).all()
    log_p = log_levels(torch.tensor([score], dtype=torch.float64), cuts, factor)
    assert torch.isfinite(log_p).all()
    assert log_p.exp().sum().item() == pytest.approx(1, abs=1e-9)
    assert log_p[0].exp().tolist() == pytest.approx(log_levels_reference(score, cuts.tolist(), factor), abs=1e-9)
    above = at_least(torch.tensor([score], dtype=torch.float64), cuts, factor)[0]
    assert (above.diff() <= 0).all()
    more = at_least(torch.tensor([score + 1], dtype=torch.float64), cuts, factor)[0]
    assert (more >= above).all()
    assert torch.allclose(log_p.exp().flip(1).cumsum(1).flip(1)[0, 1:], above, atol=1e-9)


def test_far_scores_have_finite_losses_and_gradients() -> None:
    score = torch.tensor([-1e4, -50.0, 0.0, 50.0, 1e4], requires_grad=True)
    log_p = log_levels(score, torch.tensor([-1.0, 0.0, 1.0]))
    log_p.sum().backward()
    assert torch.isfinite(log_p).all() and torch.isfinite(score.grad).all()  # type: ignore[arg-type]


@given(st.lists(st.floats(0.01, 5), min_size=1, max_size=5), st.floats(-5, 5))
def test_cut_points_survive_their_parameters(steps: list[float], first: float) -> None:
    cuts = torch.tensor([first, *steps], dtype=torch.float64).cumsum(0)
    assert torch.allclose(ordered(*unordered(cuts)), cuts, atol=1e-6)


@given(st.lists(st.floats(0, 5), min_size=1, max_size=20))
def test_a_label_between_two_levels_is_shared_by_them(values: list[float]) -> None:
    made = level_targets(torch.tensor(values, dtype=torch.float64), 6)
    assert torch.allclose(made.sum(1), torch.ones(len(values), dtype=torch.float64))
    assert torch.allclose(made @ torch.arange(6.0, dtype=torch.float64), torch.tensor(values, dtype=torch.float64))
    assert (made >= 0).all() and ((made > 0).sum(1) <= 2).all()


def test_planted_cut_points_are_found() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(4000, 3, dtype=torch.float64, generator=generator)
    slopes, cuts = torch.tensor([2.0, -1.0, 0.0], dtype=torch.float64), torch.tensor([-2.0, 0.0, 1.0])
    noise = torch.rand(4000, dtype=torch.float64, generator=generator)
    levels = (at_least(x @ slopes, cuts) > noise[:, None]).sum(1).double()
    found, places = fit_ordinal(x, level_targets(levels, 4), torch.ones(4000, dtype=torch.float64), 1e-6)
    assert (found - slopes).abs().max() < 0.15 and (places - cuts).abs().max() < 0.15


def test_categories_agree_with_their_optimum() -> None:
    sklearn = pytest.importorskip("sklearn.linear_model")
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(300, 4, dtype=torch.float64, generator=generator)
    y = (x[:, 0] > 0).long() + (x[:, 1] > 0.5).long()
    y = torch.where(torch.rand(300, generator=generator) < 0.1, 0, y)
    slopes, bias = fit_categories(
        x, torch.nn.functional.one_hot(y, 3).double(), torch.ones(300, dtype=torch.float64), 0.01
    )
    theirs = sklearn.LogisticRegression(C=1 / (0.01 * 300), tol=1e-10, max_iter=5000).fit(x.numpy(), y.numpy())
    ours = torch.softmax(x @ slopes.t() + bias, 1).numpy()
    assert abs(ours - theirs.predict_proba(x.numpy())).max() < 1e-4


def test_pairs_alone_teach_an_order() -> None:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(200, 3, dtype=torch.float64, generator=generator)
    quality = x @ torch.tensor([1.0, 0.5, -1.0], dtype=torch.float64)
    a, b = torch.randint(0, 200, (2, 400), generator=generator)
    better, worse = torch.where(quality[a] > quality[b], a, b), torch.where(quality[a] > quality[b], b, a)
    flat = torch.full((200, 4), 0.25, dtype=torch.float64)  # labels that say nothing
    slopes, _ = fit_ordinal(x, flat, torch.ones(200, dtype=torch.float64), 1e-3, Pairs(better, worse))
    fresh = torch.randn(500, 3, dtype=torch.float64, generator=generator)
    truth = fresh @ torch.tensor([1.0, 0.5, -1.0], dtype=torch.float64)
    assert torch.corrcoef(torch.stack([fresh @ slopes, truth]))[0, 1] > 0.99
    blind, _ = fit_ordinal(x, flat, torch.ones(200, dtype=torch.float64), 1e-3)
    assert blind.abs().max() < 1e-6


def test_a_pair_is_bradley_terry_and_only_of_the_rows_at_hand() -> None:
    assert pair_nats(torch.tensor(2.0), torch.tensor(0.5)).item() == pytest.approx(-math.log(1 / (1 + math.exp(-1.5))))
    some = Pairs(torch.tensor([0, 3, 4]), torch.tensor([3, 2, 0])).inside(torch.tensor([4, 3, 0]), 5)
    assert (some.better.tolist(), some.worse.tolist()) == ([2, 0], [1, 2])
