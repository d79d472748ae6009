"""The buffers behind an Arrow text column, for the kernels."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def text_buffers(text: pa.LargeStringArray) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """(n + 1 byte offsets, UTF-8 bytes) of a large_string array of n texts, without copying.

    Honours the array's own offset, so a slice works.  Both are read-only, whatever the buffers are: numba
    compiles a kernel once for each.  Raises TypeError for any other type of array.
    """
    if not isinstance(text, pa.LargeStringArray):
        raise TypeError(f"text must be a pyarrow.LargeStringArray, not {type(text).__name__}")
    _, offsets, data = text.buffers()
    ends, bytes_ = np.zeros(1, np.int64), np.empty(0, np.uint8)
    if len(text) > 0 and offsets is not None:
        ends = np.frombuffer(offsets, np.int64, len(text) + 1, 8 * text.offset)
        bytes_ = np.frombuffer(data, np.uint8) if data is not None else bytes_
    ends.setflags(write=False)
    bytes_.setflags(write=False)
    return ends, bytes_
