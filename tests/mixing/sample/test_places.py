"""Promises of the places of copies: uniform, far apart, in another order in each pass."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mixing.sample.places import MIN_GAP, places, places_reference
from tests.mixing.sample.corpora import seeds


@given(seeds, st.lists(st.integers(0, 9), max_size=30), st.integers(0, 2**63))
@settings(max_examples=150, deadline=None)
def test_it_is_the_definition(seed: int, copies: list[int], run: int) -> None:
    keys = np.random.default_rng(seed).integers(0, 2**64, len(copies), np.uint64)
    made = places(keys, np.array(copies, np.int64), run)
    found = list(zip(made.document.tolist(), made.copy.tolist(), made.order_key.tolist(), strict=True))
    assert found == places_reference(keys.tolist(), copies, run)


@given(seeds, st.integers(1, 60))
@settings(max_examples=100, deadline=None)
def test_copies_are_numbered_as_they_stand_and_keep_a_minimum_gap(seed: int, n: int) -> None:
    keys = np.random.default_rng(seed).integers(0, 2**64, 20, np.uint64)
    made = places(keys, np.full(20, n), seed)
    assert ((made.order_key >= 0) & (made.order_key < 1)).all()
    for document in range(20):
        mine = made.document == document
        assert made.copy[mine].tolist() == list(range(1, n + 1))
        keys_of = made.order_key[mine]
        gaps = np.diff(np.append(keys_of, keys_of[0] + 1))  # around the circle
        assert n == 1 or gaps.min() >= MIN_GAP / n - 1e-12


def test_every_copy_is_uniform_over_the_schedule() -> None:
    draw = np.random.default_rng(4)
    for n in (1, 2, 3):
        made = places(draw.integers(0, 2**64, 30_000, np.uint64), np.full(30_000, n), 5)
        counts = np.histogram(made.order_key, 30, (0, 1))[0]
        expected = len(made.order_key) / 30
        assert ((counts - expected) ** 2 / expected).sum() < 60  # χ² with 29 degrees: 59.3 is p = 0.0008


def test_neighbours_meet_in_another_order_in_the_next_pass() -> None:
    draw = np.random.default_rng(6)
    made = places(draw.integers(0, 2**64, 4_000, np.uint64), np.full(4_000, 2), 7)
    first, second = made.order_key[made.copy == 1], made.order_key[made.copy == 2]
    order = np.argsort(first)
    swapped = np.mean(second[order][1:] < second[order][:-1])
    assert 0.4 < swapped < 0.6
