"""Promises of the rubric: the bundled one is complete, another is checked, and what the judge gets follows from it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from curation.pipeline.errors import UsageError
from quality.rubric import rubric as rubric_module
from quality.rubric.action import rubric as rubric_action
from quality.rubric.rubric import DIMENSIONS, SECONDARY, load_rubric

BUNDLED = Path(rubric_module.__file__).with_name("rubric_v1.yaml")


def test_the_bundled_rubric_has_26_categories_six_anchored_levels_and_two_caps() -> None:
    rubric = load_rubric()
    assert rubric.version == "v1" and len(rubric.category_names) == 26
    assert rubric.category_names[0] == "mathematics" and rubric.category_names[-1] == "other_unclear"
    assert tuple(one.name for one in rubric.dimensions) == DIMENSIONS
    assert tuple(one.name for one in rubric.secondary) == SECONDARY
    assert [cap.at_most for cap in rubric.dimensions[0].caps] == [1, 2]


def test_version_1_does_not_change_silently() -> None:
    assert load_rubric().hash == "ede3cf207c3e8995119df720359bd8a5"  # another text is another version


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda r: r["dimensions"].reverse(), "the dimensions are practicality, knowledge_depth"),
        (lambda r: r["dimensions"][0]["levels"].pop(2), "levels must be 0 to 5"),
        (lambda r: r["categories"].append({"name": "food"}), "twice"),
        (lambda r: r["categories"].append({"name": "Food & Drink"}), "categories"),
        (lambda r: r["dimensions"][0]["caps"].append({"when": "x", "at_most": 7}), "at_most"),
        (lambda r: r.update(extra=1), "extra"),
        (lambda r: r.pop("version"), "version"),
    ],
)
def test_a_wrong_rubric_is_refused_with_file_and_place(tmp_path: Path, change, told: str) -> None:
    value = yaml.safe_load(BUNDLED.read_text())
    change(value)
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(value))
    with pytest.raises(UsageError, match=rf"mine\.yaml: .*{told}"):
        load_rubric(path)


def test_what_is_no_rubric_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="bundled: v1"):
        load_rubric("v9")
    for data, told in [(b"\xff\xfe", "no UTF-8"), (b"a: [", "no YAML"), (b"[]", "mine.yaml")]:
        (tmp_path / "mine.yaml").write_bytes(data)
        with pytest.raises(UsageError, match=told):
            load_rubric(tmp_path / "mine.yaml")


def test_everything_the_rubric_says_is_in_the_prompt() -> None:
    rubric, report = load_rubric(), rubric_action()
    said = [level.anchor for one in rubric.dimensions for level in one.levels]
    said += [note for one in rubric.dimensions for note in one.notes] + [cap.when for cap in rubric.dimensions[0].caps]
    said += [*rubric.preamble, *rubric.category_rules, *rubric.category_names, *(one.note for one in rubric.categories)]
    assert [text for text in said if text not in report.system] == []


def test_the_schema_asks_for_evidence_first_and_is_strict() -> None:
    schema = rubric_action().schema
    assert next(iter(schema["properties"])) == "evidence" == schema["required"][0]
    assert schema["required"] == list(schema["properties"]) and schema["additionalProperties"] is False
    assert not set(SECONDARY) & rubric_action(secondary=False).schema["properties"].keys()
