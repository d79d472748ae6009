"""Ridge and multinomial logistic regression through the Gram matrix of the texts, in a fixed order of sums.

With more n-grams than texts both problems are solved by weights w = Xᵀα (representer theorem): all
that training needs is K = XXᵀ [n, n] and products K·A.  One K serves every head and every fold.  No BLAS:
its sums depend on the library, the processor and the number of threads, these run from left to right.
Both problems are strictly convex, so the solution is one, found to `TOLERANCE`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from quality.student.arithmetic import Array, inner, log, softmax, total

TOLERANCE = 1e-8  # of the gradient's norm, relative to its first value
MAX_STEPS = 500
BLOCK = 8  # float64 in a cache line
MEMORY = 10  # pairs that L-BFGS keeps


@njit(cache=True, nogil=True)  # type: ignore[misc]
def gram(indptr: Any, indices: Any, values: Any, columns: int) -> Any:
    """K = XXᵀ, float64[n, n], of a CSR matrix with `columns` columns.

    BLOCK texts are spread out side by side, so that one cache line serves BLOCK sums.
    """
    n = indptr.size - 1
    out = np.zeros((n, n))
    dense = np.zeros((columns, BLOCK))
    sums = np.zeros(BLOCK)
    for first in range(0, n, BLOCK):
        last = min(first + BLOCK, n)
        for i in range(first, last):
            for p in range(indptr[i], indptr[i + 1]):
                dense[indices[p], i - first] = values[p]
        for j in range(last):
            sums[:] = 0.0
            for p in range(indptr[j], indptr[j + 1]):
                value, row = values[p], indices[p]
                for b in range(BLOCK):
                    sums[b] += value * dense[row, b]
            for i in range(max(first, j), last):
                out[i, j] = sums[i - first]
                out[j, i] = sums[i - first]
        for p in range(indptr[first], indptr[last]):
            dense[indices[p], :] = 0.0
    return out


@njit(cache=True, nogil=True)  # type: ignore[misc]
def product(k: Any, a: Any) -> Any:
    """K·A for float64[m, n], float64[n, c]; every output sums over n from left to right."""
    out = np.zeros((k.shape[0], a.shape[1]))
    for i in range(k.shape[0]):
        for j in range(k.shape[1]):
            weight = k[i, j]
            for c in range(a.shape[1]):
                out[i, c] += weight * a[j, c]
    return out


@njit(cache=True, nogil=True)  # type: ignore[misc]
def weights_of(indptr: Any, indices: Any, values: Any, alpha: Any, columns: int) -> Any:
    """XᵀA, float64[columns, c]."""
    out = np.zeros((columns, alpha.shape[1]))
    for i in range(indptr.size - 1):
        for p in range(indptr[i], indptr[i + 1]):
            for c in range(alpha.shape[1]):
                out[indices[p], c] += values[p] * alpha[i, c]
    return out


def ridge(k: Array, y: Array, weight: Array, penalty: float) -> tuple[Array, float]:
    """argmin Σ weight·(y − K·α − b)² + penalty·αᵀKα: (α float64[n], b), the intercept b free.

    (K + penalty·diag(1/weight))α = y − b·1 with Σα = 0; both right-hand sides by conjugate gradients.
    """
    diagonal = penalty / weight
    solved = _conjugate_gradients(k, diagonal, np.column_stack([y, np.ones_like(y)]))
    u, v = np.ascontiguousarray(solved[:, 0]), np.ascontiguousarray(solved[:, 1])
    ones = np.ones_like(u)
    intercept = inner(u, ones) / inner(v, ones)
    return u - intercept * v, float(intercept)


def narrow_ridge(x: Array, y: Array, weight: Array, penalty: float) -> tuple[Array, float]:
    """argmin Σ weight·(y − x·w − b)² + penalty·‖w‖² for few columns, float64[n, s]: (w, b), by Cholesky."""
    mass = total(weight)
    centre = np.array([inner(np.ascontiguousarray(x[:, c]), weight) for c in range(x.shape[1])]) / mass
    middle = inner(y, weight) / mass
    shifted = np.ascontiguousarray(x - centre)
    left = np.ascontiguousarray((shifted * weight[:, None]).T)
    normal = product(left, shifted) + penalty * np.eye(x.shape[1])
    w = _cholesky_solve(normal, product(left, (y - middle)[:, None])[:, 0])
    return w, float(middle - inner(centre, w))


@njit(cache=True, nogil=True)  # type: ignore[misc]
def _cholesky_solve(a: Any, b: Any) -> Any:
    """a⁻¹·b for a positive definite matrix, which is overwritten by its factor."""
    n = b.size
    for i in range(n):
        for j in range(i + 1):
            rest = a[i, j]
            for k in range(j):
                rest -= a[i, k] * a[j, k]
            a[i, j] = np.sqrt(rest) if i == j else rest / a[j, j]
    x = b.copy()
    for i in range(n):
        for k in range(i):
            x[i] -= a[i, k] * x[k]
        x[i] /= a[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            x[i] -= a[k, i] * x[k]
        x[i] /= a[i, i]
    return x


def _conjugate_gradients(k: Array, diagonal: Array, right: Array) -> Array:
    """(K + diag)⁻¹·right, each column by its own step lengths, preconditioned by the diagonal."""
    scale = 1.0 / (np.diagonal(k) + diagonal)[:, None]
    x = np.zeros_like(right)
    residual = right.copy()
    direction = scale * residual
    rho = _columns(residual, direction)
    start = _columns(residual, residual)
    for _ in range(MAX_STEPS):
        image = product(k, direction) + diagonal[:, None] * direction
        step = _ratio(rho, _columns(direction, image))
        x += direction * step
        residual = residual - image * step
        if (_columns(residual, residual) <= TOLERANCE**2 * start).all():
            break
        scaled = scale * residual
        following = _columns(residual, scaled)
        direction = scaled + direction * _ratio(following, rho)
        rho = following
    return x


def _columns(a: Array, b: Array) -> Array:
    return np.array([inner(np.ascontiguousarray(a[:, c]), np.ascontiguousarray(b[:, c])) for c in range(a.shape[1])])


def _ratio(a: Array, b: Array) -> Array:
    return np.where(b > 0.0, a / np.where(b > 0.0, b, 1.0), 0.0)


def logistic(k: Array, target: Array, weight: Array, penalty: float, tolerance: float = 1e-5) -> Array:
    """argmin Σ weight·(−Σ_c target·ln p) + penalty/2·tr(AᵀKA), p = softmax(K·A): A float64[n, C].

    `target` float64[n, C] has rows that sum to 1.  There is no free intercept: add a constant to K
    (a feature that is 1 in every text).  L-BFGS in the space of w = XᵀA, of which only A and K·A are kept.
    """
    a, ka = np.zeros_like(target), np.zeros_like(target)
    value, residual = _loss(a, ka, target, weight, penalty)
    image = product(k, residual)
    first = norm = _dot(residual, image)
    pairs: list[tuple[Array, Array, Array, Array, float]] = []
    for _ in range(MAX_STEPS):
        if norm <= tolerance**2 * first:
            break
        d, kd = _two_loops(pairs, residual, image)
        slope = _dot(d, image)
        step = 1.0 if pairs else 1.0 / (1.0 + np.sqrt(norm))
        while True:
            new_a, new_ka = a + step * d, ka + step * kd
            new_value, new_residual = _loss(new_a, new_ka, target, weight, penalty)
            if new_value <= value + 1e-4 * step * slope or step < 1e-10:
                break
            step *= 0.5
        new_image = product(k, new_residual)
        y, ky = new_residual - residual, new_image - image
        s, ks = step * d, step * kd
        curvature = _dot(s, ky)
        if curvature <= 0.0:
            break  # rounding: no further descent can be measured
        pairs = [*pairs[-(MEMORY - 1) :], (s, ks, y, ky, curvature)]
        a, ka, value, residual, image = new_a, new_ka, new_value, new_residual, new_image
        norm = _dot(residual, image)
    return a


def _loss(a: Array, ka: Array, target: Array, weight: Array, penalty: float) -> tuple[float, Array]:
    """The objective and the gradient's coefficients R (the gradient is XᵀR)."""
    p = softmax(ka)
    entropy = -target * log(np.maximum(p, 1e-300))
    value = _dot(np.broadcast_to(weight[:, None], p.shape), entropy) + 0.5 * penalty * _dot(a, ka)
    return value, weight[:, None] * (p - target) + penalty * a


def _two_loops(pairs: list[tuple[Array, Array, Array, Array, float]], r: Array, kr: Array) -> tuple[Array, Array]:
    """−H·gradient and its product with K (Nocedal & Wright, algorithm 7.4)."""
    q, kq = r.copy(), kr.copy()
    kept = []
    for s, _, y, ky, curvature in reversed(pairs):
        factor = _dot(s, kq) / curvature
        q -= factor * y
        kq -= factor * ky
        kept.append(factor)
    if pairs:
        _, _, y, ky, curvature = pairs[-1]
        gamma = curvature / _dot(y, ky)
        q *= gamma
        kq *= gamma
    for (s, ks, y, _, curvature), factor in zip(pairs, reversed(kept), strict=True):
        beta = _dot(y, kq) / curvature
        q += (factor - beta) * s
        kq += (factor - beta) * ks
    return -q, -kq


def _dot(a: Array, b: Array) -> float:
    return float(inner(np.ascontiguousarray(a).ravel(), np.ascontiguousarray(b).ravel()))
