"""Promises of the order of entry: as its definition says, with copies by weight and cap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.pipeline.errors import UsageError
from mixing.sample.entry import MOST_COPIES, copies_allowed, entries, entries_reference
from tests.mixing.sample.corpora import seeds


@given(seeds, st.integers(1, 30), st.integers(1, 5), st.floats(0, 6), st.booleans(), st.booleans())
@settings(max_examples=300, deadline=None)
def test_it_is_the_sorted_list_of_all_occurrences(
    seed: int, n: int, allowed: int, epochs: float, weighted: bool, ties: bool
) -> None:
    draw = np.random.default_rng(seed)
    keys = draw.choice(10_000, n, replace=False).astype(np.uint64)
    u = draw.integers(0, 3 if ties else 2**64, n, np.uint64) << np.uint64(62 if ties else 0)
    tokens = draw.integers(1, 100, n)
    weight = draw.choice([1.0, 2.0, 3.0, 1 + np.log2(3)], n) if weighted else None
    needed = epochs * float(tokens.sum())
    found = entries(keys, u, tokens, weight, allowed, needed)
    weights = [1.0] * n if weight is None else weight.tolist()
    assert found.tolist() == entries_reference(keys.tolist(), u.tolist(), tokens.tolist(), weights, allowed, needed)


@given(seeds, st.integers(1, 200), st.floats(0.1, 3.9))
@settings(max_examples=100, deadline=None)
def test_without_weights_copies_differ_by_at_most_one(seed: int, n: int, epochs: float) -> None:
    draw = np.random.default_rng(seed)
    tokens = draw.integers(1, 1000, n)
    found = entries(
        np.arange(n, dtype=np.uint64),
        draw.integers(0, 2**64, n, np.uint64),
        tokens,
        None,
        4,
        epochs * float(tokens.sum()),
    )
    copies = np.bincount(found, minlength=n)
    assert copies.max() - copies.min() <= 1


def test_weights_multiply_copies_and_caps_bound_them() -> None:
    n = 6_000
    draw = np.random.default_rng(3)
    weight = np.repeat([1.0, 2.0, 8.0], n // 3)
    tokens = np.full(n, 10)
    u = draw.integers(0, 2**64, n, np.uint64)
    found = entries(np.arange(n, dtype=np.uint64), u, tokens, weight, 4, 0.3 * 11 / 3 * tokens.sum())
    copies = np.bincount(found, minlength=n)
    means = [copies[weight == one].mean() for one in (1.0, 2.0, 8.0)]
    assert np.allclose(means, [0.3, 0.6, 2.4], atol=0.05)
    assert np.bincount(entries(np.arange(n, dtype=np.uint64), u, tokens, weight, 4, 1e9)).max() == 4


def test_a_cap_counts_whole_copies() -> None:
    assert [copies_allowed(one) for one in (0.0, 0.5, 2.0, 2.0000000001, 2.5, np.inf)] == [0, 1, 2, 2, 3, MOST_COPIES]


def test_more_copies_than_the_table_can_number_are_refused() -> None:
    one = np.ones(1, np.uint64)
    with pytest.raises(UsageError, match="65,535"):
        entries(one, one, np.ones(1, np.int64), None, copies_allowed(np.inf), 70_000.0)
