"""Promises of the other methods and of the order inside a sequence."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packing.layout.files import FIRST, LAST, TRUNCATED
from packing.plan.buckets import decompose, place_buckets
from packing.plan.concat import concatenate
from packing.plan.cut import cut_documents
from packing.plan.pack import pack, place
from packing.plan.rows import rows_of, shuffle_within

LENGTHS = st.lists(st.integers(1, 90), max_size=40)


@given(LENGTHS, st.integers(1, 50), st.sampled_from(["bfd", "windowed", "concat", "crop"]))
def test_no_method_overfills_a_sequence_or_invents_tokens(lengths, L, method):
    sizes = np.array(lengths, np.int64)
    made = place(sizes, L, method)
    used = np.bincount(made.packing.bin, weights=made.fragments.length, minlength=made.packing.bins)
    assert made.packing.bins == used.size and (used <= L).all() and (used > 0).all()
    kept = np.bincount(made.fragments.doc, weights=made.fragments.length, minlength=sizes.size)
    if method == "crop":
        assert (kept <= sizes).all() and (used[:-1] == L).all()
        whole = kept == sizes
        np.testing.assert_array_equal(
            whole, np.bincount(made.fragments.doc, (made.fragments.flags & TRUNCATED) > 0, sizes.size) == 0
        )
    else:
        np.testing.assert_array_equal(kept, sizes)


@given(LENGTHS, st.integers(1, 50), st.integers(0, 60))
def test_concatenation_is_the_stream_chopped(lengths, L, begin):
    made, bins = concatenate(np.array(lengths, np.int64), L, begin % L)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    place_of = begin % L + np.arange(owner.size)
    expected = sorted(set(zip(owner.tolist(), (place_of // L).tolist(), strict=True)))
    assert list(zip(made.doc.tolist(), bins.tolist(), strict=True)) == expected
    assert ((made.flags & FIRST) > 0).sum() == ((made.flags & LAST) > 0).sum() == len(lengths)


def test_crop_fills_a_sequence_with_the_longest_that_fits_then_crops_the_shortest():
    made = place(np.array([7, 4, 6, 5]), 10, "crop")
    # 7, nothing fits 3: crop 4 to 3; then 6 and, of what is left, 5 cropped to 4.
    assert made.packing.bin.tolist() == [0, 0, 1, 1]
    assert made.fragments.length.tolist() == [7, 3, 6, 4]


def test_methods_that_cut_are_not_for_fragments():
    for method in ("concat", "crop"):
        with pytest.raises(ValueError, match="use place"):
            pack(np.array([1]), 10, method)
    with pytest.raises(ValueError, match="unknown packing method"):
        pack(np.array([1]), 10, "ffd")


@given(LENGTHS, st.randoms(use_true_random=False))
def test_the_order_inside_a_sequence_is_that_of_keys_with_open_ends_last(lengths, random):
    made, _ = cut_documents(np.array(lengths, np.int64), 50, "split", 5)
    packing = pack(made.length, 50)
    keys = np.array([random.randrange(2**64) for _ in range(len(made))], np.uint64)
    before = rows_of(packing.bin, packing.bins)
    rows = shuffle_within(before, keys, made.unfinished)
    for old, new in zip(before, rows, strict=True):
        assert sorted(old.tolist()) == sorted(new.tolist())
        rank = [(bool(made.unfinished[number]), int(keys[number])) for number in new]
        assert rank == sorted(rank)
        assert not made.unfinished[new[:-1]].any()  # only the last one may lack its EOS


@given(st.lists(st.integers(1, 700), max_size=40), st.integers(0, 4), st.integers(0, 4))
@settings(max_examples=150)
def test_length_buckets_are_powers_of_two_from_one_document_each(lengths, low, more):
    smallest, L = 2**low, 2 ** (low + more)
    sizes = np.array(lengths, np.int64)
    made, dropped = decompose(sizes, L, smallest)
    kept = np.bincount(made.doc, weights=made.length, minlength=sizes.size)
    np.testing.assert_array_equal(kept, sizes // smallest * smallest)
    assert dropped.tolist() == np.flatnonzero(sizes < smallest).tolist()
    for number in set(made.doc.tolist()):
        mine = made.doc == number
        pieces = made.length[mine].tolist()
        under = [piece for piece in pieces if piece < L]
        assert pieces == sorted(pieces, reverse=True) and len(set(under)) == len(under)
        assert made.offset[mine].tolist() == [sum(pieces[:i]) for i in range(len(pieces))]
        assert bool(made.flags[mine][-1] & TRUNCATED) == (kept[number] < sizes[number])


@given(st.lists(st.integers(1, 700), max_size=40))
def test_a_row_of_buckets_holds_pieces_of_one_length_only(lengths):
    made = place_buckets(np.array(lengths, np.int64), 64, 8)
    placement = made.placement
    used = np.bincount(placement.packing.bin, weights=placement.fragments.length, minlength=placement.packing.bins)
    assert (used <= 64).all() and made.length.size == placement.packing.bins
    np.testing.assert_array_equal(made.length[placement.packing.bin], placement.fragments.length)
    # At most one row of each bucket is not full.
    assert all((used[made.length == bucket] < 64).sum() <= 1 for bucket in np.unique(made.length))


def test_buckets_need_powers_of_two():
    with pytest.raises(ValueError, match="powers of two"):
        decompose(np.array([5]), 100, 8)
    with pytest.raises(ValueError, match="powers of two"):
        decompose(np.array([5]), 64, 128)
