"""Promises of the exact packer: the rooms of item-by-item best-fit-decreasing, near the optimum, for any n."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packing.plan.best_fit import LENGTH, OPENS, assign, best_fit_moves, length_histogram
from packing.plan.best_fit_reference import best_fit_decreasing_reference, fewest_sequences_reference
from packing.plan.pack import pack


@st.composite
def cases(draw, largest=9000):
    """Lengths with many repetitions and clusters, and a sequence length beside a word and a summary boundary."""
    L = draw(st.one_of(st.integers(1, 130), st.integers(1, largest), st.sampled_from([63, 64, 65, 4095, 4096, 4097])))
    kinds = st.one_of(st.integers(1, L), st.integers(1, max(1, L // 8)), st.sampled_from([1, L, max(1, L // 2)]))
    groups = draw(st.lists(st.tuples(kinds, st.integers(1, 9)), max_size=25))
    items = [size for size, count in groups for _ in range(count)]
    return draw(st.permutations(items)), L


def rooms_of(lengths, L, bins, count, carried=()):
    rooms = np.concatenate([np.array(carried, np.int64), np.full(count - len(carried), L)])
    np.subtract.at(rooms, bins, lengths)
    return rooms


@given(cases())
@settings(max_examples=400)
def test_rooms_are_those_of_item_by_item(case):
    items, L = np.array(case[0], np.int64), case[1]
    made = pack(items, L)
    assert sorted(rooms_of(items, L, made.bin, made.bins)) == best_fit_decreasing_reference(items.tolist(), L)


@given(cases(), st.lists(st.floats(0, 1), max_size=12))
@settings(max_examples=200)
def test_open_sequences_are_filled_as_item_by_item(case, shares):
    items, L = np.array(case[0], np.int64), case[1]
    carried = [int(share * L) for share in shares]
    moves = best_fit_moves(length_histogram(items, L), L, np.array(carried, np.int64))
    bins = assign(items, moves, L, len(carried))
    expected = best_fit_decreasing_reference(items.tolist(), L, carried)
    assert sorted(rooms_of(items, L, bins, moves.bins, carried)) == expected


@given(st.lists(st.integers(1, 40), max_size=9), st.integers(40, 60))
@settings(max_examples=150)
def test_never_more_than_eleven_ninths_of_the_optimum(items, L):
    """The bound of best-fit-decreasing (Johnson et al. 1974), against every placement tried."""
    assert pack(np.array(items, np.int64), L).bins <= 11 / 9 * fewest_sequences_reference(items, L) + 4


def test_the_optimum_where_it_is_known():
    assert fewest_sequences_reference([6, 6, 5, 5, 5, 5, 4, 4], 10) == 4
    assert fewest_sequences_reference([], 10) == 0
    assert pack(np.array([6, 6, 5, 5, 5, 5, 4, 4]), 10).bins == 4


@pytest.mark.parametrize("size", [1, 7, 50, 51, 100])
def test_all_equal(size):
    made = pack(np.full(1000, size), 100)
    assert made.bins == -(-1000 // (100 // size))


def test_sequences_of_one_token():
    made = pack(np.ones(5, np.int64), 1)
    assert (made.bin.tolist(), made.bins) == ([0, 1, 2, 3, 4], 5)


def test_nothing_to_pack():
    made = pack(np.empty(0, np.int64), 2048)
    assert (made.bin.size, made.bins) == (0, 0)


@pytest.mark.parametrize("bad", [[11], [0], [-1, 5]])
def test_what_does_not_fit_is_refused(bad):
    with pytest.raises(ValueError, match="cut it first"):
        pack(np.array(bad), 10)


@given(cases(300))
def test_sequences_are_numbered_by_the_fragment_that_opens_them(case):
    items, L = np.array(case[0], np.int64), case[1]
    made = pack(items, L)
    openers = []
    for number in range(made.bins):
        mine = np.flatnonzero(made.bin == number)
        openers.append(mine[items[mine] == items[mine].max()][0])
    assert openers == sorted(openers)


def test_work_does_not_grow_with_the_number_of_documents():
    """The histogram of ten trillion fragments is packed at once: huge n costs what its lengths cost."""
    rng = np.random.default_rng(5)
    small = np.bincount(rng.integers(1, 2049, 3000), minlength=2049)
    few, many = best_fit_moves(small, 2048), best_fit_moves(small * 10**10, 2048)
    assert (many.table[:, 2] * many.table[:, 3]).sum() == 3000 * 10**10
    assert len(many.table) < 4 * len(few.table)
    assert many.table[many.table[:, OPENS] == 1, 2].sum() == many.bins
    assert (np.diff(many.table[:, LENGTH]) <= 0).all()


def test_one_histogram_of_many_moves_outgrows_its_first_table():
    """More moves than the table first allows: a single length into sequences of many different rooms."""
    carried = np.arange(1000, 3000, dtype=np.int64)
    counts = length_histogram(np.full(2000, 1000), 4096)
    moves = best_fit_moves(counts, 4096, carried)
    assert len(moves.table) > 64 + 4
    assert sorted(
        rooms_of(np.full(2000, 1000), 4096, assign(np.full(2000, 1000), moves, 4096, 2000), moves.bins, carried)
    ) == (best_fit_decreasing_reference([1000] * 2000, 4096, carried.tolist()))


def test_int32_lengths_give_the_same():
    items = np.random.default_rng(1).integers(1, 500, 2000)
    np.testing.assert_array_equal(pack(items, 512).bin, pack(items.astype(np.int32), 512).bin)
