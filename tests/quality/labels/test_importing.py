"""Promises of the mapping tables: declared, checked against the rubric, loud about values they do not name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from curation.pipeline.errors import UsageError
from quality.labels.importing import MAPPINGS, PARTIAL_SCHEMA, import_labels, load_mapping
from quality.labels.table import text_hash
from quality.rubric.rubric import load_rubric

RUBRIC = load_rubric()


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_bytes(b"\n".join(map(orjson.dumps, rows)) + b"\n")
    return path


def mapping(tmp_path: Path, **value: Any) -> Any:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"name": "mine", "source": "here", **value}))
    return load_mapping(path)


@pytest.mark.parametrize("name", sorted(path.stem for path in MAPPINGS.glob("*.yaml")))
def test_a_bundled_mapping_names_its_source_and_only_categories_of_the_rubric(name: str, tmp_path: Path) -> None:
    made = load_mapping(name)
    assert made.name == name and made.source.startswith("https://")
    for one in (made.category, made.category2):
        assert one is None or {v for v in one.values.values() if v} <= set(RUBRIC.category_names)


def test_weborganizer_has_all_24_topics(tmp_path: Path) -> None:
    made = load_mapping("weborganizer_topic")
    rows = [{"id": str(i), "topic": topic} for i, topic in enumerate(made.category.values)]  # type: ignore[union-attr]
    table = import_labels(write(tmp_path / "a.jsonl", *rows), made, RUBRIC)
    assert table.num_rows == 24 and table.schema.equals(PARTIAL_SCHEMA) and table["category"].null_count == 0
    assert table["knowledge_depth"].null_count == 24


def test_eai_codes_go_by_the_longest_prefix(tmp_path: Path) -> None:
    def row(i: int, primary: str, secondary: str) -> dict[str, Any]:
        codes = {"primary": {"code": primary}, "secondary": {"code": secondary}}
        return {"id": i, "eai_taxonomy": {"free_decimal_correspondence": codes}}

    rows = [row(1, "512.5", "796.3"), row(2, "530", "539"), row(3, "-1", "004"), row(4, "910.9", "364.1")]
    table = import_labels(write(tmp_path / "a.jsonl", *rows), load_mapping("eai_fdc"), RUBRIC)
    assert table["doc_id"].to_pylist() == ["1", "2", "4"]  # a document without a subject is left out
    assert table["category"].to_pylist() == ["mathematics", "natural_science", "travel"]
    assert table["category2"].to_pylist() == ["sports_fitness", None, "law_crime"]


def test_fasttext_lines(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_text("__label__4 , A Person , A person is an athlete .\n\n__label__7 a house\n__label__11 a plant\n")
    table = import_labels(path, load_mapping("dbpedia_14"), RUBRIC)
    assert table["doc_id"].to_pylist() == ["train.txt#1", "train.txt#4"]
    assert table["category"].to_pylist() == ["sports_fitness", "natural_science"]
    assert table["text_hash"].to_pylist()[1] == text_hash("a plant")
    for bad, told in [(b"no label\n", "train.txt:1: the line does not begin"), (b"__label__4 \xff\n", "not UTF-8")]:
        path.write_bytes(bad)
        with pytest.raises(UsageError, match=told):
            import_labels(path, load_mapping("dbpedia_14"), RUBRIC)


def test_fineweb_edu_fills_a_secondary_dimension(tmp_path: Path) -> None:
    table = import_labels(write(tmp_path / "a.jsonl", {"text": "x", "score": 4}), load_mapping("fineweb_edu"), RUBRIC)
    assert table["educational_value"].to_pylist() == [4] and table["category"].to_pylist() == [None]
    with pytest.raises(UsageError, match=r"a.jsonl:1: score is 6"):
        import_labels(write(tmp_path / "a.jsonl", {"text": "x", "score": 6}), load_mapping("fineweb_edu"), RUBRIC)


def test_a_value_without_a_mapping_is_told_with_its_line(tmp_path: Path) -> None:
    rows = [{"id": "1", "topic": "Games"}, {"id": "2", "topic": "Gardening"}]
    with pytest.raises(UsageError, match=r"a.jsonl:2: topic is 'Gardening'"):
        import_labels(write(tmp_path / "a.jsonl", *rows), load_mapping("weborganizer_topic"), RUBRIC)
    with pytest.raises(UsageError, match=r"a.jsonl:1: no field topic"):
        import_labels(write(tmp_path / "a.jsonl", {"id": "1"}), load_mapping("weborganizer_topic"), RUBRIC)
    with pytest.raises(UsageError, match="'1' stands twice"):
        import_labels(write(tmp_path / "a.jsonl", rows[0], rows[0]), load_mapping("weborganizer_topic"), RUBRIC)


def test_a_wrong_mapping_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"bundled: .*weborganizer_topic"):
        load_mapping("webo")
    for value, told in [
        ({}, "neither a category nor a score"),
        ({"scores": {"depth": {"field": "x"}}}, "scores"),
        ({"scores": {"coherence": {"field": "x", "values": {"a": 9}}}}, "scores.coherence"),
        ({"colour": 1}, "colour"),
        ({"format": "fasttext", "scores": {"coherence": {"field": "x"}}}, "one field, `label`"),
    ]:
        with pytest.raises(UsageError, match=told):
            mapping(tmp_path, **value)
    made = mapping(tmp_path, category={"field": "t", "values": {"a": "gamess"}})
    with pytest.raises(UsageError, match=r"mapping mine: unknown category 'gamess'\n.*'games'"):
        import_labels(write(tmp_path / "a.jsonl", {"t": "a"}), made, RUBRIC)
