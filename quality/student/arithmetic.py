"""exp, log and sums that give the same bits on every machine.

libm and numpy choose their exp and log by processor, and the last bit differs; a model file that is to
be rebuilt byte for byte cannot contain such a bit.  Here only IEEE-exact operations are used (+ − × ÷,
rounding, scaling by powers of two), element by element; sums run from left to right, never through
BLAS.  Errors are below 4 units in the last place over the range used (tests).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

Array = np.ndarray[Any, Any]

LN2_HIGH = 6.93147180369123816490e-01  # Cody–Waite split of ln 2 (fdlibm): n · LN2_HIGH is exact for |n| < 2^20
LN2_LOW = 1.90821492927058770002e-10
_EXP_TERMS = 14  # |r| ≤ ln2/2: 0.35^14 / 14! < 1e-17
_LOG_TERMS = 12  # |s| ≤ 0.172: s^25 / 25 < 1e-20


def exp(x: Array) -> Array:
    """e^x, float64, x clipped to [−700, 700]."""
    x = np.clip(np.asarray(x, dtype=np.float64), -700.0, 700.0)
    n = np.rint(x / 0.6931471805599453)
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    series = np.ones_like(r)
    for k in range(_EXP_TERMS, 0, -1):
        series = 1.0 + r * series / k
    return np.asarray(np.ldexp(series, n.astype(np.int32)))


def log(x: Array) -> Array:
    """ln x, float64, x > 0."""
    mantissa, power = np.frexp(np.asarray(x, dtype=np.float64))
    low = mantissa < 0.7071067811865476
    mantissa = np.where(low, mantissa * 2.0, mantissa)
    power = (power - low).astype(np.float64)
    s = (mantissa - 1.0) / (mantissa + 1.0)
    square = s * s
    series = np.zeros_like(s)
    for k in range(_LOG_TERMS, 0, -1):
        series = square * (1.0 / (2 * k + 1) + series)
    return np.asarray(power * LN2_HIGH + (power * LN2_LOW + 2.0 * (s + s * series)))


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^−x)."""
    return np.asarray(1.0 / (1.0 + exp(-np.asarray(x))))


def softmax(logits: Array) -> Array:
    """Row-wise, float64[n, C]; the sum runs over the columns from left to right."""
    e = exp(logits - logits.max(axis=1, keepdims=True))
    total = e[:, 0].copy()
    for column in range(1, e.shape[1]):
        total += e[:, column]
    return np.asarray(e / total[:, None])


def rows_dot(matrix: Array, vector: Array) -> Array:
    """matrix[n, k] · vector[k], column after column: a row's value does not depend on the other rows."""
    out = np.zeros(len(matrix))
    for column, weight in enumerate(vector):
        out += matrix[:, column] * weight
    return out


@njit(cache=True, nogil=True)  # type: ignore[misc]
def inner(a: Array, b: Array) -> float:
    """Σ a·b over two float64 vectors, left to right."""
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


def total(a: Array) -> float:
    """Σ a, left to right."""
    return float(inner(np.ascontiguousarray(a, dtype=np.float64).ravel(), np.ones(a.size)))
