"""Random corpora: documents in cells, with a target for each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from mixing.sample.documents import Documents


def in_cells(
    cell: NDArray[np.int64], cells: int, doc_key: NDArray[np.uint64], sample: NDArray[np.uint64],
    ablate: NDArray[np.uint64], tokens: NDArray[np.int64], weight: NDArray[np.float64] | None = None,
) -> Documents:  # fmt: skip
    """Columns in any order of rows, cell after cell; within a cell in the order given."""
    order = np.argsort(cell, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=cells))]).astype(np.int64)
    weights = None if weight is None else weight[order].astype(np.float32)
    return Documents(starts, doc_key[order], sample[order], ablate[order], tokens[order].astype(np.uint32), weights)


@dataclass(frozen=True, eq=False)
class Corpus:
    """Documents, tokens wanted of each cell, epochs allowed."""

    documents: Documents
    cell: NDArray[np.int64]
    x: NDArray[np.float64]
    caps: NDArray[np.float64]

    @property
    def longest(self) -> int:
        return int(self.documents.tokens.max())


def corpus(
    seed: int, n: int, cells: int, *, fill: float = 0.7, weighted: bool = False, law: str = "lognormal"
) -> Corpus:
    """n documents in cells of uneven sizes; no cell is empty, and no target is above its cap."""
    draw = np.random.default_rng(seed)
    share = draw.dirichlet(np.full(cells, 0.7))
    cell = np.concatenate([np.arange(cells), draw.choice(cells, max(n - cells, 0), p=share)])
    n = len(cell)
    if law == "lognormal":
        tokens = np.maximum(1, draw.lognormal(6, 1.1, n)).astype(np.int64)
    elif law == "equal":
        tokens = np.full(n, 7, np.int64)
    else:  # most are short, a few are huge
        tokens = np.where(draw.random(n) < 0.02, 100_000, draw.integers(1, 50, n)).astype(np.int64)
    keys = draw.integers(0, 2**64, n, np.uint64)  # alike with a chance of 1 in 10^13
    first, second = (draw.integers(0, 2**64, n, np.uint64) for _ in range(2))
    weight = draw.choice([1.0, 2.0, 3.0, 5.0, 8.0], n, p=[0.6, 0.2, 0.1, 0.05, 0.05]) if weighted else None
    documents = in_cells(cell, cells, keys, first, second, tokens, weight)
    unique = np.array([documents.sizes(i).sum() for i in range(cells)], np.float64)
    caps = draw.choice([1.0, 2.0, 3.0, 4.0], cells)
    x = np.minimum(draw.random(cells) * 2 * fill, 1.0) * caps * unique
    return Corpus(documents, np.sort(cell, kind="stable"), x, caps)


def shuffled(one: Corpus, seed: int) -> tuple[Corpus, NDArray[np.int64]]:
    """The same documents in another order, and which old row each new one is."""
    documents, order = one.documents, np.random.default_rng(seed).permutation(len(one.documents))
    again = np.argsort(one.cell[order], kind="stable")
    rows = order[again]
    made = Documents(
        documents.starts, documents.doc_key[rows], documents.sample[rows], documents.ablate[rows],
        documents.tokens[rows], None if documents.weight is None else documents.weight[rows],
    )  # fmt: skip
    return Corpus(made, one.cell, one.x, one.caps), rows


seeds = st.integers(0, 2**32)
corpora = st.builds(
    corpus, seeds, st.integers(1, 400), st.integers(1, 12), fill=st.floats(0.02, 0.9), weighted=st.booleans(),
    law=st.sampled_from(["lognormal", "equal", "few long"]),
)  # fmt: skip
