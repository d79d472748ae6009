"""Promises of the plan report: it says what the placement is, for any chunking, in bounded memory."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packing.plan.best_fit import best_fit_moves, length_histogram
from packing.plan.pack import pack, place
from packing.plan.report import report
from packing.plan.report_text import report_lines
from packing.plan.row_costs import RowTally

LENGTHS = st.lists(st.integers(1, 120), min_size=1, max_size=60)


@given(LENGTHS, st.integers(1, 70), st.sampled_from(["bfd", "windowed", "concat", "crop"]))
@settings(max_examples=200)
def test_it_counts_what_the_placement_does(lengths, L, method):
    sizes = np.array(lengths, np.int64)
    made = place(sizes, L, method, "split", 7, 13, 1)
    found = report(sizes, L, method, "split", 7, 13, 1)
    fragments, packing = made.fragments, made.packing
    rows = [fragments.length[packing.bin == number].tolist() for number in range(packing.bins)]
    pieces = np.bincount(fragments.doc, minlength=sizes.size)
    kept = np.bincount(fragments.doc, weights=fragments.length, minlength=sizes.size)
    cut = (pieces > 1) | (kept < sizes)
    assert (found.documents, found.tokens) == (sizes.size, sizes.sum())
    assert (found.sequences, found.fragments) == (packing.bins, len(fragments))
    assert found.padding == packing.bins * L - fragments.length.sum()
    assert found.lower_bound == -(-fragments.length.sum() // L)
    assert found.cuts_necessary == (cut & (sizes > L)).sum()
    assert found.cuts_unnecessary == (cut & (sizes <= L)).sum()
    assert found.tokens_truncated == sizes.sum() - fragments.length.sum()
    assert found.documents_truncated == (kept < sizes).sum()
    assert found.fragments_per_sequence.mean == pytest.approx(len(fragments) / packing.bins)
    assert found.fragments_per_sequence.max == max(map(len, rows))
    assert found.cost == sum(size * size for row in rows for size in row)
    assert found.cost_share.mean == pytest.approx(found.cost / (packing.bins * L * L))
    top = max(sum(size * size for size in row) for row in rows) / L**2
    assert top <= found.cost_share.max + 1e-12 <= top + 0.001 + 1e-9
    assert sum(found.context_lost.values()) == fragments.length.sum()
    assert found.context_lost.get(0, 0) == fragments.length[fragments.offset == 0].sum()


@given(LENGTHS, st.integers(1, 70), st.sampled_from(["bfd", "windowed", "concat", "crop"]), st.integers(1, 59))
def test_chunks_of_the_column_make_no_difference(lengths, L, method, at):
    sizes = np.array(lengths, np.int64)
    assert report(sizes, L, method) == report([sizes[:at], sizes[at:]], L, method)


def test_best_fit_needs_no_unnecessary_cut_where_concatenation_does():
    sizes = np.exp(6.15 + 1.25 * np.random.default_rng(0).standard_normal(100_000)).astype(np.int64).clip(8)
    plans = {method: report(sizes, 2048, method) for method in ("bfd", "windowed", "concat")}
    assert plans["bfd"].cuts_unnecessary == plans["windowed"].cuts_unnecessary == 0
    assert plans["bfd"].cuts_necessary == plans["concat"].cuts_necessary == (sizes > 2048).sum()
    assert 0.22 < plans["concat"].cuts_unnecessary / sizes.size < 0.25  # 23.6 % over ten million documents
    assert plans["bfd"].padding_share < plans["windowed"].padding_share + 1e-9 < 2e-4


def test_truncating_and_dropping_are_counted():
    sizes = np.array([5, 30, 10])
    cut = report(sizes, 10, policy="truncate")
    assert (cut.documents_truncated, cut.tokens_truncated, cut.cuts_necessary) == (1, 20, 1)
    less = report(sizes, 10, policy="drop")
    assert (less.documents_dropped, less.tokens_dropped, less.documents_cut) == (1, 30, 0)
    assert less.token_loss == pytest.approx(30 / 45)


def test_context_lost_is_how_far_into_its_document_a_fragment_begins():
    assert report(np.array([25, 3]), 10, min_fragment=0).context_lost == {0: 13, 8: 10, 16: 5}


def test_epochs_disk_and_time():
    plan = report(np.full(4, 100), 100, budget=1000, tokens_per_second=50)
    assert (plan.epochs, plan.cpu_seconds) == (2.5, 8)
    assert plan.disk_bytes == 4 * (400 + 8 + 2) + 4 * (4 + 16 + 9)


@pytest.mark.parametrize("method", ["bfd", "windowed", "concat", "crop"])
def test_no_documents(method):
    plan = report(np.empty(0, np.int64), 2048, method, budget=10)
    assert (plan.sequences, plan.padding_share, plan.token_loss, plan.epochs) == (0, 0, 0, None)
    assert report_lines(plan)


def test_row_costs_from_groups_are_those_of_the_rows(monkeypatch):
    """Also where the sequences of a move lie in several blocks."""
    monkeypatch.setattr("packing.plan.row_costs.BLOCK", 7)
    sizes = np.random.default_rng(2).integers(1, 60, 500)
    made = pack(sizes, 64)
    by_rows, by_groups = RowTally(64), RowTally(64)
    by_rows.add_bins(made.bin, sizes, made.bins)
    by_groups.add_moves(best_fit_moves(length_histogram(sizes, 64), 64))
    for field in ("fragments", "costs"):
        np.testing.assert_array_equal(getattr(by_rows, field), getattr(by_groups, field))
    assert by_rows.squares == by_groups.squares


def test_the_lines_say_what_decides():
    text = "\n".join(report_lines(report(np.array([5, 30, 10]), 10, policy="truncate", budget=50)))
    for word in ("padding", "cuts", "fragments", "attention", "on disk", "lost", "epochs      2.00"):
        assert word in text
    assert dataclasses.is_dataclass(report(np.array([5]), 10))
