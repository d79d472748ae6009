"""Promises of how kernels are compiled."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from curation.pipeline import compiling
from curation.text.kernel import kernel_function


@pytest.fixture
def told() -> Iterator[list[bool]]:
    """What a listener is told while the test runs."""
    before, events = compiling._told, list[bool]()
    compiling.listen(events.append)
    yield events
    compiling.listen(before)


def test_whoever_waits_is_told_while_a_kernel_is_compiled_and_only_then(told: list[bool]) -> None:
    def total(values: np.ndarray) -> float:
        result = 0.0
        for value in values:
            result += value
        return result

    kernel = kernel_function(total)
    assert told == []
    assert kernel(np.ones(3)) == 3.0
    assert told[0] is True and told[-1] is False
    told.clear()
    assert kernel(np.ones(4)) == 4.0
    assert told == []
