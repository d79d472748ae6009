"""The training loop under torchrun: two processes give the run that one gives, stop and go on, and write once."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

torch = pytest.importorskip("torch")

from curation.pipeline.errors import UsageError  # noqa: E402
from proxy_model.dist import Ranks  # noqa: E402
from proxy_model.files import load_model  # noqa: E402
from proxy_model.train.loop import train_model  # noqa: E402
from proxy_model.train.settings import Optimizer  # noqa: E402
from proxy_model.train.together import check_ranks  # noqa: E402
from proxy_model.train.token_table import Step  # noqa: E402
from tests.proxy_model.dist.train_pair import ten  # noqa: E402
from tests.proxy_model.train.small import losses, settings  # noqa: E402


def rows(folder: Path, table: str) -> list[dict]:
    return pq.read_table(folder / f"{table}.parquet").to_pylist()


@pytest.mark.parametrize("kind", ["two", "experts"])
def test_two_processes_give_the_run_of_one(runs: Path, kind: str) -> None:
    assert np.allclose(losses(runs / kind), losses(runs / "one"), atol=2e-5, rtol=0)
    for mine, theirs in zip(rows(runs / kind, "steps"), rows(runs / "one", "steps"), strict=True):
        assert [mine[name] for name in ("tokens", "labels", "lr", "batch_tokens", "dropped", "skipped")] == [
            theirs[name] for name in ("tokens", "labels", "lr", "batch_tokens", "dropped", "skipped")
        ]
        assert mine["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-3)
        assert mine["z"] == pytest.approx(theirs["z"], rel=1e-3)
    final, expected = load_model(runs / kind / "final"), load_model(runs / "one" / "final")
    for value, wanted in zip(final.parameters(), expected.parameters(), strict=True):
        assert (value - wanted).norm() <= 1e-3 * wanted.norm()


def test_logs_hold_the_sums_of_both(runs: Path) -> None:
    for mine, theirs in zip(rows(runs / "two", "sources"), rows(runs / "one", "sources"), strict=True):
        assert [mine[name] for name in ("step", "set", "name", "labels", "bytes")] == [
            theirs[name] for name in ("step", "set", "name", "labels", "bytes")
        ]
        assert mine["nats"] == pytest.approx(theirs["nats"], rel=1e-4)
    mine, theirs = rows(runs / "two", "experts"), rows(runs / "one", "experts")
    assert [(one["step"], one["layer"], one["source"], one["tokens"]) for one in mine] == [
        (one["step"], one["layer"], one["source"], one["tokens"]) for one in theirs
    ]
    moved = sum(abs(a["chosen"] - b["chosen"]) for a, b in zip(mine, theirs, strict=True))
    assert moved <= 0.01 * sum(one["chosen"] for one in mine)  # near ties fall by rounding


def test_a_stopped_run_goes_on_with_the_same_bits(runs: Path) -> None:
    assert losses(runs / "stopped") == losses(runs / "two")
    final, expected = load_model(runs / "stopped" / "final"), load_model(runs / "two" / "final")
    assert all(torch.equal(a, b) for a, b in zip(final.parameters(), expected.parameters(), strict=True))
    for table in ("sources", "experts"):
        assert rows(runs / "stopped", table) == rows(runs / "two", table)


def test_one_goes_on_where_two_stopped_and_two_where_one_did(runs: Path) -> None:
    by_one = ten(runs / "shards", runs / "by_one", micro_batch=1)
    shutil.rmtree(runs / "by_one" / "final")
    train_model(by_one, resume=True)
    for name in ("by_one", "from_one"):  # balance losses are of other groups of sequences
        assert np.allclose(losses(runs / name), losses(runs / "one"), atol=1e-3, rtol=0)


def test_bf16_trains(runs: Path) -> None:
    found = losses(runs / "bf16")
    assert np.allclose(found, losses(runs / "one")[: len(found)], atol=0.05)
    assert next(load_model(runs / "bf16" / "final").parameters()).dtype == torch.float32


def test_the_command_writes_and_prints_once(runs: Path) -> None:
    assert (runs / "command" / "report.html").exists()
    assert (runs / "stdout").read_text().count("report.html") == 1


def test_what_cannot_be_shared_is_refused_before_work(runs: Path) -> None:
    ours, two = settings(runs / "shards", runs / "x"), Ranks(0, 2)
    with pytest.raises(UsageError, match="3 sequences"):
        check_ranks(ours, [Step(number=0, first=0, sequences=3, tokens=0)], two)
    with pytest.raises(UsageError, match="Muon"):
        check_ranks(replace(ours, optimizer=Optimizer("muon")), [], two)
