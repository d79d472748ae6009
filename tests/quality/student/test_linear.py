"""Ridge and logistic are the textbook problems: scikit-learn finds the same solutions."""

import numpy as np
import pytest

from quality.student import linear

sparse = pytest.importorskip("scipy.sparse")


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(5)
    x = sparse.random(80, 300, density=0.1, random_state=rng, format="csr")
    x.sort_indices()
    y = np.asarray(x @ rng.normal(size=300)) + 0.1 * rng.normal(size=80)
    k = linear.gram(x.indptr.astype(np.int64), x.indices, x.data, 300)
    return x, y, k, rng.uniform(0.2, 3, 80), rng


def test_gram_is_the_product_of_all_pairs(problem):
    x, _, k, _, _ = problem
    assert np.allclose(k, (x @ x.T).toarray(), atol=1e-14)


def test_product_agrees_with_matmul(problem):
    _, _, k, _, rng = problem
    a = rng.normal(size=(80, 5))
    assert np.allclose(linear.product(k, a), k @ a, atol=1e-12)


@pytest.mark.parametrize("penalty", [0.05, 1.0, 30.0])
def test_weighted_ridge_with_free_intercept_agrees_with_scikit_learn(problem, penalty):
    x, y, k, weight, _ = problem
    oracle = pytest.importorskip("sklearn.linear_model").Ridge(penalty, solver="cholesky")
    oracle.fit(x.toarray(), y, sample_weight=weight)
    alpha, intercept = linear.ridge(k, y, weight, penalty)
    w = linear.weights_of(x.indptr, x.indices, x.data, alpha[:, None], 300)[:, 0]
    assert np.allclose(w, oracle.coef_, atol=1e-6) and np.isclose(intercept, oracle.intercept_, atol=1e-6)


@pytest.mark.parametrize("columns", [0, 1, 20])
def test_narrow_ridge_agrees_with_scikit_learn(problem, columns):
    x, y, _, weight, _ = problem
    few = np.ascontiguousarray(x.toarray()[:, :columns])
    w, intercept = linear.narrow_ridge(few, y, weight, 2.0)
    if not columns:
        assert np.isclose(intercept, np.average(y, weights=weight)) and len(w) == 0
        return
    oracle = pytest.importorskip("sklearn.linear_model").Ridge(2.0).fit(few, y, sample_weight=weight)
    assert np.allclose(w, oracle.coef_, atol=1e-9) and np.isclose(intercept, oracle.intercept_, atol=1e-9)


@pytest.mark.parametrize("penalty", [0.05, 1.0])
def test_weighted_logistic_agrees_with_scikit_learn(problem, penalty):
    x, y, k, weight, _ = problem
    labels = np.digitize(y, np.quantile(y, [0.3, 0.7, 0.9]))
    oracle = pytest.importorskip("sklearn.linear_model").LogisticRegression(
        C=1 / penalty, fit_intercept=False, tol=1e-10, max_iter=10_000
    )
    with_constant = np.column_stack([x.toarray(), np.ones(80)])
    oracle.fit(with_constant, labels, sample_weight=weight)
    target = np.eye(4)[labels]
    alpha = linear.logistic(k + 1.0, target, weight, penalty, tolerance=1e-8)
    assert np.allclose((k + 1.0) @ alpha, with_constant @ oracle.coef_.T, atol=1e-4)


def test_a_class_without_examples_gets_almost_no_probability(problem):
    from quality.student.arithmetic import softmax

    _, y, k, _, _ = problem
    target = np.eye(3)[(y > 0).astype(int)]
    alpha = linear.logistic(k + 1.0, target, np.ones(80), 0.03)
    assert softmax(linear.product(k + 1.0, alpha))[:, 2].max() < 0.05


def test_doubling_a_weight_is_the_same_as_repeating_the_text(problem):
    x, y, _, _, _ = problem
    twice = sparse.vstack([x, x[:1]]).tocsr()
    k = linear.gram(twice.indptr.astype(np.int64), twice.indices, twice.data, 300)
    repeated, b = linear.ridge(k, np.append(y, y[0]), np.ones(81), 1.0)
    weight = np.ones(80)
    weight[0] = 2
    weighted, a = linear.ridge(np.ascontiguousarray(k[:80, :80]), y, weight, 1.0)
    assert np.allclose(k @ repeated + b, k[:, :80] @ weighted + a, atol=1e-7)
