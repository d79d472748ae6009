"""What cutting costs: documents cut, tokens lost, and context that later pieces of a document do not see."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from packing.plan.cut import Fragments

CONTEXT_CLASSES = 40  # powers of two of tokens


class CutTally:
    """Sums over chunks of documents; all counts are exact."""

    def __init__(self, L: int) -> None:
        self.L = L
        self.documents = self.tokens = self.fragments = self.kept_tokens = 0
        self.necessary = self.unnecessary = 0  # documents cut (split or truncated) that do not, or do, fit L
        self.truncated_documents = self.truncated_tokens = 0
        self.dropped_documents = self.dropped_tokens = 0
        self.context = np.zeros(CONTEXT_CLASSES + 1, np.int64)  # tokens by bit length of their fragment's offset

    def add(self, sizes: NDArray[np.int64], fragments: Fragments, dropped: NDArray[np.int64]) -> None:
        """One chunk: lengths of its documents, their fragments, numbers (in the chunk) of dropped documents."""
        kept = np.bincount(fragments.doc, weights=fragments.length, minlength=sizes.size).astype(np.int64)
        pieces = np.bincount(fragments.doc, minlength=sizes.size)
        cut = (pieces > 0) & ((pieces > 1) | (kept < sizes))
        self.documents += sizes.size
        self.tokens += int(sizes.sum())
        self.fragments += len(fragments)
        self.kept_tokens += int(kept.sum())
        self.necessary += int((cut & (sizes > self.L)).sum())
        self.unnecessary += int((cut & (sizes <= self.L)).sum())
        self.truncated_documents += int(((pieces > 0) & (kept < sizes)).sum())
        self.dropped_documents += dropped.size
        self.dropped_tokens += int(sizes[dropped].sum())
        self.truncated_tokens = self.tokens - self.kept_tokens - self.dropped_tokens
        classes = np.frexp(fragments.offset.astype(np.float64))[1]  # 0 for 0, 1 for 1, 2 for 2 and 3, 3 for 4 … 7
        np.add.at(self.context, classes.clip(0, CONTEXT_CLASSES), fragments.length)

    def context_lost(self) -> dict[int, int]:
        """Tokens whose fragment begins 0, 1, 2 … 3, 4 … 7, … tokens into its document: {least offset: tokens}."""
        return {(1 << k >> 1): int(n) for k, n in enumerate(self.context) if n}
