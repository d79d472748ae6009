"""Order of sequences of four sources: how far each order strays from the target mix, after every prefix.

    python benchmarks/pack_order.py

600,000 documents of the `mixed` law, packed source by source into 8,192; then ordered by Tijdeman's schedule on real
tokens, by the same on sequence counts (padding ignored), by the greedy rule of Megatron's blended datasets (the
source furthest behind by count), by a random shuffle and source after source.  Also weights that change, and the time
of a schedule.  Deviations are in sequences of real tokens.  Writes benchmarks/results/pack_order.json.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pack_laws import LAWS, SHARES, lengths_of
from results import write_result

from packing.order.feasibility import longest_budget
from packing.order.tijdeman import prefix_deviation, tijdeman
from packing.order.weights import path, static
from packing.plan.cut import cut_documents
from packing.plan.pack import pack

DOCUMENTS, L, BATCH = 600_000, 8192, 512


def real_tokens(kind: str, documents: int, seed: int) -> NDArray[np.int64]:
    """Real tokens of the sequences that one source's documents fill."""
    fragments, _ = cut_documents(lengths_of(kind, documents, seed), L)
    made = pack(fragments.length, L, "windowed")
    return np.bincount(made.bin, weights=fragments.length, minlength=made.bins).astype(np.int64)


def greedy(shares: NDArray[np.float64], rows: list[int]) -> NDArray[np.uint16]:
    """Always the source that is furthest behind by count (megatron-core, helpers.cpp build_blending_indices)."""
    given = np.zeros(shares.size)
    out = np.empty(sum(rows), np.uint16)
    for step in range(out.size):
        behind = np.where(given < rows, shares * max(step, 1) - given, -np.inf)
        out[step] = behind.argmax()
        given[out[step]] += 1
    return out


def batch_share_deviation(order: NDArray[np.uint16], sources: int) -> float:
    """Standard deviation of a source's share of a batch, the largest of the sources, in per cent."""
    whole = order[: order.size // BATCH * BATCH].reshape(-1, BATCH)
    return max(float((whole == source).mean(1).std()) for source in range(sources)) * 100


def main() -> None:
    kinds = list(LAWS)
    tokens = [
        real_tokens(kind, int(DOCUMENTS * share), 5 + n)
        for n, (kind, share) in enumerate(zip(LAWS, SHARES, strict=True))
    ]
    rows = [part.size for part in tokens]
    target = static([float(part.sum()) for part in tokens])
    by_count = np.array(rows) / sum(rows)
    orders = {
        "tijdeman by tokens": tijdeman(target, tokens, L),
        "tijdeman by count": tijdeman(static(by_count), [np.full(n, L) for n in rows], L, sum(rows)),
        "greedy by count": greedy(by_count, rows),
        "random": np.random.default_rng(1).permutation(np.repeat(np.arange(4), rows)).astype(np.uint16),
        "source after source": np.repeat(np.arange(4), rows).astype(np.uint16),
    }
    result: dict[str, Any] = {
        "sequences": dict(zip(kinds, rows, strict=True)),
        "padding_percent": {
            kind: round(100 * (1 - float(part.mean()) / L), 3) for kind, part in zip(kinds, tokens, strict=True)
        },
        "bound": round(1 - 1 / (2 * len(kinds) - 2), 4),
        "orders": {
            name: {
                "largest_deviation": round(float(prefix_deviation(order, target, tokens, L).max()), 4),
                "batch_share_std_percent": round(batch_share_deviation(order, 4), 3),
            }
            for name, order in orders.items()
        },
    }
    changing = path([0.0, 2e7, 1.2e8], [[0.7, 0.1, 0.1, 0.1]] * 2 + [[0.2, 0.2, 0.2, 0.4]])
    order = tijdeman(changing, tokens, L)
    result["changing_weights"] = {
        "sequences": order.size,
        "tokens": round(longest_budget(changing, [int(part.sum()) for part in tokens])),
        "largest_deviation": round(float(prefix_deviation(order, changing, tokens, L).max()), 4),
    }
    result["seconds_for_ten_million"] = {}
    for queues in (5, 200):
        many = [np.full(10_000_000 // queues + 1, L)] * queues
        start = time.process_time()
        tijdeman(np.ones(queues), many, L, 10_000_000)
        result["seconds_for_ten_million"][str(queues)] = round(time.process_time() - start, 2)
    print(result)
    write_result("pack_order", result)


if __name__ == "__main__":
    main()
