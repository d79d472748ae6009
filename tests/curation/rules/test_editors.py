"""Promises of the editing presets: data that the editors accept, published decisions, one family each."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curation.pipeline.errors import UsageError
from curation.rules import presets
from curation.rules.editors import EDITORS, block_list
from curation.rules.families import FAMILIES
from curation.rules.items import RULES, RulesConfig
from curation.rules.thresholds import RuleSet
from tests.curation.text.editing import check_log

SENTENCE = "The committee of the house sat until late in the evening."
EDITING = [name for name, preset in presets.load().items() if preset.edit]


WORDS = "strip club\nanother word\n"


def parameters(preset: str) -> dict[str, Any]:
    """What the editor of a preset gets; the one with a block list gets WORDS."""
    edit = dict(presets.load()[preset].edit or {})
    del edit["editor"]
    if preset == "c4-blocklist":
        path = Path(tempfile.gettempdir()) / f"curate-words-{os.getpid()}.txt"
        path.write_text(WORDS)
        edit["blocked_words"] = {"path": str(path), "sha256": hashlib.sha256(WORDS.encode()).hexdigest()}
    return edit


def removed_by(preset: str, text: str) -> str | None:
    found = presets.load()[preset]
    assert found.edit is not None
    editor = EDITORS[found.edit["editor"]]
    texts = pa.array([text], pa.large_string())
    edited = editor.edit(texts, parameters(preset))
    check_log(texts, edited)
    reason: str | None = RuleSet.resolve([preset]).decide(edited.columns)[0][0].as_py()
    return reason


def test_the_presets_that_edit() -> None:
    assert EDITING == ["c4", "c4-blocklist", "c4-datatrove", "c4-fineweb", "refinedweb"]


@pytest.mark.parametrize("name", EDITING)
def test_a_preset_names_an_editor_its_family_and_existing_counts(name: str) -> None:
    preset = presets.load()[name]
    assert preset.edit is not None
    editor = EDITORS[preset.edit["editor"]]
    assert editor.family == preset.family and FAMILIES[preset.family].measure is None
    for row in preset.thresholds:
        assert {row.numerator, row.denominator or row.numerator} <= set(FAMILIES[preset.family].fields)
    assert removed_by(name, "\n".join([SENTENCE] * 6)) is None
    edited = editor.edit(pa.array([None, ""], pa.large_string()), parameters(name))
    assert list(edited.columns) == [preset.family]
    assert edited.columns[preset.family].type == FAMILIES[preset.family].type


@pytest.mark.parametrize(
    ("preset", "text", "rule"),
    [
        ("c4", "\n".join([SENTENCE] * 2), "min_sentences"),
        ("c4", "\n".join([SENTENCE] * 3), None),
        ("c4", "\n".join(["Only four words here."] * 9), "min_sentences"),
        ("c4-datatrove", "\n".join([SENTENCE] * 4), "min_sentences"),
        ("c4-datatrove", "\n".join(["Only four words here."] * 9), None),
        ("c4-datatrove", "\n".join([SENTENCE] * 9 + ["Then lorem ipsum followed."]), "max_lorem_ipsum_lines"),
        ("c4-datatrove", "\n".join([SENTENCE] * 9 + ["The set {a} is small."]), "max_curly_bracket_lines"),
        ("c4-datatrove", "\n".join([SENTENCE] * 9 + ["The set {a}"]), None),
        ("c4-datatrove", "\n".join(["A heading of the text"] * 9), "min_sentences"),
        ("c4-fineweb", "\n".join(["A heading of the text"] * 9), None),
        ("c4-blocklist", "\n".join([SENTENCE] * 9 + ["All went to a strip club then."]), "max_blocked_word_lines"),
        ("c4", "\n".join([SENTENCE] * 9 + ["All went to a strip club then."]), None),
        ("refinedweb", "\n".join([SENTENCE] * 9 + ["MENU", "Home", "3 likes"]), None),
        ("refinedweb", "\n".join([SENTENCE] * 5 + ["MENU", "Home", "3 likes"]), "max_removed_words"),
        ("refinedweb", "", None),
    ],
)  # fmt: skip
def test_what_a_preset_removes(preset: str, text: str, rule: str | None) -> None:
    assert removed_by(preset, text) == (f"{preset}.{rule}" if rule else None)


def test_published_values() -> None:
    known = {name: presets.load()[name] for name in EDITING}
    assert [known[n].edit["min_words"] for n in ("c4", "c4-datatrove", "c4-fineweb")] == [5, 3, 3]  # type: ignore[index]
    assert {(p.edit or {})["terminal_punctuation"] for p in (known["c4"], known["c4-blocklist"])} == {'.?!"'}
    value = {f"{name}.{row.name}": row.value for name, preset in known.items() for row in preset.thresholds}
    assert value["c4.min_sentences"] == 3 and value["c4-datatrove.min_sentences"] == 5
    assert value["refinedweb.max_removed_words"] == 0.05


def test_the_log_holds_only_the_editors_rules_and_overrides_reach_the_thresholds() -> None:
    text = pa.array([f"Menu\n{SENTENCE} See [1].\nEnable javascript to see more of it.\n"], pa.large_string())
    for name in EDITING:
        editor = EDITORS[(presets.load()[name].edit or {})["editor"]]
        edited = editor.edit(text, parameters(name))
        assert {one["rule"] for one in edited.edits[0].as_py()} <= set(editor.rules)
        rules = RuleSet.resolve([name])
        lenient = RuleSet(tuple(replace(t, value=1e9 if t.remove_if == ">" else -1) for t in rules.thresholds))
        assert lenient.decide(edited.columns)[0].to_pylist() == [None]


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(TypeError, match="min_word"):
        EDITORS["c4"].edit(pa.array(["x"], pa.large_string()), {"min_word": 3})


def test_a_block_list_that_changed_since_the_plan_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("One Word\n\n  another \n")
    assert block_list(str(path), hashlib.sha256(path.read_bytes()).hexdigest()) == ("one word", "another")
    with pytest.raises(UsageError, match="not the block list"):
        block_list(str(path), "0" * 64)


def test_a_block_list_and_its_preset_belong_together(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="c4-blocklist"):
        RulesConfig(presets=["c4"], blocked_words="words.txt")
    with pytest.raises(ValueError, match="c4-blocklist"):
        RulesConfig(presets=["c4-blocklist"])
    config = RulesConfig(presets=["gopher-quality", "c4-blocklist"], blocked_words="words.txt")
    with pytest.raises(UsageError, match=r"words\.txt"):
        RULES.located(config, tmp_path)
    (tmp_path / "words.txt").write_text("one\n")
    assert RULES.expand is not None
    pieces = RULES.expand(RULES.located(config, tmp_path))
    assert [key for key, _ in pieces] == ["rules", "lines", "rules"]


def test_the_notice_names_the_line_classes() -> None:
    root = Path(__file__).parents[3]
    classes = (root / "curation/text/data/line_classes.tsv").read_bytes()
    assert hashlib.sha256(classes).hexdigest() in (root / "NOTICE").read_text("utf-8")
