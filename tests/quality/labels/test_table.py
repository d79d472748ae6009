"""Promises of the label table: strict reading with file and line, lossless writing, the adjudication rule, joining."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from curation.pipeline.errors import UsageError
from quality.labels.combine import combine
from quality.labels.join import join_texts
from quality.labels.table import LABEL_SCHEMA, label_table, read_labels, text_hash, write_labels
from quality.rubric.rubric import load_rubric

RUBRIC = load_rubric()
ROW: dict[str, Any] = {
    "doc_id": "a", "rubric": "v1", "judge": "j", "knowledge_depth": 2, "practicality": 1, "category": "games",
}  # fmt: skip


def write(path: Path, *rows: dict[str, Any]) -> Path:
    data = b"\n".join(map(orjson.dumps, rows)) + b"\n"
    path.write_bytes(zstandard.compress(data) if path.suffix == ".zst" else data)
    return path


def test_what_is_written_is_read_again_in_every_format(tmp_path: Path) -> None:
    full = ROW | {
        "coherence": 5, "category2": "food", "confidence": 0.5, "weight": 12.5, "stage": 2, "chars": 7,
        "text_hash": text_hash("x").hex(), "evidence": "", "raw": "{}", "knowledge_depth_expected": 2.25,
    }  # fmt: skip
    table = read_labels(write(tmp_path / "a.jsonl", full, ROW | {"doc_id": "b", "other": 1}), RUBRIC)
    assert table.schema.equals(LABEL_SCHEMA) and table["weight"].to_pylist() == [12.5, 1.0]
    assert table["coherence"].to_pylist() == [5, None] and table["stage"].to_pylist() == [2, 0]
    write_labels(table, tmp_path / "b.parquet")
    assert read_labels(tmp_path / "b.parquet", RUBRIC).equals(table)
    assert read_labels(write(tmp_path / "c.jsonl.zst", full, ROW | {"doc_id": "b"}), RUBRIC).equals(table)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"category": "gamess"}, "unknown category 'gamess'\n.*did you mean 'games'"),
        ({"category2": "nothing"}, "category2: unknown category"),
        ({"knowledge_depth": 6}, "knowledge_depth is 6"),
        ({"knowledge_depth": 2.5}, "knowledge_depth is 2.5"),
        ({"practicality": None}, "practicality is missing"),
        ({"coherence": -1}, "coherence is -1"),
        ({"rubric": "v2"}, "by rubric 'v2', not 'v1'"),
        ({"judge": ""}, "no `judge`"),
        ({"doc_id": 5}, "no `doc_id`"),
        ({"confidence": 2}, "confidence is 2"),
        ({"weight": 0}, "weight 0"),
        ({"weight": -1}, "weight is -1"),
        ({"text_hash": "abc"}, "no 128-bit hash"),
        ({}, "judged by 'j' already .*a.jsonl:1"),
    ],
)
def test_a_bad_label_is_refused_with_file_and_line(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    path = write(tmp_path / "a.jsonl", ROW, ROW | ({"doc_id": "b"} if change else {}) | change)
    with pytest.raises(UsageError, match=rf"(?s)a\.jsonl:2: .*{told}"):
        read_labels(path, RUBRIC)


def test_a_file_that_is_no_label_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_labels(tmp_path / "a.jsonl", RUBRIC)
    for name, data, told in [
        ("a.jsonl", b'{"a": 1}\nnothing\n', "a.jsonl:1: no `doc_id`"),
        ("a.jsonl", b"nothing\n", "a.jsonl:1: no JSON"),
        ("a.jsonl", b'{"doc_id": "\xff"}\n', "a.jsonl:1: not UTF-8"),
        ("a.jsonl", b"[1]\n", "a.jsonl:1: not an object"),
        ("a.jsonl.zst", zstandard.compress(orjson.dumps(ROW))[:-3], "a.jsonl.zst: cannot be read"),
        ("a.parquet", b"PAR1", "a.parquet: cannot be read"),
    ]:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UsageError, match=told):
            read_labels(tmp_path / name, RUBRIC)


def labelled(*rows: dict[str, Any]) -> pa.Table:
    return label_table([ROW | row for row in rows], RUBRIC)


def test_two_judges_that_agree_give_their_mean() -> None:
    (row,) = combine([labelled({}), labelled({"judge": "k", "knowledge_depth": 3, "weight": 4.0})]).to_pylist()
    assert (row["knowledge_depth"], row["practicality"], row["judges"], row["weight"]) == (2.5, 1.0, 2, 4.0)
    assert row["knowledge_depth_sd"] == pytest.approx(0.5**0.5) and row["label_sd"] == pytest.approx(0.5)
    assert not row["needs_third_judge"]


def test_two_judges_that_disagree_want_a_third_and_then_the_median_wins() -> None:
    far = [{}, {"judge": "k", "knowledge_depth": 5}]
    (row,) = combine([labelled(*far)]).to_pylist()
    assert row["needs_third_judge"] and row["knowledge_depth"] == 3.5
    (row,) = combine([labelled(*far, {"judge": "l", "knowledge_depth": 2})]).to_pylist()
    assert not row["needs_third_judge"] and row["knowledge_depth"] == 2.0
    sure = [{"confidence": 0.7}, {"judge": "k", "category": "food", "confidence": 0.9}]
    (row,) = combine([labelled(*sure)]).to_pylist()
    assert row["needs_third_judge"] and row["category"] == "food"
    assert not combine([labelled(sure[0], sure[1] | {"confidence": 0.5})])["needs_third_judge"][0].as_py()


def test_an_expectation_is_preferred_to_the_level() -> None:
    (row,) = combine([labelled({"knowledge_depth_expected": 2.4}, {"judge": "k"})]).to_pylist()
    assert row["knowledge_depth"] == pytest.approx(2.2)


def test_combining_does_not_depend_on_order() -> None:
    told = [("a", "x", 1, "food"), ("a", "y", 4, "games"), ("a", "z", 2, "law_crime"), ("b", "x", 0, "food")]
    rows = [{"doc_id": d, "judge": j, "knowledge_depth": k, "category": c} for d, j, k, c in told]
    one = combine([labelled(*rows)])
    assert one.equals(combine([labelled(*rows[2:]), labelled(*reversed(rows[:2]))]))
    assert one["category"].to_pylist()[0] == "food"  # a tie: the alphabet


def test_label_files_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    one, two = write(tmp_path / "1.jsonl", ROW), write(tmp_path / "2.jsonl", ROW | {"knowledge_depth": 3})
    tables = [read_labels(path, RUBRIC) for path in (one, two)]
    with pytest.raises(UsageError, match=r"two labels by 'j': in .*1\.jsonl and .*2\.jsonl"):
        combine(tables)
    assert combine([tables[0], tables[0]])["judges"].to_pylist() == [1]  # the same row twice counts once
    changed = tables[1].set_column(1, LABEL_SCHEMA.field("rubric"), pa.array(["v2"]))
    with pytest.raises(UsageError, match=r"different rubrics: v1 .*v2"):
        combine([tables[0], changed.set_column(2, LABEL_SCHEMA.field("judge"), pa.array(["k"]))])
    hashes = [labelled({"text_hash": text_hash("x")}), labelled({"judge": "k", "text_hash": text_hash("y")})]
    with pytest.raises(UsageError, match="different texts"):
        combine(hashes)


def test_joining_finds_texts_by_id_and_checks_that_they_are_the_judged_ones(tmp_path: Path) -> None:
    documents = write(
        tmp_path / "d.jsonl", {"id": "b", "text": "B", "lang": "en", "source": "s"}, {"id": "x", "text": 5}
    )
    labels = labelled({"doc_id": "b", "text_hash": text_hash("B")}, {"doc_id": "gone"})
    joined = join_texts(labels, [documents])
    assert joined.missing == ("gone",) and joined.table["text"].to_pylist() == ["B"]
    assert joined.table["language"].to_pylist() == ["en"] and joined.table["text"].type == pa.large_string()
    with pytest.raises(UsageError, match="not the one that was judged"):
        join_texts(labelled({"doc_id": "b", "text_hash": text_hash("C")}), [documents])
    with pytest.raises(UsageError, match="none of 1 labelled"):
        join_texts(labelled({"doc_id": "gone"}), [documents])
    other = tmp_path / "e.parquet"
    pq.write_table(pa.table({"id": ["b"], "text": ["other"]}), other)
    with pytest.raises(UsageError, match="another text with the id 'b'"):
        join_texts(labels, [documents, other])


DATA = Path(__file__).parents[4] / "shared" / "data" / "labels"


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the data pack")
def test_the_packs_judgements_are_read_and_joined() -> None:
    table = combine([read_labels(DATA / "judgements.jsonl.zst", RUBRIC)])
    joined = join_texts(table, [DATA / "documents.jsonl.zst", *sorted((DATA.parent / "text").glob("*.jsonl.zst"))])
    assert joined.missing == () and joined.table.num_rows == table.num_rows > 1_000
