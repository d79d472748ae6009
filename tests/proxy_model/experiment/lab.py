"""A small world for whole experiments: documents of a random letter chain, the same with shuffled letters, and items.

A run takes about a second in this process; `in_process` puts that in place of worker processes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from packing.layout.manifest import Manifest
from proxy_model.experiment import local
from proxy_model.experiment.arms import read_arms
from proxy_model.experiment.lock import read_lock
from proxy_model.experiment.runs import RunName, one_run
from proxy_model.experiment.settings import Experiment
from proxy_model.experiment.suite import load_suite
from tests.tokenizer.vocabularies import small_vocabulary
from tokenizer.formats.export import export

LETTERS = "abcdefghijklmnop"
LENGTH, DOCUMENTS = 64, 160
STEPS = 24
MODEL = {"preset": "pico", "vocab_size": 1536, "width": 32, "heads": 2, "head_dim": 16, "expert_width": 32}
TOKENS = STEPS * 8 * LENGTH


def chain(seed: int, length: int) -> str:
    """Letters of which each is followed by one of two."""
    table = np.random.default_rng(5).permuted(np.tile(np.arange(len(LETTERS)), (len(LETTERS), 1)), axis=1)[:, :2]
    draw = np.random.default_rng([seed, 9])
    state, made = int(draw.integers(len(LETTERS))), []
    for _ in range(length):
        made.append(LETTERS[state])
        state = int(table[state, int(draw.integers(2))])
    return " ".join(made)


def shuffled(text: str, seed: int) -> str:
    return " ".join(np.random.default_rng([seed, 3]).permutation(text.split()).tolist())


def item(number: int, **changed: Any) -> dict[str, Any]:
    """What follows a piece of the chain; wrong choices are pieces in shuffled order."""
    words = chain(10_000 + number, 18).split()
    right = " ".join(words[12:])
    wrong = [shuffled(chain(20_000 + 4 * number + i, 6), i) for i in range(3)]
    choices = [right, *wrong]
    base = {
        "benchmark": "odd" if number % 2 else "even", "id": f"i{number}", "query": " ".join(words[:12]), "gold": 0,
        "choices": choices,
    }  # fmt: skip
    return {**base, **changed}


def write_items(path: Path, items: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(one) + "\n" for one in items))


def make_world(base: Path) -> Path:
    """clean.yaml and noisy.yaml (all letters shuffled), items.jsonl, a tokenizer."""
    export(small_vocabulary(), base / "tokenizer")
    for name in ("clean", "noisy"):
        with open(base / f"{name}.jsonl", "w") as file:
            for i in range(DOCUMENTS):
                text = chain(i, 200)
                line = {"id": f"{i}", "text": shuffled(text, i) if name == "noisy" else text}
                file.write(json.dumps(line) + "\n")
        config = {
            "run": name, "workdir": str(base / "runs"), "executor": {"kind": "local", "workers": 1},
            "sources": {"docs": {"read": "jsonl", "paths": [f"{name}.jsonl"], "text": "text", "id": "id"}},
            "tokenizer": {"path": "tokenizer"},
            "mix": {"budget": 30_000, "preset": "proportional", "cells": ["source"]},
            "pack": {"sequence_length": LENGTH, "min_fragment": 8},
        }  # fmt: skip
        (base / f"{name}.yaml").write_text(yaml.safe_dump(config))
    write_items(base / "items.jsonl", [item(i) for i in range(60)])
    return base


def ab(base: Path, name: str = "test", **changed: Any) -> Path:
    """An experiment's YAML in the world: clean against noisy, two runs each."""
    values: dict[str, Any] = {
        "ab": name, "workdir": str(base / "runs"), "base": "noisy.yaml",
        "arms": {"noisy": {}, "clean": {"base": "clean.yaml"}},
        "train": {
            "model": MODEL, "tokens": TOKENS, "batch": 8 * LENGTH, "lr": 0.01, "evaluate": {"holdout": "none"},
            "checkpoint": {"every": 8},
        },
        "runs": 2, "primary": {"items": ["items.jsonl"], "metric": "norm_prob_byte"},
    }  # fmt: skip
    path = base / f"{name}.yaml"
    path.write_text(yaml.safe_dump({**values, **changed}, sort_keys=False))
    return path


def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train in this process: starting another takes longer than the run."""

    def run_all(experiment: Experiment, todo: Sequence[RunName], **shown: Any) -> None:
        arms, suite, lock = read_arms(experiment), load_suite(experiment), read_lock(experiment)["hash"]
        for name in todo:
            one_run(experiment, arms[name.arm], name, suite, lock)

    monkeypatch.setattr(local, "run_all", run_all)


def manifest_of(base: Path, run: str) -> Manifest:
    return Manifest.read(base / "runs" / run / "shards")
