"""The YAML of an experiment, its items and its arms: what is refused, where, and with which remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from curation.pipeline.errors import ConfigError, UsageError
from proxy_model.experiment.arms import Arm, check_arms
from proxy_model.experiment.lock import changes
from proxy_model.experiment.settings import load_experiment, pilot_of
from proxy_model.experiment.suite import load_suite
from tests.proxy_model.experiment.lab import item, write_items

BASE: dict[str, Any] = {
    "ab": "t", "base": "web.yaml", "arms": {"a": {}, "b": {"set": {"mix.preset": "tilted"}}},
    "train": {"model": "pico", "tokens": "1M"}, "primary": {"items": ["items.jsonl"]},
}  # fmt: skip


def write(folder: Path, **changed: Any) -> Path:
    path = folder / "ab.yaml"
    path.write_text(yaml.safe_dump({**BASE, **changed}, sort_keys=False))
    return path


def test_defaults_and_overrides(tmp_path: Path) -> None:
    experiment = load_experiment(write(tmp_path), ["runs=3", "hypothesis.mde=0.5pt"])
    assert experiment.config.runs_of == {"a": 3, "b": 3} and experiment.config.hypothesis.mde == 0.005
    assert experiment.proxy.tokens == 1_000_000 and experiment.folder == Path("runs/ab/t")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"arm": {}}, r"ab.yaml:\d+: arm: unknown key\n  → did you mean 'arms'"),
        (
            {"primary": {"items": ["x"], "weights": {"a": 0.5, "b": 0.6}}},
            r"primary.*: the weights sum to 1.1, not to 1",
        ),
        ({"runs": {"a": 3}}, "`runs` and `arms` name different arms: b"),
        ({"train": {"tokens": "1M", "seeds": {"init": 1}}}, r"ab.yaml:\d+: train.seeds: not here"),
        ({"train": {"tokens": "1M", "learning": 1}}, r"ab.yaml:\d+: train.learning: unknown key"),
        ({"train": {"model": "pico"}}, r"train: `tokens` is missing"),
        ({"arms": {"a": {}, "b": {"run": "x", "shards": "y"}}}, r"arms.b: give one of `run`, `shards`, or `base`"),
        ({"arms": {"a": {}, "../b": {}}}, r"arms"),
        ({"base": None}, "arm a has no config"),
        ({"sequential": {"method": "obf", "looks": [3, 4]}}, "the last look is at 4 runs per arm"),
        ({"sequential": {"method": "obf", "looks": [3, 2, 5]}}, "looks rise"),
        ({"sequential": {"method": "e_value"}}, "e_value and `effect` belong together"),
        ({"sequential": {"method": "e_value", "effect": 2.0}, "registry": True}, "takes no noise registry"),
        ({"hypothesis": {"kind": "equivalence"}}, "equivalence needs `margin`"),
        ({"guardrails": ["nonsense"]}, "guardrails"),
        ({"hypothesis": {"mde": float("nan")}}, r"ab.yaml:\d+: hypothesis.mde: not a finite number"),
    ],
)
def test_mistakes_are_placed(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_experiment(write(tmp_path, **changed))


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"gold": None}, r"items.jsonl:3: no gold"),
        ({"choices": ["only one"]}, r"items.jsonl:3: 1 choice: a multiple_choice item needs two"),
        ({"gold": 9}, r"items.jsonl:3: gold is 9, not one of 4"),
        ({"choices": ["A", "B", "C", "D"]}, r"items.jsonl:3: choices are only letters"),
        ({"id": "i0", "benchmark": "even"}, r"items.jsonl:3: duplicate id"),
    ],
)
def test_items_that_cannot_be_scored_are_refused(tmp_path: Path, broken: dict[str, Any], reason: str) -> None:
    write_items(tmp_path / "items.jsonl", [item(0), item(1), item(2, **broken), *map(item, range(3, 8))])
    with pytest.raises(UsageError, match=reason):
        load_suite(load_experiment(write(tmp_path)))


def test_a_suite_refuses_what_it_cannot_weigh(tmp_path: Path) -> None:
    write_items(tmp_path / "items.jsonl", [item(i) for i in range(8)])

    def suite(**primary: Any) -> Any:
        return load_suite(load_experiment(write(tmp_path, primary={"items": ["items.jsonl"], **primary})))

    assert suite().weights == {"even": 0.5, "odd": 0.5}
    assert suite(benchmarks=["odd"], weights={"odd": 1.0}).counts == {"odd": 4}
    with pytest.raises(UsageError, match="name different benchmarks: even"):
        suite(weights={"odd": 1.0})
    with pytest.raises(UsageError, match=r"no item of 'od'\n.*odd"):
        suite(benchmarks=["od"])
    with pytest.raises(UsageError, match="no item file matches"):
        suite(items=["none.jsonl"])
    with pytest.raises(UsageError, match="no item file matches ''"):
        suite(items=[""])
    write_items(
        tmp_path / "items.jsonl", [{"benchmark": "c", "id": str(i), "query": "a b", "answer": "c"} for i in range(3)]
    )
    with pytest.raises(UsageError, match="norm_prob_byte has no value for 3 cloze items"):
        suite()
    assert suite(metric="bpb").counts == {"c": 3}


def test_the_subset_of_items_is_the_same_for_every_order_of_the_file(tmp_path: Path) -> None:
    some = [item(i) for i in range(40)]
    found = []
    for order in (some, some[::-1]):
        write_items(tmp_path / "items.jsonl", order)
        found.append(load_suite(load_experiment(write(tmp_path, primary={"items": ["items.jsonl"], "limit": 5}))).hash)
    assert found[0] == found[1]


def arm(name: str, **changed: Any) -> Arm:
    values: dict[str, Any] = {
        "shards": "/s", "run": None, "root": "r", "tokenizer": "t", "sequence_length": 64, "vocab_rows": 9, "rows": 4,
        "tokens": 256, "sources": [], "weights": {}, "mix": {}, "subset_share": 1.0, "warnings": [],
    }  # fmt: skip
    return Arm(name, **{**values, **changed})


def test_arms_that_differ_in_more_than_data_are_refused() -> None:
    check_arms({"a": arm("a"), "b": arm("b", root="other")})
    with pytest.raises(UsageError, match="different tokenizers"):
        check_arms({"a": arm("a"), "b": arm("b", tokenizer="u")})
    with pytest.raises(UsageError, match="rows of 64 and 128 tokens"):
        check_arms({"a": arm("a"), "b": arm("b", sequence_length=128)})


def test_changes_name_the_leaf_that_differs() -> None:
    before = {"a": {"b": 1, "c": [1, 2]}, "d": "x"}
    assert changes(before, {"a": {"b": 1, "c": [1, 2]}, "d": "x"}) == []
    assert changes(before, {"a": {"b": 2, "c": [1, 2]}, "e": 1}) == [
        "a.b: locked 1, now 2", "d: locked x, now null", "e: locked null, now 1",
    ]  # fmt: skip


def test_a_pilot_has_seeds_of_its_own(tmp_path: Path) -> None:
    from proxy_model.experiment.seeds import run_seeds

    experiment = load_experiment(write(tmp_path))
    pilot = pilot_of(experiment, ["b"], 8)
    used = {
        tuple(run_seeds(e, a, k).derived.values()) for e in (experiment, pilot) for a in e.config.arms for k in range(8)
    }
    assert len(used) == 24 and pilot.folder.name == "t-aa"
    with pytest.raises(UsageError, match="an A/A needs four"):
        pilot_of(experiment, ["b"], 3)
