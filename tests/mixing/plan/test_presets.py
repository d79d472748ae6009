"""What each preset starts from, and how far the tilt goes."""

from __future__ import annotations

import numpy as np
import pytest

from mixing.inventory.cells import Cells
from mixing.plan import PlanConfig, plan
from mixing.plan.tilt import tilt
from tests.mixing.plan.some_cells import cells_of, corpus


def share(cells: Cells, x: np.ndarray, source: str) -> float:
    return float(x[np.array(cells.source) == source].sum() / x.sum())


def test_proportional_takes_every_document_alike() -> None:
    made = plan(corpus(), 500_000, PlanConfig("proportional"))
    np.testing.assert_allclose(made.epochs, 0.5)
    assert (made.lambda_, made.kl, made.ess) == (0, 0, pytest.approx(1))


def test_temperature_flattens_between_sources() -> None:
    made = plan(corpus(), 100_000, PlanConfig("temperature", tau=0.5, over="source", floors=0))
    assert share(corpus(), made.x, "books") == pytest.approx(1 / (1 + 3))  # √(100k) : √(900k)


def test_unimax_gives_sources_the_same_until_one_is_used_up() -> None:
    cells = cells_of([("a", "x", 2, 100, 0), ("b", "x", 2, 1_000, 0), ("c", "x", 2, 10_000, 0)])
    config = PlanConfig("unimax", over="source", caps=(2.0,) * 5, floors=0, fold=False)
    np.testing.assert_allclose(plan(cells, 300, config).x, [100, 100, 100])
    np.testing.assert_allclose(plan(cells, 1_200, config).x, [200, 500, 500])  # UniMax: capped, then shared out
    np.testing.assert_allclose(plan(cells, 6_200, config).x, [200, 2_000, 4_000])


def test_fixed_weights_are_kept_to_the_token() -> None:
    made = plan(corpus(), 400_000, PlanConfig("fixed", weights={"web": 0.75, "books": 0.25}))
    assert share(corpus(), made.x, "books") == pytest.approx(0.25)


def test_fixed_weights_of_one_source_leave_the_others_out_and_say_so() -> None:
    made = plan(corpus(), 100_000, PlanConfig("fixed", weights={"web": 0.0, "books": 1.0}))
    assert share(corpus(), made.x, "books") == 1
    assert any("their weight is 0" in line for line in made.warnings)


def test_a_regression_s_optimum_may_name_categories() -> None:
    config = PlanConfig("regression", weights={"science": 0.2, "sport": 0.8}, weights_of="category", caps=(9.0,) * 5)
    made = plan(corpus(), 100_000, config)
    assert made.x[np.array(corpus().category) == "sport"].sum() == pytest.approx(80_000)


def test_weights_with_two_decimals_are_divided_by_their_sum_and_say_so() -> None:
    made = plan(corpus(), 100_000, PlanConfig("fixed", weights={"web": 0.66, "books": 0.335}))
    assert share(corpus(), made.x, "web") == pytest.approx(0.66 / 0.995)
    assert any("divided" in line for line in made.warnings)


def test_tilt_of_normal_scores_has_the_known_lambda_and_effective_sample() -> None:
    from statistics import NormalDist

    score = np.array([NormalDist().inv_cdf((i + 0.5) / 20_000) for i in range(20_000)])
    for kappa, strength, effective in ((0.1, 0.447, 0.82), (0.25, 0.707, 0.61), (0.5, 1.0, 0.37)):
        found = tilt(np.full(20_000, -np.log(20_000)), score, kappa)
        assert found.lambda_ == pytest.approx(strength, abs=0.003)  # KL = λ²/2
        assert found.ess == pytest.approx(effective, abs=0.01)  # exp(−λ²)
        assert kappa - 1e-9 < found.kl <= kappa


def test_tilt_without_spread_or_without_kl_changes_nothing() -> None:
    log_b = np.log(np.array([0.2, 0.8]))
    assert tilt(log_b, np.array([3.0, 3.0]), 0.25).lambda_ == 0
    np.testing.assert_allclose(tilt(log_b, np.array([0.0, 1.0]), 0).log_q, log_b)


def test_shares_that_do_not_fit_a_float_keep_their_order() -> None:
    cells = cells_of([("a", "x", 4, 1_000, 0.0), ("a", "y", 4, 1_000, 50.0), ("a", "z", 4, 1_000, 1_000.0)])
    config = PlanConfig(kl=1e9, floors=0, fold=False, caps=(1.0,) * 5)
    made = plan(cells, 1_500, config)
    assert made.q[0] < 1e-290  # and yet:
    np.testing.assert_allclose(made.x, [0, 500, 1_000], atol=1e-6)
    np.testing.assert_allclose(plan(cells, 2_500, config).x, [500, 1_000, 1_000])
    assert any("no tilt reaches" in line for line in made.warnings)


def test_soft_caps_follow_the_data_constrained_law() -> None:
    cells = cells_of([("a", "x", 4, 1_000, 0.0), ("a", "x", 3, 1_000, -0.05), ("a", "y", 0, 1_000, -9.0)])
    made = plan(cells, 6_000, PlanConfig(kl=0.5, floors=0, soft_caps=True, fold=False))
    v = made.q / made.prior
    e = made.epochs
    used = e > 1
    nu = v[used] * np.exp(-(e[used] - 1) / 15.387756)  # one price for all that is repeated
    np.testing.assert_allclose(nu, nu[0])
    np.testing.assert_allclose(e[used], 1 + 15.387756 * np.log(v[used] / nu[0]))
    assert e[0] == 0 and any("soft_caps" in line for line in made.warnings)


def test_effective_tokens_of_four_epochs_are_93_percent() -> None:
    made = plan(cells_of([("a", "x", 4, 10_000, 0.0)]), 40_000, PlanConfig())
    assert made.effective[0] / 40_000 == pytest.approx(0.931, abs=5e-4)  # Muennighoff 2023
