"""A real experiment on one CPU thread: runs differ by more than their seeds exactly where their mixes differ.

Documents of two random languages; the arms see 55 % and 45 % of the first; a run's figure is its mean nats a token on
500 held-out documents of the first.  Welch's test over runs, as nothing is paired.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scipy.stats import ttest_ind  # noqa: E402

from proxy_model.config import preset  # noqa: E402
from proxy_model.train.held_out import HeldOut, of_sequences  # noqa: E402
from proxy_model.train.loop import train_model  # noqa: E402
from proxy_model.train.schedule import Schedule  # noqa: E402
from proxy_model.train.settings import Seeds, TrainSettings  # noqa: E402
from proxy_model.train.token_table import constant  # noqa: E402
from tests.packing.directories import write_directory  # noqa: E402
from tests.proxy_model.train.small import VOCABULARY, markov  # noqa: E402

LENGTH, BATCH = 128, 1024
MODEL = preset("pico", vocab_size=VOCABULARY)


def arm(folder: Path, share: float, tokens: int) -> Path:
    """Shards with `share` of the first language."""
    documents = round(1.1 * tokens / LENGTH)
    first = round(share * documents)
    write_directory(
        folder,
        {"a": markov(1, first, LENGTH - 1, 10), "b": markov(2, documents - first, LENGTH - 1, 10)},
        sequence_length=LENGTH,
        rows_per_shard=1000,
    )
    return folder


def items(count: int) -> HeldOut:
    sequences = [np.array(one, np.int64) for one in markov(1, count, 48, 99)]
    return of_sequences(sequences, [3 * (len(one) - 1) for one in sequences], ["a"] * count)


def figure(shards: Path, folder: Path, run: int, tokens: int, held: HeldOut) -> float:
    settings = TrainSettings(
        model=MODEL, shards=shards, folder=folder, tokens=tokens, batch=constant(BATCH), lr=5e-3,
        schedule=Schedule("wsd", tokens // 10, 0.3), seeds=Seeds(100 + run, 200 + run),
    )  # fmt: skip
    whole = next(one for one in train_model(settings, held).held_out if one.kind == "all")
    return whole.nats / whole.labels


def experiment(folder: Path, seeds: int, tokens: int, count: int) -> tuple[float, float, float]:
    """(p of two mixes, difference in nats, p of one mix against itself with other seeds)."""
    held = items(count)
    rich, poor = arm(folder / "rich", 0.55, tokens), arm(folder / "poor", 0.45, tokens)
    one = [figure(rich, folder / f"rich{i}", i, tokens, held) for i in range(seeds)]
    two = [figure(poor, folder / f"poor{i}", i, tokens, held) for i in range(seeds)]
    null = [figure(poor, folder / f"null{i}", seeds + i, tokens, held) for i in range(seeds)]
    print(f"\n{one}\n{two}\n{null}")
    return (
        float(ttest_ind(one, two, equal_var=False).pvalue),
        float(np.mean(one) - np.mean(two)),
        float(ttest_ind(two, null, equal_var=False).pvalue),
    )


def test_a_planted_difference_is_found_and_no_other(tmp_path: Path) -> None:
    p, difference, null = experiment(tmp_path, 3, 40_000, 200)
    assert p < 0.05 and difference < 0 and null > 0.05


@pytest.mark.slow
def test_the_same_at_full_size(tmp_path: Path) -> None:
    """5 seeds × 2 arms (and 5 for the null pair), 120,000 tokens a run, 500 items."""
    p, difference, null = experiment(tmp_path, 5, 120_000, 500)
    assert p < 0.001 and difference < 0 and null > 0.05
