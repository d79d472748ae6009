"""What test_train.py looks at, done on two gloo processes: whole training runs, through the command and the loop."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from proxy_model.commands import app
from proxy_model.dist import Ranks
from proxy_model.train.listener import Silent
from proxy_model.train.loop import train_model
from proxy_model.train.settings import TrainSettings
from tests.proxy_model.train.small import LENGTH, settings


def ten(shards: Path, folder: Path, **changed: Any) -> TrainSettings:
    """Ten steps of four rows."""
    return settings(shards, folder, tokens=10 * 4 * LENGTH, evaluate_every=5, checkpoint_every=4, **changed)


class Interrupted(Exception):
    pass


class StopsAt(Silent):
    def __init__(self, step: int) -> None:
        self.step = step

    def stepped(self, row) -> None:  # type: ignore[no-untyped-def]
        if row["step"] == self.step:
            raise Interrupted


def train_runs(folder: Path, ranks: Ranks) -> None:
    app(["proxy", "train", str(folder / "train.yaml")], standalone_mode=False)
    ours = ten(folder / "shards", folder / "two", micro_batch=1)
    train_model(ours)
    stopped = replace(ours, folder=folder / "stopped")
    with suppress(Interrupted):
        train_model(stopped, listener=StopsAt(6))
    ranks.wait()
    train_model(stopped, resume=True)
    train_model(replace(ours, folder=folder / "experts", expert_parallel=True))
    train_model(settings(folder / "shards", folder / "bf16", tokens=4 * 4 * LENGTH, precision="bf16"))
    if ranks.first:  # for one process to go on from
        shutil.copytree(folder / "two", folder / "by_one")
        shutil.rmtree(folder / "by_one" / "checkpoints" / "00000010")
    ranks.wait()
    train_model(replace(ours, folder=folder / "from_one", micro_batch=2), resume=True)
