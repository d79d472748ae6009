"""Promises of a sample and of its ablations (property numbers of quality_mixing §4.6)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from curation.pipeline.errors import ConservationError
from mixing.sample.ablate import matched, ordinary
from mixing.sample.realise import realise
from mixing.sample.repeats import cell_tokens, distance, repeat_shares
from tests.mixing.sample.corpora import Corpus, corpora, corpus, seeds, shuffled

shares = st.floats(0.01, 0.99)


@given(corpora, shares)
@settings(max_examples=300, deadline=None)
def test_p7_a_smaller_budget_is_contained_in_a_larger_one(one: Corpus, share: float) -> None:
    assume(one.x.sum() > 0)
    whole = realise(one.documents, one.x, one.caps)
    part = realise(one.documents, one.x, one.caps, share * one.x.sum())
    assert (part.copies <= whole.copies).all()


@given(corpora, st.none() | shares)
@settings(max_examples=300, deadline=None)
def test_p8_tokens_are_within_half_a_document_and_each_cell_within_one(one: Corpus, share: float | None) -> None:
    assume(one.x.sum() > 0)
    budget = one.x.sum() * (share or 1.0)
    made = realise(one.documents, one.x, one.caps, budget)
    assert abs(made.total - budget) <= one.longest / 2 + 1e-6
    # the theorem is about the tokens taken so far, which are half a document off the budget at most
    assert np.abs(made.tokens - one.x / one.x.sum() * made.total).max() <= one.longest + 1e-6
    assert (made.tokens == cell_tokens(one.documents, made.copies)).all()
    assert (made.copies <= np.repeat(one.caps, np.diff(one.documents.starts))).all()  # P2


@given(corpora, seeds, shares)
@settings(max_examples=200, deadline=None)
def test_p9_the_order_of_rows_changes_nothing(one: Corpus, seed: int, share: float) -> None:
    other, rows = shuffled(one, seed)
    made, again = (realise(some.documents, some.x, some.caps) for some in (one, other))
    assert (again.copies == made.copies[rows]).all()
    for cut in (matched, ordinary):
        kept, also = (
            cut(some.documents, copies.copies, share * made.total) for some, copies in ((one, made), (other, again))
        )
        assert (also == kept[rows]).all()


@given(corpora, shares, shares)
@settings(max_examples=200, deadline=None)
def test_p7_p10_an_ablation_keeps_all_copies_or_none_and_is_nested(one: Corpus, a: float, b: float) -> None:
    made = realise(one.documents, one.x, one.caps)
    small, large = (matched(one.documents, made.copies, share * made.total) for share in sorted((a, b)))
    for kept in (small, large):
        assert ((kept == 0) | (kept == made.copies)).all()
    assert (small <= large).all()
    heaviest = int((one.documents.tokens * made.copies.astype(np.int64)).max(initial=0))
    assert abs(cell_tokens(one.documents, large).sum() - max(a, b) * made.total) <= heaviest / 2 + 1e-6
    assert (matched(one.documents, made.copies, made.total) == made.copies).all()


def big(seed: int, n: int = 30_000, cells: int = 30) -> Corpus:
    return corpus(seed, n, cells, fill=0.5)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.3, 0.1, 0.03])
def test_p11_a_matched_ablation_repeats_as_the_final_run(seed: int, share: float) -> None:
    one = big(seed)
    made = realise(one.documents, one.x, one.caps)
    final = repeat_shares(one.documents, made.copies)
    kept = matched(one.documents, made.copies, share * made.total)
    apart = distance(final, repeat_shares(one.documents, kept))
    assert apart <= 3 / np.sqrt(np.count_nonzero(kept))
    drawn = ordinary(one.documents, made.copies, share * made.total)
    assert distance(final, repeat_shares(one.documents, drawn)) > 5 * apart


def test_p12_one_hash_for_both_steps_fails() -> None:
    """The trap: documents that come early in the sample are those with one copy more.

    Whole documents in order of a draw, to a number of tokens: right with the second draw, wrong with the first.
    The classes of `matched` hold the repeats even then.
    """
    one = corpus(1, 40_000, 1, fill=0.1)
    x = np.array([1.45 * one.documents.tokens.sum()])
    made = realise(one.documents, x, np.array([2.0]))
    final = repeat_shares(one.documents, made.copies)
    held = one.documents.tokens * made.copies.astype(np.int64)

    def first(draw: NDArray[np.uint64]) -> NDArray[np.uint16]:
        order = np.argsort(draw)
        kept = np.zeros_like(made.copies)
        mine = order[np.cumsum(held[order]) <= 0.1 * made.total]
        kept[mine] = made.copies[mine]
        return kept

    right, wrong = (distance(final, repeat_shares(one.documents, first(draw))) for draw in draws(one))
    allowed = 3 / np.sqrt(np.count_nonzero(first(one.documents.ablate)))
    assert right <= allowed
    assert wrong > 0.3 and wrong > 5 * allowed
    for draw in draws(one):
        kept = matched(one.documents, made.copies, 0.1 * made.total, draw)
        assert distance(final, repeat_shares(one.documents, kept)) <= allowed


def draws(one: Corpus) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The second draw, and the first as the trap takes it."""
    return one.documents.ablate, ~one.documents.sample


@pytest.mark.parametrize("seed", range(20))
def test_an_ablation_of_books_repeats_as_the_final_run(seed: int) -> None:
    """2,000 documents kept of 600 cells, a few of them a fiftieth of the set: the cells' roundings do not add up."""
    rng = np.random.default_rng(seed)
    one = corpus(seed, 16_000, 600, fill=0.5)
    tokens = np.maximum(8, rng.lognormal(6, 1.2, len(one.documents))).astype(np.uint32)
    tokens[rng.random(len(tokens)) < 0.005] = 80_000
    documents = replace(one.documents, tokens=tokens)
    copies = (1 + (rng.random(len(tokens)) < 0.3)).astype(np.uint16)
    total = int((tokens * copies.astype(np.int64)).sum())
    kept = matched(documents, copies, total / 8)
    assert distance(repeat_shares(documents, copies), repeat_shares(documents, kept)) <= 0.02


@given(corpora, seeds)
@settings(max_examples=100, deadline=None)
def test_arms_with_one_seed_share_all_that_both_targets_allow(one: Corpus, seed: int) -> None:
    draw = np.random.default_rng(seed)
    unique = np.array([one.documents.sizes(i).sum() for i in range(one.documents.cells)])
    other = draw.random(len(one.x)) * one.caps * unique
    assume(one.x.sum() > 0 and other.sum() > 0)
    a, b = (realise(one.documents, x, one.caps) for x in (one.x, other))
    both = np.minimum(a.copies, b.copies)
    for cell in range(one.documents.cells):
        rows = one.documents.rows(cell)
        smaller = a if a.tokens[cell] <= b.tokens[cell] else b
        assert (both[rows] == smaller.copies[rows]).all()


def test_targets_that_the_documents_do_not_hold_are_a_defect() -> None:
    one = corpus(2, 50, 2)
    with pytest.raises(ConservationError, match="not this plan"):
        realise(one.documents, np.array([1e9, 1e9]), np.array([2.0, 2.0]))


def test_an_ablation_prefers_neither_short_nor_long_documents() -> None:
    """Half a document a cell: cut by tokens alone, it would keep those that fit."""
    ratios = []
    for seed in range(40):
        one = corpus(seed, 3_000, 300, fill=0.4)
        made = realise(one.documents, one.x, one.caps)
        kept = matched(one.documents, made.copies, 0.05 * made.total)
        lengths = one.documents.tokens.astype(np.float64)
        ratios.append(lengths[kept > 0].mean() / lengths[made.copies > 0].mean())
    assert abs(np.mean(ratios) - 1) < 4 * np.std(ratios) / np.sqrt(len(ratios))
    assert abs(np.mean(ratios) - 1) < 0.06
