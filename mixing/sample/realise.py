"""Which documents a plan takes, and how often: exact to half a document, each cell within one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.pipeline.errors import ConservationError
from mixing.sample.documents import Documents
from mixing.sample.entry import copies_allowed, entries, entry_key
from mixing.sample.fair import fair_prefix


@dataclass(frozen=True, eq=False)
class Sample:
    """copies: uint16[documents], 0 for those left out; tokens: int64[cells]; reach: float64[cells], the entry key of
    each cell's last occurrence (0 where none is taken); budget: what was asked for."""

    copies: NDArray[np.uint16]
    tokens: NDArray[np.int64]
    reach: NDArray[np.float64]
    budget: float

    @property
    def total(self) -> int:
        """Tokens of all occurrences."""
        return int(self.tokens.sum())

    @property
    def occurrences(self) -> int:
        """Rows of the mix table."""
        return int(self.copies.sum(dtype=np.int64))


def realise(
    documents: Documents, x: NDArray[np.float64], caps: NDArray[np.float64], budget: float | None = None
) -> Sample:
    """Take x[i] tokens of each cell, or of all cells together `budget` tokens in the proportions of x.

    x: float64[cells]; caps: float64[cells], epochs, inf allowed.  The sample of a budget is contained in that of any
    larger one.  Raises UsageError (`entries`), and ConservationError where a promise does not hold: the whole within
    half of the longest document, each cell within one.
    """
    x = np.asarray(x, np.float64)
    budget = float(x.sum()) if budget is None else float(budget)
    share = min(budget / float(x.sum()), 1.0) if x.sum() > 0 else 0.0
    orders: list[NDArray[np.int32]] = []
    for cell in range(documents.cells):
        rows = documents.rows(cell)
        weight = None if documents.weight is None else documents.weight[rows].astype(np.float64)
        sizes = documents.sizes(cell)
        needed = share * x[cell] + 2 * float(sizes.max(initial=0)) if x[cell] > 0 else 0.0
        orders.append(
            entries(documents.doc_key[rows], documents.sample[rows], sizes, weight, copies_allowed(caps[cell]), needed)
        )
    starts = np.concatenate([[0], np.cumsum([len(one) for one in orders])]).astype(np.int64)
    lengths = np.empty(int(starts[-1]), np.int64)
    for cell, order in enumerate(orders):
        lengths[starts[cell] : starts[cell + 1]] = documents.sizes(cell)[order]
    taken = fair_prefix(lengths, starts, x, budget)
    sample = _counted(documents, orders, taken, budget)
    _check(documents, sample, x, share)
    return sample


def _counted(documents: Documents, orders: list[NDArray[np.int32]], taken: NDArray[np.int64], budget: float) -> Sample:
    copies = np.zeros(len(documents), np.uint16)
    tokens, reach = np.zeros(documents.cells, np.int64), np.zeros(documents.cells)
    for cell, order in enumerate(orders):
        if not taken[cell]:
            continue
        rows = documents.rows(cell)
        mine = np.bincount(order[: taken[cell]], minlength=rows.stop - rows.start)
        copies[rows] = mine
        tokens[cell] = int((mine * documents.sizes(cell)).sum())
        last = int(order[taken[cell] - 1])
        weight = np.ones(1) if documents.weight is None else documents.weight[rows][last : last + 1].astype(np.float64)
        reach[cell] = entry_key(mine[last : last + 1], documents.sample[rows][last : last + 1], weight)[0]
    return Sample(copies, tokens, reach, budget)


def _check(documents: Documents, sample: Sample, x: NDArray[np.float64], share: float) -> None:
    """The two promises, but for what rounding of x leaves open (1e-6 of a token a cell)."""
    longest = int(documents.tokens.max(initial=0))
    slack = 1e-6 * max(documents.cells, 1) + 1e-9 * sample.budget
    if abs(sample.total - sample.budget) > longest / 2 + slack:
        raise ConservationError(f"mix: {sample.total:,} tokens for a budget of {sample.budget:,.0f}: not this plan's")
    away = np.abs(sample.tokens - share * x)
    if (away > 1.5 * longest + slack).any():
        cell = int(np.argmax(away))
        raise ConservationError(f"mix: cell {cell} has {sample.tokens[cell]:,} of {share * x[cell]:,.0f} tokens")
