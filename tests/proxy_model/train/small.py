"""Small shards, models and settings: a run takes a second."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from proxy_model.config import ModelConfig, preset
from proxy_model.train.schedule import Schedule
from proxy_model.train.settings import Seeds, TrainSettings
from proxy_model.train.token_table import constant
from tests.packing.directories import write_directory

LENGTH, VOCABULARY = 64, 256
TINY: ModelConfig = preset("pico", vocab_size=VOCABULARY, width=32, heads=2, head_dim=16, expert_width=32)


def markov(seed: int, documents: int, length: int, rng: int, sharp: float = 2.5) -> list[list[int]]:
    """Documents of a random first-order chain over ids 3 … 255 (below are special ids)."""
    table = np.random.default_rng(seed).normal(size=(VOCABULARY - 3, VOCABULARY - 3)) * sharp
    table = np.exp(table - table.max(1, keepdims=True))
    cumulative = np.cumsum(table / table.sum(1, keepdims=True), axis=1)
    draw = np.random.default_rng([rng, seed])
    state = draw.integers(VOCABULARY - 3, size=documents)
    made = [state]
    for _ in range(length - 1):
        state = np.minimum((cumulative[state] < draw.random((documents, 1))).sum(1), VOCABULARY - 4)
        made.append(state)
    return (np.stack(made, 1) + 3).tolist()


def shards(folder: Path, documents: int = 60, length: int = 50) -> Path:
    """Two sources, packed."""
    write_directory(
        folder,
        {"a": markov(1, documents, length, 0), "b": markov(2, documents, length, 0)},
        sequence_length=LENGTH,
        rows_per_shard=7,
    )
    return folder


def settings(shards: Path, folder: Path, **changed: Any) -> TrainSettings:
    """20 steps of four rows."""
    tokens = 20 * 4 * LENGTH
    base = TrainSettings(
        model=TINY, shards=shards, folder=folder, tokens=tokens, batch=constant(4 * LENGTH), lr=5e-3,
        schedule=Schedule("wsd", 5 * LENGTH), seeds=Seeds(init=1, order=2), holdout_share=0.05,
    )  # fmt: skip
    return replace(base, **changed)


def losses(folder: Path) -> list[float]:
    """Of steps.parquet, in order."""
    import pyarrow.parquet as pq

    return [float(one) for one in pq.read_table(folder / "steps.parquet")["loss"].to_pylist()]
