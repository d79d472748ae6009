"""A text column with some of its rows replaced."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def replace_rows(text: pa.LargeStringArray, changed: dict[int, str]) -> pa.LargeStringArray:
    """large_string of n rows in which row i is `changed[i]`, for every i there; keys in ascending order."""
    if not changed:
        return text
    mask = np.zeros(len(text), np.bool_)
    mask[list(changed)] = True
    return pc.replace_with_mask(text, pa.array(mask), pa.array(changed.values(), pa.large_string()))
