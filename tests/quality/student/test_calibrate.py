import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quality.student import calibrate
from quality.student.arithmetic import sigmoid, softmax


def test_cumulative_link_finds_the_minimum_of_its_loss():
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(1)
    score, weight = rng.normal(size=200), rng.uniform(0.5, 2, 200)
    y = np.clip(np.round(score + 2.5 + rng.normal(size=200)), 0, 5)
    slope, cuts = calibrate.cumulative_link(score, y, weight, 6)
    target = calibrate.spread(y, 6)
    mass, share = weight.sum(), ((target * weight[:, None]).sum(0) + 0.5) / (weight.sum() + 1)
    target = (target * mass + share) / (mass + 1)
    found = optimize.minimize(
        lambda v: calibrate._link_loss(score, target, weight, v[0], v[1:]), np.r_[1.0, np.arange(5.0)], tol=1e-10
    )
    assert np.allclose(found.x, np.r_[slope, cuts], atol=1e-3)
    assert (np.diff(cuts) > 0).all()


def test_cumulative_link_is_calibrated_on_what_it_was_fitted_on():
    rng = np.random.default_rng(2)
    score = rng.normal(size=3000)
    y = (sigmoid(2 * score[:, None] - np.array([-2.0, 0.0, 1.0])) > rng.random((3000, 1))).sum(1).astype(float)
    slope, cuts = calibrate.cumulative_link(score, y, np.ones(3000), 4)
    assert abs(slope - 2) < 0.2 and np.abs(cuts - [-2.0, 0.0, 1.0]).max() < 0.2


@pytest.mark.parametrize("y", [[0, 0, 1, 1], [2, 2, 2, 3], [0, 5, 0, 5]])
def test_levels_without_labels_and_separated_scores_stay_finite(y):
    slope, cuts = calibrate.cumulative_link(np.array([-1.0, -0.5, 0.5, 1.0]), np.array(y, float), np.ones(4), 6)
    assert np.isfinite(slope) and np.isfinite(cuts).all() and (np.diff(cuts) >= 0).all()


def test_temperature_undoes_a_known_one():
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(4000, 5))
    labels = (softmax(logits * 1.7).cumsum(1) > rng.random((4000, 1))).argmax(1)
    assert abs(calibrate.temperature(logits, np.eye(5)[labels], np.ones(4000)) - 1.7) < 0.1


def test_an_offset_is_shrunk_by_n_over_n_plus_200():
    p = np.zeros((300, 2))
    p[:100, 0], p[100:, 1] = 1, 1
    residual = np.r_[np.full(100, 0.6), np.full(200, -0.3)]
    assert np.allclose(calibrate.category_offsets(residual, p, np.ones(300)), [0.6 * 100 / 300, -0.3 * 200 / 400])


@given(st.integers(1, 400), st.integers(0, 2**32 - 1))
def test_conformal_radius_is_the_stated_order_statistic(n, seed):
    residual = np.random.default_rng(seed).normal(size=n)
    radius = calibrate.conformal_radius(residual, 0.9)
    inside = (np.abs(residual) <= radius).sum()
    assert inside >= min(n, 0.9 * (n + 1)) - 1e-9 and inside - 1 < 0.9 * (n + 1)


def test_conformal_intervals_cover_new_draws():
    rng = np.random.default_rng(4)
    hits = [
        abs(rng.normal()) <= calibrate.conformal_radius(rng.normal(size=30), 0.9)
        for _ in range(3000)
    ]  # fmt: skip
    assert 0.885 <= np.mean(hits) <= 0.93  # at least 0.9 in expectation, at most 0.9 + 1/31


def test_a_radius_for_new_origins_gives_each_origin_the_same_say():
    small, large = np.full(990, 0.1), np.full(10, 2.0)
    origins = ["big"] * 990 + [f"o{i}" for i in range(10)]  # nine in ten origins have large residuals
    residual = np.r_[small, large]
    assert calibrate.conformal_radius(residual, 0.9) == 0.1
    assert calibrate.origin_radius(residual, origins, 0.9) == 2.0
    alike = np.arange(1.0, 100.0)
    each = [f"o{i}" for i in range(99)]
    assert calibrate.origin_radius(alike, each, 0.9) == calibrate.conformal_radius(alike, 0.9) == 90
    assert calibrate.origin_radius(alike, ["one"] * 99, 0.9) == 99  # one origin tells nothing of others


def test_a_mean_between_two_levels_counts_half_for_each():
    assert calibrate.spread(np.array([2.5]), 6).tolist() == [[1, 1, 0.5, 0, 0]]
