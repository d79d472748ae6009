"""Promises of editing items: every rule sees the text as the list up to there left it, and every edit is logged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from curation.commands.whatif import changed_config, compare
from curation.pipeline import registry
from curation.pipeline.config import RunConfig, load, model
from curation.pipeline.errors import UsageError
from curation.pipeline.execute import execute
from curation.pipeline.plan import Plan, State, build
from curation.pipeline.run import link_outputs
from curation.pipeline.summary import summarise
from curation.pipeline.task import Json
from curation.rules.item import CleanItem, Columns, Limited, Verdict, item
from curation.text.edits import EDITS, EditedText


class CutConfig(Limited):
    """Take a word out of every text."""

    word: str


class LengthConfig(Limited):
    """Remove texts that are longer."""

    most: int


def _cut(text: pa.LargeStringArray, columns: Columns, edited: Json) -> EditedText:
    word, texts, logs = edited["word"], [], []
    for one in text.to_pylist():
        at = -1 if one is None else one.find(word)
        texts.append(one if at < 0 else one[:at] + one[at + len(word) :])
        start = len(one[:at].encode()) if one else 0
        edit = {"rule": f"cut.{word}", "start": start, "length": len(word.encode()), "before": word, "after": ""}
        logs.append([] if at < 0 else [edit])
    return EditedText(pa.array(texts, pa.large_string()), pa.array(logs, EDITS))


def _length(text: pa.LargeStringArray, measured: Json) -> Columns:
    return {"length": pc.utf8_length(text)}


def _long(columns: Columns, decided: Json) -> Verdict:
    rule = pc.if_else(pc.greater(columns["length"], decided["most"]), "length.most", pa.scalar(None, pa.string()))
    return rule, pc.if_else(pc.is_valid(rule), columns["length"].cast(pa.string()), pa.scalar(None, pa.string()))


ITEMS = {
    "cut": CleanItem(key="cut", version=1, config=CutConfig, edited=lambda c: {"word": c.word}, edit=_cut),
    "length": CleanItem(
        key="length", version=1, config=LengthConfig, decided=lambda c: {"most": c.most}, decide=_long,
        measured=lambda c: [{}], measure=_length, columns=lambda part: [pa.field("length", pa.int64())],
        thresholds=lambda d: [
            {"key": "length.most", "column": "length", "numerator": "x", "denominator": None}
            | {"remove_if": ">", "value": d["most"]}
        ],
    ),
}  # fmt: skip


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a config from a `clean` list; the two items are registered."""

    class Point:
        def __init__(self, value: Any) -> None:
            self.value = value

        def load(self) -> Any:
            return self.value

    door = registry.door

    def opened(group: str) -> Any:
        extra = {f"clean.{key}": Point(one) for key, one in ITEMS.items()} if group == "curate.steps" else {}
        return {**door(group), **extra}

    monkeypatch.setattr(registry, "door", opened)
    for cached in (registry.load, item, model):
        cached.cache_clear()
    texts = ["aa bb cc", "bb", "nothing", "aa bb cc dd ee ff", None, "ünï bb aa"]
    lines = [json.dumps({"text": text, "id": f"d{i}"}) for i, text in enumerate(texts)]
    (tmp_path / "a.jsonl").write_text("".join(line + "\n" for line in lines))

    def make(clean: list[Any]) -> Path:
        value = {
            "run": "edits", "workdir": str(tmp_path / "runs"), "executor": {"workers": 1}, "clean": clean,
            "sources": {"s": {"read": "jsonl", "paths": ["a.jsonl"], "id": "id"}},
        }  # fmt: skip
        path = tmp_path / "edits.yaml"
        path.write_text(json.dumps(value))
        return path

    yield make
    for cached in (registry.load, item, model):
        cached.cache_clear()


def run(config: RunConfig) -> dict[str, Any]:
    """A whole run in this process, where the items are registered."""
    plan = build(config)
    plan.write()
    state = State(plan)
    ran = {task.name for task in plan.tasks if not state.finished(task.name)}
    for task in plan.tasks:
        execute(state, task.name)
    link_outputs(state)
    return summarise(state, ran, wall_s=1.0)


def rows(folder: Path, view: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(folder / view).to_pylist()
    return found


def test_rules_before_an_edit_see_the_text_before_it_and_rules_after_it_the_new_one(
    config: Any, tmp_path: Path
) -> None:
    path = config([{"length": {"most": 10}}, {"cut": {"word": "bb"}}, {"length": {"most": 6}}])
    run(load(path, []))
    folder = tmp_path / "runs" / "edits"
    kept = {row["id"]: row for row in rows(folder, "documents")}
    removed = {row["id"]: row for row in rows(folder, "removed")}
    assert {id: row["text"] for id, row in kept.items()} == {"s/d0": "aa  cc", "s/d1": ""}
    assert (kept["s/d0"]["length"], kept["s/d0"]["length_2"]) == (8, 6)
    assert removed["s/d2"]["removed_detail"] == "7" and removed["s/d5"]["removed_detail"] == "7"
    assert removed["s/d3"]["text"] == "aa bb cc dd ee ff"  # removed before the edit: as its rule saw it
    assert removed["s/d5"]["text"] == "ünï  aa"  # removed after the edit
    edits = {row["id"]: row for row in rows(folder, "edits")}
    assert set(edits) == {"s/d0", "s/d1", "s/d5"}
    assert (edits["s/d5"]["start"], edits["s/d5"]["length"], edits["s/d5"]["before"]) == (6, 2, "bb")


def test_editors_in_a_row_work_on_each_others_text_and_one_log_holds_all_edits_in_order(
    config: Any, tmp_path: Path
) -> None:
    path = config([{"cut": {"word": "aa "}}, {"cut": {"word": "bb"}}, {"length": {"most": 99}}, {"cut": {"word": "c"}}])
    run(load(path, []))
    folder = tmp_path / "runs" / "edits"
    assert {row["id"]: row["text"] for row in rows(folder, "documents")}["s/d0"] == " c"
    log = [(row["rule"], row["start"]) for row in rows(folder, "edits") if row["id"] == "s/d0"]
    assert log == [("cut.aa ", 0), ("cut.bb", 0), ("cut.c", 1)]
    assert (folder / "edits").stat().st_mode & 0o077 == 0


def test_a_changed_threshold_reads_no_text_and_what_if_agrees_with_the_rerun(config: Any, tmp_path: Path) -> None:
    path = config([{"length": {"most": 10}}, {"cut": {"word": "bb"}}, {"length": {"most": 6}}])
    run(load(path, []))
    now = Plan.read(tmp_path / "runs" / "edits" / "plan.json")
    then = build(load(path, ["clean.0.length.most=99"]))
    answer = compare(now, then, 5)
    again = run(load(path, ["clean.0.length.most=99"]))
    assert {rule: counts[1] for rule, counts in answer["rules"].items() if rule.startswith("length")} == again[
        "removed_by"
    ]
    reused = {step["step"]: (step["tasks"], step["reused"]) for step in again["steps"]}
    assert reused["edit"] == (1, 1) and reused["measure"] == (2, 2)
    with pytest.raises(UsageError, match="read the texts again"):
        compare(now, build(changed_config(now, ["cut.word=cc"], [])), 5)


def test_an_item_that_would_undo_earlier_edits_is_refused(config: Any) -> None:
    clean = [{"pii": {}}, {"format": {}}]
    with pytest.raises(UsageError, match="stands after `pii`"):
        build(load(config(clean), []))
    build(load(config(list(reversed(clean))), []))


def test_thresholds_by_language_need_a_language(config: Any) -> None:
    rules = {"rules": {"presets": ["gopher-quality"], "languages": {"de": {"gopher-quality.min_words": 3}}}}
    with pytest.raises(UsageError, match="needs a `language:` entry before it"):
        build(load(config([rules]), []))
    plan = build(load(config([{"language": {"min_score": 0.0}}, rules]), []))
    values = {row["key"]: row["by_language"] for row in plan.facts["thresholds"]}
    assert values["gopher-quality.min_words"] == {"de": 3.0}


def test_presets_that_edit_split_the_list_into_passes(config: Any, tmp_path: Path) -> None:
    presets = ["gopher-quality", "c4-datatrove", "fineweb-paper"]
    plan = build(load(config([{"rules": {"presets": presets, "override": {"c4-datatrove.min_sentences": 1}}}]), []))
    steps = [task.name.partition("/")[0] for task in plan.tasks if task.step in ("edit", "measure", "decide")]
    assert steps == ["measure", "decide", "edit-2", "measure-2", "decide-2"]
    columns = {row["key"].partition(".")[0]: row["column"] for row in plan.facts["thresholds"]}
    assert columns == {"gopher-quality": "stats", "c4-datatrove": "c4", "fineweb-paper": "stats_2"}
