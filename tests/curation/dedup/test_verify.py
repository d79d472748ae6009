"""Promises of verification: the kernel counts what Python's sets count."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from curation.dedup.verify import count_common, count_common_reference

values = st.sets(st.one_of(st.integers(0, 40), st.integers(0, 2**32 - 1)), min_size=1, max_size=60)
count = njit(lambda a, b: count_common(a, b))


@given(values, values)
def test_kernel_equals_reference(a: set[int], b: set[int]) -> None:
    x, y = (np.array(sorted(one), np.uint32) for one in (a, b))
    assert count(x, y) == count(y, x) == count_common_reference(sorted(a), sorted(b))
