"""Which documents are judged: two stages, with the weights that keep totals over the corpus unbiased.

Stage 1: every stratum (source × length) gets the same number of labels, as far as it has documents; inside a stratum
a simple random sample, so π = n_h / N_h and the weight is N_h / n_h.

Stage 2: among the documents not yet judged, with a probability proportional to the inverse frequency of their
predicted levels and with equal shares for the categories (a 0–5 scale is nearly empty at its top).  Systematic
sampling in random order has exactly these probabilities and this size (Madow 1949; Hartley & Rao 1962).

Both together: given stage 1, the total Σ_{S1} y + Σ_{S2} y/π₂ is unbiased (two-phase sampling; Särndal, Swensson &
Wretman 1992, ch. 9), and so is Σ_{S1} y/π₁; any fixed mixture of the two is, too.  With λ = n₁/(n₁+n₂) the weights are
λ/π₁ + (1−λ) in stage 1 and (1−λ)/π₂ in stage 2.

Random order is the hash of the id with the seed: the sample does not depend on the order of files or rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import Purpose, derive_seed, hash64
from quality.rubric.rubric import DIMENSIONS, LEVELS

LENGTH_EDGES = (500, 2_000, 8_000, 32_000)  # characters
Floats = NDArray[np.float64]

SAMPLE_SCHEMA = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("stage", pa.int8(), nullable=False),
        pa.field("weight", pa.float64(), nullable=False),
    ]
)


def first_stage(doc_ids: Sequence[str], sources: Sequence[str], chars: Sequence[int], n: int, seed: int) -> pa.Table:
    """`n` documents (all, where there are fewer) as SAMPLE_SCHEMA, ordered by id."""
    _check(n, doc_ids)
    lengths = np.searchsorted(LENGTH_EDGES, np.asarray(chars, np.int64), side="right")
    names = [f"{length}\x00{source}" for length, source in zip(lengths, sources, strict=True)]
    strata, of = np.unique(np.array(names, dtype=object), return_inverse=True)
    sizes = np.bincount(of, minlength=len(strata))
    seats = equal_shares(sizes, n, [hash64(str(name), derive_seed(seed, Purpose.SUBSET, "seats")) for name in strata])
    priority = _priorities(doc_ids, seed, "label stage 1")
    order = np.lexsort((priority, of))
    rank = np.empty(len(of), np.int64)
    rank[order] = np.arange(len(of)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    chosen = np.flatnonzero(rank < seats[of]).tolist()
    return _sample([(doc_ids[i], 1, sizes[of[i]] / seats[of[i]]) for i in chosen])


def equal_shares(sizes: NDArray[np.int64], n: int, order: Sequence[int]) -> NDArray[np.int64]:
    """Seats per stratum: as equal as the sizes allow, min(n, Σ sizes) in all; what is left over goes by `order`."""
    seats = np.zeros(len(sizes), np.int64)
    left = min(n, int(sizes.sum()))
    while left:
        open_ = np.flatnonzero(seats < sizes)
        each = left // len(open_)
        if each == 0:
            seats[sorted(open_.tolist(), key=lambda i: order[i])[:left]] += 1
            break
        more = np.minimum(each, (sizes - seats)[open_])
        seats[open_] += more
        left -= int(more.sum())
    return seats


def second_stage(
    doc_ids: Sequence[str], predicted: Mapping[str, Sequence[float]], categories: Sequence[str], first: pa.Table,
    n: int, seed: int,
) -> pa.Table:  # fmt: skip
    """Stage 1 with its new weights and `n` more documents; SAMPLE_SCHEMA, ordered by id.

    predicted: per dimension the level of every document (rounded here); first: stage 1 with weight = 1/π₁.
    Raises UsageError where a label of stage 1 is not among the documents.
    """
    known: dict[str, float] = dict(zip(*(first[c].to_pylist() for c in ("doc_id", "weight")), strict=True))
    missing = known.keys() - set(doc_ids)
    if missing:
        raise UsageError(f"{len(missing)} judged documents have no tag, such as {min(missing)!r}", "tag all documents")
    rest = [i for i, doc_id in enumerate(doc_ids) if doc_id not in known]
    _check(n, rest)
    n = min(n, len(rest))
    size = _sizes({name: np.asarray(values, np.float64)[rest] for name, values in predicted.items()})
    probability = inclusion(size, [categories[i] for i in rest], n)
    ids = [doc_ids[i] for i in rest]
    chosen = systematic(probability, ids, seed)
    mixed = len(known) / (len(known) + n)
    rows = [(doc_id, 1, mixed * weight + (1 - mixed)) for doc_id, weight in known.items()]
    rows += [(ids[i], 2, (1 - mixed) / probability[i]) for i in chosen.tolist()]
    return _sample(rows)


def _sizes(predicted: dict[str, Floats]) -> Floats:
    """Mean over the dimensions of 1 / number of documents at the document's level."""
    total = np.zeros(len(next(iter(predicted.values()))))
    for name in DIMENSIONS:
        values = predicted[name]
        if not np.isfinite(values).all():
            raise UsageError(f"{name} is missing for some documents", "tag all documents")
        levels = np.clip(np.rint(values), 0, LEVELS - 1).astype(np.int64)
        total += 1.0 / np.bincount(levels, minlength=LEVELS)[levels]
    return total / len(DIMENSIONS)


def inclusion(size: Floats, categories: Sequence[str], n: int) -> Floats:
    """π: Σ π = n, equal sums for the categories as far as they have documents, ∝ size inside, at most 1."""
    names, of = np.unique(np.array(categories, dtype=object), return_inverse=True)
    counts = np.bincount(of, minlength=len(names)).astype(np.float64)
    target = np.zeros(len(names))
    left = float(n)
    while left > 1e-9:  # equal shares of what is left among the categories that have room
        open_ = target < counts - 1e-12
        more = np.where(open_, np.minimum(left / open_.sum(), counts - target), 0.0)
        target += more
        left -= more.sum()
    out = np.empty(len(size))
    for k in range(len(names)):
        members = of == k
        out[members] = _proportional(size[members], target[k])
    return out


def _proportional(size: Floats, total: float) -> Floats:
    """min(1, c·size) with sum `total` (≤ len)."""
    out = np.ones(len(size))
    free = np.ones(len(size), bool)
    while free.any():
        scaled = size[free] * (total - (~free).sum()) / size[free].sum()
        if (scaled <= 1 + 1e-12).all():
            out[free] = np.minimum(scaled, 1.0)
            break
        free[np.flatnonzero(free)[scaled > 1]] = False
    return out


def systematic(probability: Floats, doc_ids: Sequence[str], seed: int) -> NDArray[np.int64]:
    """Positions chosen with exactly these probabilities: a grid of step 1 laid over the sums, in hashed order."""
    order = np.argsort(_priorities(doc_ids, seed, "label stage 2"), kind="stable")
    start = derive_seed(seed, Purpose.SUBSET, "label stage 2 start") / 2**64
    ends = np.cumsum(probability[order])
    ends[-1:] = np.rint(ends[-1:])  # the sum is a whole number but for rounding
    hits = np.floor(ends - start) - np.floor(np.concatenate([[0.0], ends[:-1]]) - start)
    return np.sort(order[hits > 0])


def _priorities(doc_ids: Sequence[str], seed: int, purpose: str) -> NDArray[np.uint64]:
    derived = derive_seed(seed, Purpose.SUBSET, purpose)
    return np.fromiter((hash64(doc_id, derived) for doc_id in doc_ids), np.uint64, len(doc_ids))


def _check(n: int, documents: Sequence[Any]) -> None:
    if n < 1:
        raise UsageError(f"a sample of {n} documents", "ask for at least 1")
    if not len(documents):
        raise UsageError("there are no documents to choose from")


def _sample(rows: list[tuple[str, int, float]]) -> pa.Table:
    columns = list(zip(*sorted(rows), strict=True)) or [(), (), ()]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, SAMPLE_SCHEMA, strict=True)], schema=SAMPLE_SCHEMA)
