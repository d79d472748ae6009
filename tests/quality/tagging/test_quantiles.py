"""Promises of buckets: equal weight, no empty part whatever the ties, the same in any order and any batches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.tagging.quantiles import LargestWeights, cut_points, mixed, part_of, quantile_parts, sort_keys, vigintile

SOME = st.lists(
    st.tuples(st.sampled_from([-2.5, -0.0, 0.0, 0.25, 1e-30, 3.0]), st.integers(0, 10**6)), min_size=41, max_size=120
)


def keys(n: int) -> np.ndarray:
    return mixed(np.arange(n, dtype=np.uint64), 99)


@given(SOME, st.sampled_from([2, 5, 20]))
@settings(deadline=None, max_examples=60)
def test_no_part_is_empty_and_parts_follow_the_score(rows: list[tuple[float, int]], parts: int) -> None:
    score = np.array([row[0] for row in rows], np.float32)
    weight = np.array([row[1] for row in rows], np.int64)
    found = quantile_parts(score, weight, keys(len(rows)), parts=parts, seed=1)
    assert set(found.tolist()) == set(range(parts))
    for value in np.unique(score):
        assert found[score < value].max(initial=0) <= found[score >= value].min()


@given(SOME, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=30)
def test_order_changes_nothing(rows: list[tuple[float, int]], random: object) -> None:
    score = np.array([row[0] for row in rows], np.float32)
    weight = np.array([row[1] for row in rows], np.int64)
    order = np.arange(len(rows))
    random.shuffle(order)  # type: ignore[attr-defined]
    whole = quantile_parts(score, weight, keys(len(rows)), parts=5)
    assert (quantile_parts(score[order], weight[order], keys(len(rows))[order], parts=5) == whole[order]).all()


def test_cut_points_are_those_of_a_sort_with_any_batches() -> None:
    draw = np.random.default_rng(5)
    score, weight = draw.normal(size=5000).astype(np.float32).round(1), draw.integers(1, 50, 5000)
    every = sort_keys(score, keys(5000))

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for part in np.array_split(np.arange(5000), 17):
            yield every[part], weight[part]

    order = np.argsort(every)
    middle = np.empty(5000)
    middle[order] = np.cumsum(weight[order]) - weight[order] / 2
    wanted = np.floor(20 * middle / weight.sum()).astype(int)
    assert (part_of(every, cut_points(batches, 20)) == wanted).all()


def test_equal_scores_are_split_at_random_into_equal_parts() -> None:
    found = vigintile(np.zeros(2001, np.float32), np.full(2001, 7, np.int64), keys(2001))
    assert np.bincount(found).tolist() == pytest.approx([100] * 20, abs=1)
    assert (np.diff(found.astype(int)) != 0).mean() > 0.8  # not in the order of the documents


def test_one_huge_document_leaves_no_part_empty() -> None:
    weight = np.ones(101, np.int64)
    weight[50] = 10**9
    found = quantile_parts(np.arange(101, dtype=np.float32), weight, keys(101), parts=5)
    assert set(found.tolist()) == set(range(5)) and found[50] == 2


def test_the_cap_is_the_largest_that_makes_no_document_more_than_half_a_part() -> None:
    for weights in ([1] * 30, [5, 1000, 3, 2] * 10, [10**12, *range(1, 60)], [4]):
        largest = LargestWeights(5)
        for part in np.array_split(np.array(weights, np.int64), 7):
            largest.add(part)
        cap = largest.cap()
        most = max(weights)

        def fair(c: int, weights: list[int] = weights) -> bool:
            return c * 10 <= np.minimum(weights, c).sum()

        assert (fair(cap) and (cap >= most or not fair(cap + 1))) or len(weights) <= 10


def test_no_documents_at_all() -> None:
    assert len(quantile_parts(np.zeros(0, np.float32), np.zeros(0, np.int64), keys(0), parts=5)) == 0
