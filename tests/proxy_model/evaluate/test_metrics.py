"""Metrics: each formula against a plain loop, ties, kinds, standard errors."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_model.evaluate.metrics import METRICS, chance, estimates, group_means, item_scores, weighted_mean
from proxy_model.evaluate.table import SCHEMA


def rows(identity: str, nats: list[float], gold: int = 0, **changes: Any) -> list[dict[str, Any]]:
    """Options whose texts have 4, 6, 8, … bytes and 2, 3, 4, … characters."""
    return [
        {
            "benchmark": "b", "item": identity, "cluster": identity, "kind": "multiple_choice", "choice": i,
            "gold": i == gold, "log_likelihood": value, "bytes": 4 + 2 * i, "chars": 2 + i, "tokens": 1,
            "greedy": False, "truncated": False, "weight": 1.0, **changes,
        }
        for i, value in enumerate(nats)
    ]  # fmt: skip


def table(*items: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([row for item in items for row in item], SCHEMA)


def metrics_reference(item: list[dict[str, Any]]) -> dict[str, float]:
    """The formulas of the module's docstring, one item, no cleverness."""
    gold = next(i for i, row in enumerate(item) if row["gold"])
    nats = [row["log_likelihood"] for row in item]
    scaled = [v if row["kind"] == "context_choice" else v / row["bytes"] for v, row in zip(nats, item, strict=True)]
    chars = [v if row["kind"] == "context_choice" else v / row["chars"] for v, row in zip(nats, item, strict=True)]
    roots = [math.exp(v) for v in scaled]
    norm = math.exp(scaled[gold]) / sum(map(math.exp, scaled))
    return {
        "acc": float(np.argmax(nats) == gold), "acc_norm": float(np.argmax(chars) == gold),
        "acc_bytes": float(np.argmax(scaled) == gold), "log_acc_norm2": math.log(norm), "norm_prob_byte": norm,
        "root_softmax": math.exp(roots[gold]) / sum(map(math.exp, roots)),
        "bpb": -nats[gold] / item[gold]["bytes"] / math.log(2),
    }  # fmt: skip


log_likelihoods = st.lists(st.floats(-60, -0.01) | st.sampled_from([-4.0, -6.0, -8.0, -12.0]), min_size=2, max_size=5)


@given(st.lists(st.tuples(log_likelihoods, st.integers(0, 4), st.booleans()), min_size=1, max_size=8))
def test_every_metric_is_its_formula(made: list) -> None:
    items = [
        rows(str(i), nats, gold % len(nats), kind="context_choice" if contexts else "multiple_choice")
        for i, (nats, gold, contexts) in enumerate(made)
    ]
    scores = item_scores(table(*items))
    for i, item in enumerate(items):
        for metric, value in metrics_reference(item).items():
            assert scores.values[metric][i] == pytest.approx(value, rel=1e-9, abs=1e-12), metric


def test_ties_go_to_the_first_option() -> None:
    scores = item_scores(table(rows("a", [-4.0, -4.0], 0), rows("b", [-4.0, -4.0], 1), rows("c", [-4.0, -6.0], 1)))
    assert scores.values["acc"].tolist() == [1, 0, 0]
    assert scores.values["acc_bytes"].tolist() == [0, 1, 0]  # "c": -1 a byte for both


def test_byte_and_character_lengths_are_different_things() -> None:
    item = rows("a", [-8.0, -11.0], 0)
    item[0] |= {"bytes": 4, "chars": 4}
    item[1] |= {"bytes": 6, "chars": 2}
    scores = item_scores(table(item))
    assert (scores.values["acc_norm"][0], scores.values["acc_bytes"][0]) == (1, 0)


def test_bits_instead_of_nats_would_be_another_metric() -> None:
    nats = item_scores(table(rows("a", [-10.0, -5.0])))
    bits = item_scores(table(rows("a", [-10.0 / math.log(2), -5.0 / math.log(2)])))
    assert nats.values["log_acc_norm2"][0] != pytest.approx(bits.values["log_acc_norm2"][0], abs=0.01)


def test_cloze_items_are_right_where_greedy_decoding_is() -> None:
    right, wrong = (rows(name, [-3.0], kind="cloze", greedy=greedy) for name, greedy in (("r", True), ("w", False)))
    scores = item_scores(table(right, wrong))
    for metric in ("acc", "acc_norm", "acc_bytes"):
        assert scores.values[metric].tolist() == [1, 0]
    assert np.isnan(scores.values["norm_prob_byte"]).all()
    assert scores.values["bpb"][0] == pytest.approx(3 / 4 / math.log(2))
    assert [one.metric for one in estimates(scores)] == ["acc", "acc_norm", "acc_bytes", "bpb"]


def test_extreme_likelihoods_stay_numbers() -> None:
    scores = item_scores(table(rows("a", [-1e6, -1.0]), rows("b", [-1e-300, -1e6]), rows("c", [-1e5, -1e5], 1)))
    for metric in METRICS:
        assert np.isfinite(scores.values[metric]).all(), metric


def test_chance_is_by_item_and_centres_every_metric() -> None:
    equal = item_scores(table(rows("a", [-4.0, -6.0, -8.0]), rows("b", [-4.0, -6.0])))
    for metric in ("log_acc_norm2", "norm_prob_byte", "root_softmax"):
        assert equal.values[metric] == pytest.approx(chance(metric, equal.options, equal.kind)), metric
    assert estimates(equal, ["acc"])[0].chance == pytest.approx((1 / 3 + 1 / 2) / 2)


def test_an_item_needs_exactly_one_gold() -> None:
    with pytest.raises(ValueError, match="no gold"):
        item_scores(table(rows("a", [-1.0, -2.0], gold=7)))
    assert item_scores(table()).values["acc"].shape == (0,)


def test_equal_ids_of_two_benchmarks_are_two_items() -> None:
    scores = item_scores(table(rows("a", [-1.0, -2.0]), rows("a", [-1.0, -2.0], benchmark="c")))
    assert scores.benchmark.tolist() == ["b", "c"]


def test_the_standard_error_is_the_textbooks_and_grows_with_clusters() -> None:
    random = np.random.default_rng(0)
    values = np.repeat(random.normal(size=50), 4) + 0.1 * random.normal(size=200)
    each, cluster = np.arange(200), np.repeat(np.arange(50), 4)
    mean, error, groups = weighted_mean(values, np.ones(200), each)
    assert (mean, groups) == (pytest.approx(values.mean()), 200)
    assert error == pytest.approx(values.std(ddof=1) / math.sqrt(200))
    of_means = values.reshape(50, 4).mean(1).std(ddof=1) / math.sqrt(50)
    assert weighted_mean(values, np.ones(200), cluster)[1] == pytest.approx(of_means)
    assert weighted_mean(values, np.ones(200), cluster)[1] > 1.8 * error
    assert weighted_mean(values, 3 * np.ones(200), each)[1] == pytest.approx(error)
    assert math.isnan(weighted_mean(values, np.ones(200), np.zeros(200))[1])


def test_a_group_is_the_mean_of_its_benchmarks_and_so_is_its_error() -> None:
    """Sizes 10,042, 100 and 500: the pooled error of items would be 3.5 times too small (reference §0.9)."""
    found = []
    for name, n in (("a", 10_042), ("b", 100), ("c", 500)):
        hits = [rows(str(i), [-1.0, -2.0], i % 2, benchmark=name) for i in range(n)]
        found += estimates(item_scores(table(*hits)), ["acc"])
    group = group_means(found, {"a": "g", "b": "g", "c": "g"})[0]
    assert group.value == pytest.approx(0.5)
    wanted = math.sqrt(sum(0.25 / (n - 1) for n in (10_042, 100, 500))) / 3
    assert group.standard_error == pytest.approx(wanted, rel=1e-6)
    pooled = math.sqrt(0.25 / 10_642)
    assert group.standard_error / pooled > 3.4


def test_25_000_items_take_less_than_half_a_second() -> None:
    n = 25_000
    random = np.random.default_rng(1)
    names = np.repeat(np.arange(n), 4).astype(str)
    big = pa.table(
        {
            "benchmark": pa.array(np.repeat(["b"], 4 * n)), "item": names, "cluster": names,
            "kind": pa.array(np.repeat(["multiple_choice"], 4 * n)), "choice": np.tile(np.arange(4, dtype=np.int16), n),
            "gold": np.tile([True, False, False, False], n), "log_likelihood": -random.gamma(9, 1, 4 * n),
            "bytes": random.integers(4, 40, 4 * n).astype(np.int32),
            "chars": random.integers(4, 40, 4 * n).astype(np.int32),
            "tokens": np.ones(4 * n, np.int32), "greedy": np.zeros(4 * n, bool), "truncated": np.zeros(4 * n, bool),
            "weight": np.ones(4 * n),
        },
        SCHEMA,
    )  # fmt: skip
    start = time.process_time()
    scores = item_scores(big)
    assert time.process_time() - start < 0.5
    assert len(scores.item) == n
