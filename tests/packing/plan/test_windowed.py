"""Promises of the streaming packer: same result for any feeding, bounded displacement and memory, little padding."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packing.plan.best_fit_reference import best_fit_decreasing_reference
from packing.plan.pack import pack
from packing.plan.windowed import WindowedPacker
from packing.plan.windowed_reference import windowed_reference


def all_rows(packer, parts):
    """Every finished sequence as a list, in order."""
    rows = [row.tolist() for part in parts for row in packer.feed(part)]
    return rows + [row.tolist() for row in packer.finish()]


@given(
    st.lists(st.integers(1, 100), max_size=120),
    st.integers(1, 30),
    st.integers(0, 3),
    st.lists(st.integers(0, 120), max_size=6),
)
@settings(max_examples=200)
def test_however_it_is_fed_each_fragment_comes_out_once_within_its_windows(items, window, carry, cuts):
    sizes = np.array(items, np.int64)
    whole = all_rows(WindowedPacker(100, window, carry), [sizes])
    assert whole == all_rows(WindowedPacker(100, window, carry), np.split(sizes, sorted(cuts)))
    assert sorted(number for row in whole for number in row) == list(range(len(items)))
    for row in whole:
        assert sizes[row].sum() <= 100
        assert max(row) // window - min(row) // window <= carry


@given(
    st.lists(st.one_of(st.integers(1, 200), st.integers(1, 9)), max_size=150),
    st.integers(200, 260),
    st.integers(1, 40),
    st.integers(0, 3),
)
@settings(max_examples=200)
def test_sequences_are_those_of_the_reference(items, L, window, carry):
    """Same fragments, same order of sequences and within them: what is packed already stays as it is."""
    expected = windowed_reference(items, L, window, carry)
    assert all_rows(WindowedPacker(L, window, carry), [np.array(items, np.int64)]) == expected


@given(st.lists(st.integers(1, 100), min_size=1, max_size=60))
def test_one_window_is_the_global_plan(items):
    rows = all_rows(WindowedPacker(100, 1000), [np.array(items, np.int64)])
    rooms = sorted(100 - sum(items[number] for number in row) for row in rows)
    assert rooms == best_fit_decreasing_reference(items, 100)


def test_finished_sequences_come_early_and_open_ones_are_few():
    sizes = np.random.default_rng(3).integers(1, 900, 30_000)
    packer = WindowedPacker(2048, 1000)
    out = 0
    for window in range(30):
        out += sum(map(len, packer.feed(sizes[window * 1000 : window * 1000 + 1000])))
        assert out >= (window - 0) * 1000  # all but the last window's and a few
        assert len(packer.open.members) < 100 and packer.waiting.size == 0


@pytest.mark.parametrize("L", [2048, 8192, 131072])
def test_padding_of_a_web_law(L):
    """Above the lower bound by at most 0.02 % and the sequence that no plan can fill."""
    sizes = np.exp(6.15 + 1.25 * np.random.default_rng(0).standard_normal(300_000)).astype(np.int64).clip(8, L)
    least = -(-int(sizes.sum()) // L)
    assert pack(sizes, L, "windowed").bins <= least * 1.0002 + 1
    assert pack(sizes, L).bins <= least * 1.0001 + 1


def test_sequences_are_in_the_order_of_their_openers():
    sizes = np.random.default_rng(4).integers(1, 90, 5000)
    made = pack(sizes, 100, "windowed", window=500, carry=0)
    first = [np.flatnonzero(made.bin == number)[sizes[made.bin == number].argmax()] for number in range(made.bins)]
    assert first == sorted(first)


def test_an_empty_stream():
    packer = WindowedPacker(100)
    assert len(packer.feed(np.empty(0, np.int64))) == len(packer.finish()) == 0
    assert pack(np.empty(0, np.int64), 100, "windowed").bins == 0


def test_a_refused_feed_takes_nothing():
    packer = WindowedPacker(100)
    packer.feed(np.array([40]))
    with pytest.raises(ValueError, match="cut it first"):
        packer.feed(np.array([50, 101]))
    assert [row.tolist() for row in packer.finish()] == [[0]]


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="window 0"):
        WindowedPacker(100, 0)
    with pytest.raises(ValueError, match="carry -1"):
        WindowedPacker(100, 10, -1)
