"""The formulas of the evaluation that are more than a quotient of two sums.

Every one is a plain function of counts; docs/tokenizer-evaluation.md lists all metrics with formula and source.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

RENYI_ORDER = 2.5  # the order that correlated best with translation quality (Zouhar et al. 2023, §5)


def renyi_efficiency(counts: ArrayLike, vocab_size: int, order: float = RENYI_ORDER) -> float | None:
    """H_α(p) / log |V| with H_α = log(Σ pᵅ) / (1 − α), p the shares of the token counts (Zouhar et al. 2023).

    1 where every token of the vocabulary is equally frequent, 0 where one token is all.  None without tokens.
    """
    p = _shares(counts)
    if p is None or vocab_size < 2:
        return None
    return float(np.log(np.sum(p**order)) / (1 - order) / np.log(vocab_size))


def shannon_efficiency(counts: ArrayLike, vocab_size: int) -> float | None:
    """H(p) / log |V|: the same at order 1."""
    p = _shares(counts)
    if p is None or vocab_size < 2:
        return None
    return float(-np.sum(p * np.log(p)) / np.log(vocab_size))


def gini(costs: Sequence[float]) -> float:
    """Σ (2i − n − 1) x_i / (n Σ x) over ascending x: 0 where every language pays the same (Foroutan et al. 2025)."""
    x = np.sort(np.asarray(costs, np.float64))
    n = len(x)
    if not n or not x.sum():
        return 0.0
    return float(np.sum((2 * np.arange(1, n + 1) - n - 1) * x) / (n * x.sum()))


def embedding_share(rows: int, width: int, layers: int, *, tied: bool = False) -> float:
    """Share of a transformer's parameters that are embedding and output rows: c·rows·d / (c·rows·d + 12·L·d²).

    c = 1 for tied embeddings, else 2; 12·L·d² is the usual count of the rest (Kaplan et al. 2020, §2.1).
    """
    embedding = (1 if tied else 2) * rows * width
    return embedding / (embedding + 12 * layers * width**2)


def _shares(counts: ArrayLike) -> NDArray[np.float64] | None:
    found = np.asarray(counts, np.float64)
    found = found[found > 0]
    return found / found.sum() if len(found) else None
