"""What runs read, told from their records, and which benchmark items stood in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("torch")

from curation.pipeline.errors import UsageError
from proxy_model.evaluate.items import Item
from proxy_model.experiment.consumption import consumed, documents, planned, rows_of
from proxy_model.experiment.contamination import clean_runs, compared
from proxy_model.experiment.health import training_facts
from proxy_model.train.loop import train_model
from proxy_model.train.settings import Seeds
from tests.packing.directories import write_directory
from tests.proxy_model.experiment.made import runs
from tests.proxy_model.train.small import LENGTH, markov, settings, shards

PASSAGE = "the harbour pilot counted seven grey lanterns along the northern quay before the tide had turned again"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 20 steps on two sources, its own order and subset."""
    folder = tmp_path_factory.mktemp("consumed")
    made = settings(shards(folder / "shards"), folder / "run", seeds=Seeds(1, 2, 3), subset_share=0.8)
    train_model(made)
    return folder / "run"


def test_tokens_by_source_are_those_the_loop_counted(trained: Path) -> None:
    found = consumed(trained)
    logged = [one for one in pq.read_table(trained / "sources.parquet").to_pylist() if one["set"] == "training"]
    # every document is 50 ids of three bytes and an end
    by_source = {one["name"]: one["bytes"] // 150 * 51 for one in logged if one["kind"] == "source"}
    assert found.sources == by_source
    assert (
        found.rows == 80
        and found.tokens == 80 * LENGTH == pq.read_table(trained / "steps.parquet")["tokens"][-1].as_py()
    )


def test_copies_count_rereading_in_a_later_epoch(trained: Path, tmp_path: Path) -> None:
    assert set(consumed(trained).copies) == {"1"}  # 80 of about 91 rows that take part
    folder = tmp_path / "small"
    write_directory(folder, {"a": markov(1, 10, 50, 0)}, sequence_length=LENGTH, copies=2)
    train_model(settings(folder, tmp_path / "run", tokens=30 * LENGTH, holdout_share=0.0))
    found = consumed(tmp_path / "run")
    assert found.documents == 10  # ten documents, two copies of each are twenty rows; thirty are read
    assert sum(found.copies.values()) == 30 * 51
    assert sum(int(n) * tokens for n, tokens in found.copies.items()) / (30 * 51) >= 3


def test_shards_that_changed_are_refused(trained: Path, tmp_path: Path) -> None:
    text = (trained / "config.json").read_text()
    other = tmp_path / "run"
    other.mkdir()
    write_directory(tmp_path / "other", {"a": markov(4, 10, 50, 0)}, sequence_length=LENGTH)
    (other / "config.json").write_text(text.replace(str(trained.parent / "shards"), str(tmp_path / "other")))
    with pytest.raises(UsageError, match="restore those shards"):
        rows_of(other)
    with pytest.raises(UsageError, match=r"no config\.json"):
        rows_of(tmp_path)


def test_without_a_mix_every_document_is_planned_once(tmp_path: Path) -> None:
    write_directory(tmp_path / "shards", {"a": [[5] * 30], "b": [[6] * 9, [7] * 9]}, sequence_length=LENGTH)
    plan = planned(tmp_path / "shards")
    assert plan.copies == {"1": 1.0} and plan.sources["a"] == pytest.approx(31 / 51)


def test_texts_are_those_of_the_documents_read(trained: Path) -> None:
    spelled = [b""] * 3 + [f" {i}".encode() for i in range(3, 256)]
    texts = {text for batch in documents([trained, trained], spelled) for text in batch.to_pylist()}
    whole = {"".join(f" {i}" for i in one) for seed in (1, 2) for one in markov(seed, 60, 50, 0)}
    assert len(texts) == consumed(trained).documents and texts <= whole


def test_settings_other_than_seeds_and_data_change_the_digest(trained: Path, tmp_path: Path) -> None:
    base = settings(trained.parent / "shards", tmp_path / "a", seeds=Seeds(7), subset_share=0.8)
    train_model(base)
    train_model(replace(base, folder=tmp_path / "b", lr=4e-3))
    same, other = training_facts(tmp_path / "a"), training_facts(tmp_path / "b")
    assert same["training"] == training_facts(trained)["training"] != other["training"]
    assert same["lr_sum"] > other["lr_sum"]


def item(number: int, question: str, answer: str) -> Item:
    return Item("made", f"i{number}", "multiple_choice", (f"Question: {question}\nAnswer:",), (answer, "no other"), 0)


def texts(*some: str) -> list[pa.LargeStringArray]:
    return [pa.array([one], pa.large_string()) for one in some]


def test_an_item_in_one_arms_text_only_is_a_difference() -> None:
    items = [
        item(0, PASSAGE, "eight of them"),
        item(1, "what colour were the lanterns on the quay", "grey as the sea in winter"),
    ]
    quoted = f"He wrote: {PASSAGE.upper().replace(' ', '  ')}! And slept."
    found = compared(items, {"base": texts("nothing of it"), "new": texts("filler", quoted)})
    assert found.rate == {"base": 0.0, "new": 0.5} and found.only == {"base": 0, "new": 1}
    assert not found.ok and found.unclean == (("made", "i0"),) and found.differing == 0.5
    both = compared(items, {"base": texts(quoted), "new": texts(quoted)})
    assert both.ok and both.rate == {"base": 0.5, "new": 0.5} and both.only == {"base": 0, "new": 0}


def test_a_few_common_words_are_no_contamination_and_short_items_are_told() -> None:
    items = [item(0, PASSAGE, "eight of them"), item(1, "two?", "x")]
    found = compared(
        items, {"base": texts("the harbour pilot counted lanterns"), "new": texts("along the northern quay")}
    )
    assert found.ok and found.rate == {"base": 0.0, "new": 0.0} and found.short == 1
    with pytest.raises(UsageError, match="long enough"):
        compared([item(1, "two?", "x")], {"base": texts("a"), "new": texts("b")})


def test_clean_items_are_the_same_in_every_run() -> None:
    some = runs(2)
    found = replace(
        compared([item(0, PASSAGE, "eight of them")], {"base": texts("a"), "new": texts(PASSAGE)}),
        unclean=(("arc", "000"), ("mmlu", "003")),
    )
    for before, after in zip(some, clean_runs(some, found), strict=True):
        assert before.table.num_rows - after.table.num_rows == 8
        assert "000" not in after.table.filter(pa.compute.equal(after.table["benchmark"], "arc"))["item"].to_pylist()
