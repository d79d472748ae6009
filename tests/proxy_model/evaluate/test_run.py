"""The whole way: items → ScoreTable → file; modes, resume, what the header tells, long-context items."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curation.pipeline.errors import UsageError
from proxy_model.evaluate.items import Item
from proxy_model.evaluate.retrieval import Grid, retrieval_items
from proxy_model.evaluate.run import evaluate
from proxy_model.evaluate.scoring import RequestError, Scored
from proxy_model.evaluate.table import SCHEMA, common_items, header_of, read_table, write_table
from tests.proxy_model.evaluate.examples import Letters, item, some_items


class Counting:
    """A scorer whose answers follow from the ids alone; ends after `limit` calls."""

    max_length: int | None = None
    settings: dict[str, Any] = {"kind": "counting"}

    def __init__(self, digest: str = "one", limit: int = 1_000) -> None:
        self.digest, self.limit, self.calls = digest, limit, 0

    def log_likelihoods(self, requests: Sequence[Any], progressed: Any = None) -> list[Scored]:
        self.calls += 1
        if self.calls > self.limit:
            raise KeyboardInterrupt
        return [Scored(-float(sum(k) % 97 + len(c)), len(k) % 2 == 0) for c, k in requests]


def test_the_table_has_a_row_an_option_and_lengths_without_the_joining_space() -> None:
    table = evaluate(Counting(), Letters(), some_items())
    assert table.schema.names == SCHEMA.names
    assert table.schema.equals(SCHEMA)
    rows = [row for row in table.to_pylist() if row["item"] == "3"]
    assert [(row["choice"], row["gold"], row["bytes"], row["chars"]) for row in rows] == [
        (0, False, 13, 13), (1, False, 7, 7), (2, False, 6, 6), (3, True, 8, 6),
    ]  # fmt: skip
    assert rows[0]["tokens"] == 14  # with the joining space, which is scored
    schema = [row for row in table.to_pylist() if row["benchmark"] == "schema"]
    assert [(row["kind"], row["bytes"], row["gold"]) for row in schema] == [
        ("context_choice", 9, False), ("context_choice", 9, True),
    ]  # fmt: skip
    assert table["benchmark"].to_pylist() == sorted(table["benchmark"].to_pylist())


def test_the_header_says_what_a_table_may_be_compared_with(tmp_path: Path) -> None:
    table = evaluate(Counting(), Letters(), some_items(), "lm_eval", header={"files": ["a"]})
    write_table(table, tmp_path / "scores.parquet")
    again = read_table(tmp_path / "scores.parquet")
    assert again.equals(table)
    header = header_of(again)
    assert (header["model"], header["mode"], header["tokenizer"], header["files"]) == (
        "one",
        "lm_eval",
        "letters",
        ["a"],
    )
    assert header["counts"]["bare"]["empty_context"] == 2
    other = header_of(evaluate(Counting(), Letters(), [item("x")]))
    assert other["items"] != header["items"]


def test_a_killed_evaluation_goes_on_and_gives_the_same_bytes(tmp_path: Path) -> None:
    items = some_items()
    whole = Counting()
    wanted = evaluate(whole, Letters(), items)
    with pytest.raises(KeyboardInterrupt):
        evaluate(Counting(limit=2), Letters(), items, parts=tmp_path / "parts")
    assert len(list((tmp_path / "parts").iterdir())) == 2
    rest = Counting()
    resumed = evaluate(rest, Letters(), items, parts=tmp_path / "parts")
    assert rest.calls == whole.calls - 2
    for name, table in (("a", wanted), ("b", resumed)):
        write_table(table, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("change", ["model", "mode", "items", "tokenizer"])
def test_parts_of_something_else_are_never_taken(tmp_path: Path, change: str) -> None:
    items: list[Item] = [item("1")]
    evaluate(Counting(), Letters(), items, parts=tmp_path)
    scorer = Counting("two" if change == "model" else "one")
    letters = Letters("fo") if change == "tokenizer" else Letters()
    letters.digest = "other" if change == "tokenizer" else "letters"
    some = [item("1", gold=1)] if change == "items" else items
    evaluate(scorer, letters, some, "separate" if change == "mode" else "lcp", parts=tmp_path)
    assert scorer.calls == 1


def test_the_scorers_own_length_is_the_limit() -> None:
    scorer = Counting()
    scorer.max_length = 20
    with pytest.raises(UsageError, match="do not fit 20 tokens"):
        evaluate(scorer, Letters(), some_items())
    kept = evaluate(scorer, Letters(), some_items(), too_long="drop_item")
    assert header_of(kept)["counts"]["foxes"]["dropped"] == [str(i) for i in range(6)]


def test_an_item_dropped_for_one_model_is_dropped_for_all() -> None:
    short, whole = Counting(), Counting("two")
    short.max_length = 20
    tables = [evaluate(one, Letters(), some_items(), too_long="drop_item") for one in (short, whole)]
    shared = common_items(tables)
    assert shared[0].num_rows == shared[1].num_rows == tables[0].num_rows < tables[1].num_rows
    assert shared[0]["item"].equals(shared[1]["item"])


def test_another_models_tokenizer_is_a_usage_error() -> None:
    class Refusing(Counting):
        def log_likelihoods(self, requests: Sequence[Any], progressed: Any = None) -> list[Scored]:
            raise RequestError("request 0: token 99, but the model has 50 tokens")

    with pytest.raises(UsageError, match="tokenizer that the model was trained with"):
        evaluate(Refusing(), Letters(), some_items())
    with pytest.raises(UsageError, match="no items"):
        evaluate(Counting(), Letters(), [])


def test_a_parquet_file_that_is_no_table_of_scores_is_refused(tmp_path: Path) -> None:
    write_table(
        pa.table({n: pa.array([], pa.string()) for n in ("benchmark", "item", "cluster", "kind")}), tmp_path / "x"
    )
    with pytest.raises(ValueError, match="lacks choice, gold"):
        read_table(tmp_path / "x")


HAYSTACK = [f"Sentence {i} of the story tells nothing of numbers, only of rain and roads." for i in range(400)]
SMALL = Grid(lengths=(2_048, 4_096), depths=(0.0, 0.5, 1.0), per_cell=3)


def test_retrieval_items_follow_from_the_seed() -> None:
    made = retrieval_items(HAYSTACK, SMALL, 7)
    assert made == retrieval_items(HAYSTACK, SMALL, 7)
    assert made != retrieval_items(HAYSTACK, SMALL, 8)
    assert len(made) == 3 * 2 * 3 * 3
    assert len({(one.benchmark, one.id) for one in made}) == len(made)
    assert {one.gold for one in made} == {0, 1, 2, 3}


def test_retrieval_items_keep_length_depth_and_their_degree() -> None:
    for one in retrieval_items(HAYSTACK, SMALL, 7):
        task, length = one.benchmark.removeprefix("retrieval_").rsplit("_", 1)
        body, question = one.contexts[0].split("\n\n")
        assert int(length) - 100 <= len(body.encode()) <= int(length), one.id
        assert len({len(choice) for choice in one.choices}) == 1  # no length to go by
        right = one.choices[one.gold]
        assert "access number" in question
        if task == "multi_value":
            numbers = [right[:5], right[7:12], right[17:]]
            assert body.index(numbers[0]) < body.index(numbers[1]) < body.index(numbers[2])
            place = question.split(" of ")[2].split(" are")[0]
            assert [body.count(f"of {place} is {number}.") for number in numbers] == [1, 1, 1]
            asked = body.index(numbers[1])
        else:
            place = question.split(" of ")[1].split(" is")[0]
            assert body.count(f"of {place} is {right}.") == 1
            asked = body.index(right)
        wrong = [choice for choice in one.choices if choice != right]
        present = [all(number in body for number in choice.replace(" and ", ", ").split(", ")) for choice in wrong]
        assert present == [task != "single"] * 3
        depth = int(one.id.removeprefix("depth").split("-")[0]) / 100
        assert abs(asked / len(body) - depth) < 0.3 if task == "multi_value" else abs(asked / len(body) - depth) < 0.08


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        (Grid(lengths=(100,)), "does not hold the needles"),
        (Grid(lengths=(10_000_000,)), "the haystack has"),
        (Grid(needles=3), "needles is 3"),
        (Grid(depths=(1.5,)), "between 0 and 1"),
    ],
)
def test_an_impossible_grid_is_refused(grid: Grid, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        retrieval_items(HAYSTACK, grid, 0)
