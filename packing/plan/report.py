"""The plan of a packing from a column of token counts alone: what it pads, cuts, costs and takes.

Nothing is tokenised or written.  Best-fit-decreasing needs only the histogram of lengths, so a hundred million
documents take seconds and the memory of a chunk; the windowed packer runs as the writer would run it.
How to read it: docs/packing-plan.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from packing.layout.files import LENGTH, QUEUE, ROW_START, SEGMENT, TOKEN
from packing.plan.best_fit import best_fit_moves, length_histogram
from packing.plan.buckets import SMALLEST, place_buckets
from packing.plan.concat import concatenate
from packing.plan.cut import MIN_FRAGMENT, LongPolicy, checked_lengths, cut_documents
from packing.plan.cut_tally import CutTally
from packing.plan.pack import Method, place
from packing.plan.row_costs import RowTally, Spread
from packing.plan.windowed import CARRY, WINDOW, WindowedPacker

CHUNK = 1 << 18  # documents that are looked at together
TABLE_BYTES = 9  # of the Parquet fragment table per fragment, with hashed keys (reference, packing §7)
TOKENS_PER_CPU_SECOND = 2_000_000  # the slowest of the fast encoders, benchmarks/results/tokenizer_encode.json


@dataclass(frozen=True)
class PlanReport:
    """One way to pack; token counts include EOS.  `cost` is Σ l² over fragments: attention inside documents."""

    sequence_length: int
    method: str
    policy: str
    documents: int
    tokens: int
    fragments: int
    sequences: int
    lower_bound: int  # sequences if every one were full
    padding: int  # tokens
    documents_cut: int
    cuts_necessary: int  # documents longer than L
    cuts_unnecessary: int  # documents that would have fitted
    documents_truncated: int
    tokens_truncated: int
    documents_dropped: int
    tokens_dropped: int
    fragments_per_sequence: Spread
    cost: int
    cost_share: Spread  # per sequence, of the L² of attention over everything
    context_lost: dict[int, int]  # tokens by how far into its document their fragment begins (powers of two)
    disk_bytes: int
    cpu_seconds: float  # rough: tokenising dominates
    epochs: float | None  # of the packed documents, for the budget asked for

    @property
    def padding_share(self) -> float:
        """Of the tokens of all rows."""
        return self.padding / (self.sequences * self.sequence_length) if self.sequences else 0.0

    @property
    def token_loss(self) -> float:
        """Share of the tokens that no sequence holds."""
        return (self.tokens_truncated + self.tokens_dropped) / self.tokens if self.tokens else 0.0


def report(
    lengths: NDArray[np.int64] | Iterable[NDArray[np.int64]],
    L: int,
    method: Method | Literal["buckets"] = "windowed",
    policy: LongPolicy = "split",
    min_fragment: int = MIN_FRAGMENT,
    window: int = WINDOW,
    carry: int = CARRY,
    budget: int | None = None,
    tokens_per_second: float = TOKENS_PER_CPU_SECOND,
    smallest_bucket: int = SMALLEST,
) -> PlanReport:
    """Plan documents of `lengths` tokens (one array, or chunks of one in their order) into sequences of L.

    `budget` is the number of tokens to train on.  Memory is bounded for every method but `crop` and
    `buckets` (of pieces of powers of two from `smallest_bucket` on).  Raises ValueError as `cut_documents` does.
    """
    cuts, rows = CutTally(L), RowTally(L)
    chunks = _chunks(lengths, L)
    if method == "bfd":
        _histogram(chunks, cuts, rows, policy, min_fragment)
    elif method == "windowed":
        _windows(chunks, cuts, rows, policy, min_fragment, WindowedPacker(L, window, carry))
    elif method == "concat":
        _concatenated(chunks, cuts, rows)
    else:
        sizes = np.concatenate([*chunks, np.empty(0, np.int64)])
        if method == "buckets":
            placed = place_buckets(sizes, L, smallest_bucket).placement
        else:
            placed = place(sizes, L, method, policy, min_fragment)
        cuts.add(sizes, placed.fragments, placed.dropped)
        rows.add_bins(placed.packing.bin, placed.fragments.length, placed.packing.bins)
    sequences = int(rows.fragments.sum())
    per_fragment = LENGTH.itemsize + SEGMENT.itemsize + TABLE_BYTES
    per_row = L * TOKEN.itemsize + ROW_START.itemsize + QUEUE.itemsize
    return PlanReport(
        sequence_length=L,
        method=method,
        policy=policy,
        documents=cuts.documents,
        tokens=cuts.tokens,
        fragments=cuts.fragments,
        sequences=sequences,
        lower_bound=-(-cuts.kept_tokens // L),
        padding=sequences * L - cuts.kept_tokens,
        documents_cut=cuts.necessary + cuts.unnecessary,
        cuts_necessary=cuts.necessary,
        cuts_unnecessary=cuts.unnecessary,
        documents_truncated=cuts.truncated_documents,
        tokens_truncated=cuts.truncated_tokens,
        documents_dropped=cuts.dropped_documents,
        tokens_dropped=cuts.dropped_tokens,
        fragments_per_sequence=rows.fragment_spread(),
        cost=rows.squares,
        cost_share=rows.cost_spread(),
        context_lost=cuts.context_lost(),
        disk_bytes=sequences * per_row + cuts.fragments * per_fragment,
        cpu_seconds=cuts.tokens / tokens_per_second,
        epochs=None if budget is None or not cuts.kept_tokens else budget / cuts.kept_tokens,
    )


def _chunks(lengths: NDArray[np.int64] | Iterable[NDArray[np.int64]], L: int) -> Iterator[NDArray[np.int64]]:
    for part in [lengths] if isinstance(lengths, np.ndarray) else lengths:
        for at in range(0, part.size, CHUNK):
            yield checked_lengths(part[at : at + CHUNK], L)


def _histogram(
    chunks: Iterable[NDArray[np.int64]], cuts: CutTally, rows: RowTally, policy: LongPolicy, min_fragment: int
) -> None:
    counts = np.zeros(cuts.L + 1, np.int64)
    for sizes in chunks:
        fragments, dropped = cut_documents(sizes, cuts.L, policy, min_fragment)
        cuts.add(sizes, fragments, dropped)
        counts += length_histogram(fragments.length, cuts.L)
    rows.add_moves(best_fit_moves(counts, cuts.L))


def _windows(
    chunks: Iterable[NDArray[np.int64]],
    cuts: CutTally,
    rows: RowTally,
    policy: LongPolicy,
    min_fragment: int,
    packer: WindowedPacker,
) -> None:
    open_lengths, first = np.empty(0, np.int64), 0  # of fragments from number `first` on that may still come out
    for sizes in chunks:
        fragments, dropped = cut_documents(sizes, cuts.L, policy, min_fragment)
        cuts.add(sizes, fragments, dropped)
        finished = packer.feed(fragments.length)
        open_lengths = np.concatenate([open_lengths, fragments.length])
        rows.add_rows(finished, open_lengths[finished.fragments - first])
        oldest = int(packer.open.members.fragments.min(initial=packer.next_fragment))
        open_lengths, first = open_lengths[oldest - first :], oldest
    finished = packer.finish()
    rows.add_rows(finished, open_lengths[finished.fragments - first])


def _concatenated(chunks: Iterable[NDArray[np.int64]], cuts: CutTally, rows: RowTally) -> None:
    count, squares, used = 0, 0, 0  # of the sequence that is not full yet
    for sizes in chunks:
        fragments, bins = concatenate(sizes, cuts.L, used)
        cuts.add(sizes, fragments, np.empty(0, np.int64))
        here = int(bins[-1]) + 1
        counts = np.bincount(bins, minlength=here)
        costs = np.zeros(here, np.int64)
        np.add.at(costs, bins, fragments.length**2)
        counts[0] += count
        costs[0] += squares
        used = (used + int(sizes.sum())) % cuts.L
        full = here if used == 0 else here - 1
        rows.add(counts[:full], costs[:full])
        count, squares = (0, 0) if used == 0 else (int(counts[-1]), int(costs[-1]))
    if used:
        rows.add(np.array([count]), np.array([squares]))
