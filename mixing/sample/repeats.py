"""Share of tokens by number of repeats, and how far two such histograms are apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixing.sample.documents import Documents

ENOUGH = 200  # kept documents from which a cell's figures mean something (quality_mixing §4.5)


def repeat_shares(documents: Documents, copies: NDArray[np.uint16]) -> NDArray[np.float64]:
    """float64[most copies + 1]: share of the tokens that stand in documents with so many copies; [0] is 0."""
    held = np.zeros(int(copies.max(initial=0)) + 1)
    for cell in range(documents.cells):
        mine = copies[documents.rows(cell)]
        held += np.bincount(mine, weights=documents.sizes(cell) * mine, minlength=len(held))
    return held / held.sum() if held.sum() else held


def cell_tokens(documents: Documents, copies: NDArray[np.uint16]) -> NDArray[np.int64]:
    """int64[cells]: tokens of the occurrences of each cell."""
    return np.array(
        [int((documents.sizes(i) * copies[documents.rows(i)]).sum()) for i in range(documents.cells)], np.int64
    )


def cell_documents(documents: Documents, copies: NDArray[np.uint16]) -> NDArray[np.int64]:
    """int64[cells]: documents of each cell that stand at least once."""
    return np.array([np.count_nonzero(copies[documents.rows(i)]) for i in range(documents.cells)], np.int64)


def distance(a: NDArray[np.floating[Any]], b: NDArray[np.floating[Any]]) -> float:
    """Total variation of two distributions; the shorter one is 0 beyond its end."""
    n = max(len(a), len(b))
    return float(np.abs(np.pad(a, (0, n - len(a))) - np.pad(b, (0, n - len(b)))).sum() / 2)


def smallest_share(documents: NDArray[np.int64]) -> float:
    """The smallest share of the final run at which every cell that it uses keeps ENOUGH documents; inf: none does."""
    used = documents[documents > 0]
    return float(ENOUGH / used.min()) if len(used) and used.min() >= ENOUGH else float("inf")
