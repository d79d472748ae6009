"""Promises of the fair stream: as its definition says, and never far from any cell's share."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mixing.sample.fair import fair_prefix, fair_prefix_reference
from tests.mixing.sample.corpora import seeds


def queues(seed: int, cells: int) -> tuple[list[list[int]], NDArray[np.float64]]:
    draw = np.random.default_rng(seed)
    tops = draw.choice([1, 3, 50, 2000], cells)
    target = draw.dirichlet(np.full(cells, draw.choice([0.2, 1.0, 5.0]))) * 3000
    lengths = [draw.integers(1, top + 1, 4 + int(9000 / top)).tolist() for top in tops]
    return lengths, target


def flat(lengths: list[list[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    starts = np.concatenate([[0], np.cumsum([len(one) for one in lengths])]).astype(np.int64)
    return np.array([one for some in lengths for one in some], np.int64), starts


@given(seeds, st.integers(1, 9), st.floats(0, 1.2))
@settings(max_examples=150, deadline=None)
def test_the_kernel_is_the_definition(seed: int, cells: int, share: float) -> None:
    lengths, target = queues(seed, cells)
    short = [some[: 1 + seed % 40] for some in lengths]  # some run out
    for some in (lengths, short):
        expected = fair_prefix_reference(some, target.tolist(), share * 3000)
        assert fair_prefix(*flat(some), target, share * 3000).tolist() == expected


@given(seeds, st.integers(1, 40), st.floats(0.001, 1))
@settings(max_examples=400, deadline=None)
def test_every_cell_is_within_one_item_of_its_share_at_any_cut(seed: int, cells: int, share: float) -> None:
    lengths, target = queues(seed, cells)
    taken = fair_prefix(*flat(lengths), target, share * target.sum())
    served = np.array([sum(some[:k]) for some, k in zip(lengths, taken, strict=True)])
    longest = max(map(max, lengths))
    assert abs(served.sum() - share * target.sum()) <= longest / 2 + 1e-6
    assert np.abs(served - target / target.sum() * served.sum()).max() <= longest * (1 + 1e-9)


def test_a_merge_by_midpoints_would_break_that_bound() -> None:
    """Why the stream is not just sorted: forty small cells round up, and the large one pays."""
    target = np.array([20.0] + [0.9] * 40)
    served = np.zeros(41)
    middles = sorted(((k + 0.5) / one, cell) for cell, one in enumerate(target) for k in range(20))
    for _, cell in middles[: round(float(target.sum()))]:
        served[cell] += 1
    assert served[0] == 16 and served.sum() == 56
    fair = fair_prefix(*flat([[1] * 20] * 41), target, target.sum())
    assert max(abs(fair - target)) <= 1


def test_nothing_is_taken_for_a_target_of_zero_or_from_an_empty_cell() -> None:
    lengths = [[5, 5], [], [5, 5, 5]]
    assert fair_prefix(*flat(lengths), np.array([0.0, 4.0, 10.0]), 14.0).tolist() == [0, 0, 3]
    assert fair_prefix(np.zeros(0, np.int64), np.zeros(1, np.int64), np.zeros(0), 5.0).tolist() == []
