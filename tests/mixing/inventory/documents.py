"""Tagged documents in Parquet, made from a seed."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

CATEGORIES = ["science", "sport", None]


def table(n: int = 3_000, seed: int = 5) -> pa.Table:
    r = np.random.default_rng(seed)
    category = r.integers(0, 3, n)
    bucket = r.integers(0, 5, n)
    tagged = category < 2
    text = pa.dictionary(pa.int32(), pa.string())
    return pa.table(
        {
            "id": [f"web/x#{i}" for i in range(n)],
            "doc_key": pa.array(r.integers(0, 2**63, n).astype(np.uint64)),
            "source": pa.array(np.array(["web", "books"])[r.integers(0, 2, n)]).cast(text),
            "language": pa.array([None if one == 2 else ["en", "de"][one] for one in r.integers(0, 3, n)]).cast(text),
            "token_count": pa.array(np.where(r.random(n) < 0.01, 0, r.lognormal(9, 2, n)).astype(np.int64)),
            "category": pa.array([CATEGORIES[one] for one in category]),
            "bucket": pa.array(bucket, pa.int8(), mask=~tagged),
            "mix_score": pa.array(r.normal(0, 1, n).astype(np.float32), mask=~tagged),
            "split": pa.array(np.where(r.random(n) < 0.05, "holdout", "train")),
            "duplicate_count": pa.array(np.minimum(r.zipf(1.5, n), 5_000).astype(np.int64)),
        }
    )


def write(documents: pa.Table, folder: Path, shards: int = 1) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    edges = np.linspace(0, len(documents), shards + 1).astype(int)
    paths = []
    for i, (start, end) in enumerate(pairwise(edges)):
        paths.append(folder / f"{i:03}.parquet")
        pq.write_table(documents.slice(start, end - start), paths[-1])
    return paths
