"""Promises of verification: the scores are those of Python's sets."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from curation.dedup.verify import compare

values = st.sets(st.one_of(st.integers(0, 40), st.integers(0, 2**32 - 1)), min_size=1, max_size=60)


def array(members: set[int]) -> np.ndarray:
    return np.array(sorted(members), np.uint32)


@given(values, values)
def test_scores_are_those_of_sets(a: set[int], b: set[int]) -> None:
    scores = compare(array(a), array(b))
    assert scores.jaccard == len(a & b) / len(a | b)
    assert scores.containment == len(a & b) / min(len(a), len(b))
    assert compare(array(b), array(a)) == scores


def test_a_part_is_contained_in_the_whole() -> None:
    whole = set(range(1000))
    scores = compare(array(set(range(300))), array(whole))
    assert (scores.jaccard, scores.containment) == (0.3, 1.0)
    assert compare(array(whole), array(whole)).jaccard == 1.0
