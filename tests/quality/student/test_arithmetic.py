import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from quality.student import arithmetic

floats = st.floats(-690, 690, allow_nan=False)


@given(st.lists(floats, min_size=1, max_size=20))
def test_exp_agrees_with_libm_to_rounding(values):
    x = np.array(values)
    assert np.abs(arithmetic.exp(x) / np.exp(x) - 1).max() < 1e-15


@given(st.lists(st.floats(1e-300, 1e300), min_size=1, max_size=20))
def test_log_agrees_with_libm_to_rounding(values):
    x = np.array(values)
    assert np.allclose(arithmetic.log(x), np.log(x), rtol=1e-15, atol=2e-16)


def test_exp_and_log_keep_these_very_bits():
    """Golden: a change of a bit here changes every model file."""
    x = np.array([-3.7, -0.1, 0.0, 1e-9, 0.5, 1.0, 20.25])
    assert arithmetic.exp(x).view(np.uint64).tolist() == GOLDEN_EXP
    assert arithmetic.log(np.array([1e-9, 0.3, 0.5, 1.0, 7.0, 510.0])).view(np.uint64).tolist() == GOLDEN_LOG


def test_softmax_of_large_logits_is_finite_and_sums_to_one():
    p = arithmetic.softmax(np.array([[1e4, -1e4, 0.0], [3.0, 3.0, 3.0]]))
    assert np.allclose(p.sum(axis=1), 1) and np.allclose(p[1], 1 / 3) and p[0, 0] == 1


def test_a_row_of_rows_dot_does_not_depend_on_the_other_rows():
    rng = np.random.default_rng(0)
    matrix, vector = rng.normal(size=(50, 7)), rng.normal(size=7)
    alone = np.concatenate([arithmetic.rows_dot(matrix[i : i + 1], vector) for i in range(50)])
    assert (alone == arithmetic.rows_dot(matrix, vector)).all() and np.allclose(alone, matrix @ vector)


GOLDEN_EXP = [
    4582783292742766660,
    4606325270462671674,
    4607182418800017408,
    4607182418804521008,
    4610103999673009820,
    4613303445314885482,
    4738509012869932714,
]
GOLDEN_LOG = [
    13849898335305727928,
    13831473067500349217,
    13827790571168217583,
    0,
    4611442419394828887,
    4618705340882692874,
]
