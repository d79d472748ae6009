"""Promises of the `mix:` section: what it accepts, and how it tells what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from curation.pipeline.config import load
from curation.pipeline.errors import ConfigError
from mixing.config import MixConfig


def config(**given: Any) -> MixConfig:
    return MixConfig.model_validate({"budget": "20M", **given})


def test_counts_are_written_as_people_write_them() -> None:
    assert config().budget == 20_000_000
    assert config(budget="1.5B").budget == 1_500_000_000
    found = config(budget=7_000, ablation={"tokens": "1K"}).ablation
    assert found is not None and found.budget(10**9) == 1000


def test_caps_by_bucket() -> None:
    assert config().plan_config().caps is None  # the planner's default
    assert config(caps={"low": 1, "high": 5}).plan_config().caps == (1, 1, 3, 5, 5)
    assert config(caps={"buckets": [1, 2, 3, 4, 5], "untagged": 2}).plan_config().untagged_cap == 2
    caps = config(caps="none").plan_config().caps
    assert caps is not None and min(caps) == float("inf")


def test_a_config_survives_a_plan_file() -> None:
    for given in ({}, {"caps": {"buckets": [1, 2, 3, 4, 5]}}, {"soft_caps": True}, {"length_edges": [100, 1000]}):
        one = config(**given)
        again = MixConfig.model_validate(one.model_dump(mode="json"))
        assert again == one and again.plan_config() == one.plan_config()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"budget": 0}, "greater than or equal to 1"),
        ({"budget": "many"}, "integer"),
        ({"weights": {"a": -0.5, "b": 1.5}, "preset": "fixed"}, "greater than or equal to 0"),
        ({"weights": {"a": 0.5, "b": 0.9}, "preset": "fixed"}, "did you mean {a: 0.357"),
        ({"weights": {"a": 1.0}}, "weights belong to the preset fixed"),
        ({"preset": "fixed"}, "has no weights"),
        ({"preset": "tiltet"}, "tilted"),
        ({"caps": {"buckets": [1, 2]}}, "at least 5"),
        ({"caps": {"low": 1, "buckets": [1, 1, 1, 1, 1]}}, "either `buckets`"),
        ({"floors": {"a": 0.7, "b": 0.7}}, "1.4 in sum"),
        ({"cells": ["category"]}, "`source` must be among them"),
        ({"cells": ["source", "size"]}, "no cells by 'size'"),
        ({"queues": "category", "cells": ["source"]}, "cells by category"),
        ({"ablation": {}}, "one of `tokens` and `share`"),
        ({"ablation": {"tokens": "20M"}}, "as many tokens as the mix"),
        ({"length_edges": [100, 10]}, "two rising token counts"),
        ({"unknown": 1}, "unknown"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as raised:
        config(**given)
    assert told in str(raised.value)


def test_a_file_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("run: a\nsources: {a: {read: jsonl, paths: [a]}}\nmix:\n  budget: 20M\n  on_deficit: shrnik\n")
    with pytest.raises(ConfigError, match=r"a.yaml:5: mix.on_deficit"):
        load(path)
