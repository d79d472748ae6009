"""From score tables to the matrix: right numbers, any row order, a clear refusal of everything not comparable."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from curation.pipeline.errors import UsageError
from proxy_model.evaluate.metrics import item_scores
from proxy_model.experiment import Design, RunScores, compare, score_matrix

from .made import runs, table


def changed(made: pa.Table, column: str, rows: list[int], value: object) -> pa.Table:
    values = made[column].to_pylist()
    for row in rows:
        values[row] = value
    return made.set_column(
        made.schema.get_field_index(column), column, pa.array(values, made.schema.field(column).type)
    )


def test_units_are_clusters_and_weights_sum_to_one() -> None:
    matrix = score_matrix(runs(), "norm_prob_byte", "base", weights={"arc": 0.25, "mmlu": 0.75})
    assert matrix.y.shape == (6, 12 + 6)
    assert matrix.weight.sum() == pytest.approx(1)
    assert matrix.weight[matrix.benchmark == 0].sum() == pytest.approx(0.25)
    assert matrix.runs_per_arm == (3, 3)
    assert matrix.items == 24


def test_suite_mean_is_the_weighted_mean_of_the_metric() -> None:
    made = runs()
    matrix = score_matrix(made, "acc", "base", weights={"arc": 0.25, "mmlu": 0.75})
    for row, run in zip(matrix.y, made, strict=True):
        scores = item_scores(run.table)
        means = [scores.values["acc"][scores.benchmark == name].mean() for name in ("arc", "mmlu")]
        assert row @ matrix.weight == pytest.approx(0.25 * means[0] + 0.75 * means[1])


def test_item_weights_count_inside_a_benchmark() -> None:
    made = [replace(run, table=changed(run.table, "weight", [0, 1, 2, 3], 5.0)) for run in runs()]
    matrix = score_matrix(made, "norm_prob_byte", "base")
    assert matrix.weight[0] == pytest.approx(0.5 * 5 / 16)


def test_row_and_run_order_do_not_matter() -> None:
    made = runs()
    rng = np.random.default_rng(0)
    shuffled = [replace(r, table=r.table.take(pa.array(rng.permutation(r.table.num_rows)))) for r in reversed(made)]
    a, b = score_matrix(made, "norm_prob_byte", "base"), score_matrix(shuffled, "norm_prob_byte", "base")
    assert (a.runs, a.unit) == (b.runs, b.unit)
    assert np.array_equal(a.y, b.y)


def test_items_that_stand_twice_in_a_passage_leave_the_verdict_as_it_is() -> None:
    def doubled(made: pa.Table) -> pa.Table:
        copy = made.set_column(
            made.schema.get_field_index("item"), "item", pc.binary_join_element_wise(made["item"], "b", "-")
        )
        return pa.concat_tables([made, copy])

    once = compare(score_matrix(runs(gain=0.2), "norm_prob_byte", "base"), Design())
    twice = [replace(r, table=doubled(r.table)) for r in runs(gain=0.2)]
    matrix = score_matrix(twice, "norm_prob_byte", "base")
    assert matrix.items == 48
    assert compare(matrix, Design()).p == pytest.approx(once.p)
    independent = score_matrix(twice, "norm_prob_byte", "base", unit="item")
    assert independent.y.shape[1] == 48


def test_truncated_items_are_refused_or_dropped_from_every_run() -> None:
    made = runs()
    made[4] = replace(made[4], table=changed(made[4].table, "truncated", [5], True))
    with pytest.raises(UsageError, match="truncated"):
        score_matrix(made, "acc", "base")
    matrix = score_matrix(made, "acc", "base", truncated="drop")
    assert (matrix.items, matrix.dropped) == (23, 1)


def first(change) -> list[RunScores]:  # type: ignore[no-untyped-def]
    made = runs()
    made[1] = replace(made[1], table=change(made[1].table))
    return made


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: runs()[:5], "planned are 3"),
        (lambda: [*runs(), runs()[0]], "twice"),
        (lambda: runs()[:3], "no run of arm new"),
        (lambda: [*runs(), RunScores("third", 0, "sha-1", table(9))], "planned are 0"),
        (lambda: [*runs()[:5], replace(runs()[5], items="sha-2")], "different item files"),
        (lambda: first(lambda t: t.slice(4)), "different items"),
        (lambda: first(lambda t: changed(t, "cluster", [0, 1, 2, 3], "elsewhere")), "different clusters"),
        (lambda: first(lambda t: changed(t, "weight", [0, 1, 2, 3], 2.0)), "different weights"),
        (lambda: first(lambda t: pa.concat_tables([t.slice(0, 3), t.slice(4)])), "different options"),
        (lambda: first(lambda t: changed(t, "gold", [0], False)), "gold option"),
        (lambda: first(lambda t: changed(t, "gold", [0, 1], True)), "gold option"),
        (lambda: first(lambda t: pa.concat_tables([t.slice(0, 1), t.slice(4)])), "a choice of one"),
        (lambda: first(lambda t: pa.concat_tables([t, t.slice(0, 1)])), "a choice stands there twice"),
        (lambda: first(lambda t: changed(t, "log_likelihood", [0], float("-inf"))), "not finite"),
        (lambda: first(lambda t: t.slice(0, 0)), "empty"),
    ],
)
def test_what_is_not_comparable_is_refused(made, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError, match=words):
        score_matrix(made(), "norm_prob_byte", "base", expected={"base": 3, "new": 3})


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({"arc": 0.5, "mmlu": 0.6}, "sum to 1"),
        ({"arc": 1.0}, "different benchmarks: mmlu"),
        ({"arc": 1.0, "mmlu": 0.0}, "positive"),
        ({"arc": 0.5, "mmlu": float("nan")}, "sum to 1"),
    ],
)
def test_weights_are_checked(weights: dict[str, float], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        score_matrix(runs(), "acc", "base", weights=weights)


def test_unknown_metrics_and_metrics_without_a_value_are_refused() -> None:
    with pytest.raises(UsageError, match="unknown metric"):
        score_matrix(runs(), "accuracy", "base")
    cloze = [replace(r, table=changed(r.table, "kind", [0, 1, 2, 3], "cloze")) for r in runs()]
    with pytest.raises(UsageError, match="no finite value"):
        score_matrix(cloze, "norm_prob_byte", "base")


def test_only_one_arm_is_no_comparison() -> None:
    with pytest.raises(UsageError, match="needs a candidate"):
        score_matrix(runs()[:3], "acc", "base")
