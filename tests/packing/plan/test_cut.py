"""Promises of cutting: nothing that fits is cut, every token is accounted for, at most one open end a sequence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from packing.layout.files import FIRST, LAST, TRUNCATED
from packing.plan.cut import cut_documents

LENGTHS = st.lists(st.integers(1, 300), max_size=30)


@given(LENGTHS, st.integers(1, 70), st.sampled_from(["split", "split_balanced"]), st.integers(0, 40))
def test_splitting_keeps_every_token_once_and_in_order(lengths, L, policy, shortest):
    made, dropped = cut_documents(np.array(lengths, np.int64), L, policy, shortest)
    assert dropped.size == 0
    assert made.length.min(initial=1) >= 1 and made.length.max(initial=1) <= L
    for number, size in enumerate(lengths):
        mine = made.doc == number
        ends = made.offset[mine] + made.length[mine]
        assert made.offset[mine].tolist() == [0, *ends[:-1]] and ends[-1] == size
        assert mine.sum() == -(-size // L)  # not one cut more than needed
        flags = made.flags[mine]
        assert flags[0] & FIRST and flags[-1] & LAST and not (flags & TRUNCATED).any()
        assert ((flags & FIRST) > 0).sum() == ((flags & LAST) > 0).sum() == 1
        if size > L:
            assert made.length[mine].min() >= min(
                shortest, L // 2, size - L + L // 2 if policy == "split_balanced" else L
            )


@given(
    LENGTHS, st.integers(1, 70), st.sampled_from(["split", "split_balanced", "truncate", "drop"]), st.integers(0, 40)
)
def test_two_unfinished_fragments_never_fit_one_sequence(lengths, L, policy, shortest):
    made, _ = cut_documents(np.array(lengths, np.int64), L, policy, shortest)
    assert (2 * made.length[made.unfinished] > L).all()


@given(LENGTHS, st.integers(1, 70))
def test_split_gives_full_pieces_and_balanced_differs_by_one(lengths, L):
    full, _ = cut_documents(np.array(lengths, np.int64), L, "split", 0)
    assert (full.length[full.unfinished] == L).all()
    even, _ = cut_documents(np.array(lengths, np.int64), L, "split_balanced")
    for number in range(len(lengths)):
        assert np.ptp(even.length[even.doc == number]) <= 1


def test_a_short_tail_takes_what_it_lacks_from_the_piece_before():
    made, _ = cut_documents(np.array([2049, 100]), 2048)
    assert made.length.tolist() == [2017, 32, 100]
    assert made.offset.tolist() == [0, 2017, 0]


def test_truncate_keeps_the_begin_and_says_so():
    made, dropped = cut_documents(np.array([5, 11, 10]), 10, "truncate")
    assert (made.length.tolist(), dropped.size) == ([5, 10, 10], 0)
    assert made.flags.tolist() == [FIRST | LAST, FIRST | TRUNCATED, FIRST | LAST]


def test_drop_names_the_documents():
    made, dropped = cut_documents(np.array([5, 11, 10, 99]), 10, "drop")
    assert (made.doc.tolist(), dropped.tolist()) == ([0, 2], [1, 3])


def test_no_documents_give_no_fragments():
    for policy in ("split", "split_balanced", "truncate", "drop"):
        made, dropped = cut_documents(np.empty(0, np.int64), 10, policy)
        assert len(made) == dropped.size == 0


@pytest.mark.parametrize(
    ("lengths", "L", "policy", "words"),
    [
        ([3, 0], 10, "split", "item 1 has 0 tokens"),
        ([3, -2], 10, "split", "item 1 has -2 tokens"),
        ([3], 0, "split", "sequence length 0"),
        ([3], 2**31, "split", "sequence length"),
        ([3], 10, "chop", "unknown policy 'chop'"),
        ([3.5], 10, "split", "integers"),
    ],
)
def test_nonsense_is_refused_in_words(lengths, L, policy, words):
    with pytest.raises(ValueError, match=words):
        cut_documents(np.array(lengths), L, policy)
