"""Promises of the config: one validation at the edge, every mistake with file, line, key and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation.pipeline.config import load
from curation.pipeline.errors import ConfigError, UsageError
from curation.pipeline.plan import build

GOOD = """\
run: demo
seed: 3
sources:
  web: {read: jsonl, paths: [data/*.jsonl]}
clean:
  - language: {keep: [en, de], min_score: 0.65}
  - rules: {presets: [gopher-repetition, gopher-quality], override: {gopher-quality.min_words: 30}}
dedup:
  exact: {}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "web.yaml"
    path.write_text(text)
    return path


def mistake(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(write(folder, text), environ={})
    return str(caught.value)


def test_a_good_config_is_typed_inside(tmp_path: Path) -> None:
    config = load(write(tmp_path, GOOD), environ={})
    assert config.core.run == "demo"
    assert config.base == tmp_path
    assert list(config.sections) == ["sources", "clean", "dedup"]


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("seed: 3", "sed: 3", "web.yaml:2: sed", "did you mean 'seed'"),
        ("read: jsonl", "read: jsnl", "web.yaml:4: sources.web.read", "did you mean 'jsonl'"),
        ("min_score: 0.65", "min_scor: 0.65", "web.yaml:6: clean.0.language.min_scor", "did you mean 'min_score'"),
        ("min_score: 0.65", "min_score: high", "web.yaml:6: clean.0.language.min_score", "'high'"),
        ("min_score: 0.65", "min_score: 6.5", "web.yaml:6: clean.0.language.min_score", "less than or equal to 1"),
        ("gopher-quality]", "gofer-quality]", "web.yaml:7: clean.1.rules", "did you mean 'gopher-quality'"),
        ("min_words: 30", "min_wrods: 30", "web.yaml:7: clean.1.rules", "did you mean 'gopher-quality.min_words'"),
        ("dedup:", "dedupe:", "web.yaml:8: dedupe", "did you mean 'dedup'"),
        ("keep: [en, de]", "keep: [en, no]", "web.yaml:6: clean.0.language.keep.1", "write them in quotes"),
        ("run: demo", "run: ../../etc", "web.yaml:1: run", "may hold letters"),
        ("run: demo", "run: documents", "web.yaml:1: run", "name of a step's folder"),
        ("- language: {", "- langauge: {", "web.yaml:6: clean.0.langauge", "did you mean 'language'"),
        ("seed: 3", "seed: 3\nseed: 4", "web.yaml:3: seed", "stands here twice"),
        ("seed: 3", "seed: [3", "web.yaml", "not valid YAML"),
        ("seed: 3", "seed: 3\n\tx: 1", "web.yaml:3", "a tab"),
        ("{read: jsonl, ", "{reed: jsonl, ", "web.yaml:4: sources.web", "did you mean 'read'"),
        ("[data/*.jsonl]", "data/a.jsonl", "web.yaml:4: sources.web.paths", "write [data/a.jsonl]"),
        ("exact: {}", "exact: true", "web.yaml:9: dedup.exact", "write {}"),
        ("seed: 3", "executor: {workers: 0}", "web.yaml:2: executor.workers", "greater than or equal to 1"),
    ],
)
def test_a_mistake_names_file_line_key_and_remedy(tmp_path: Path, old: str, new: str, place: str, words: str) -> None:
    assert old in GOOD
    message = mistake(tmp_path, GOOD.replace(old, new))
    assert place in message
    assert words in message


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    message = mistake(tmp_path, GOOD.replace("seed: 3", "sed: 3").replace("dedup:", "dedupe:"))
    assert "did you mean 'seed'" in message
    assert "did you mean 'dedup'" in message


def test_a_missing_file_is_answered_with_what_is_there(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    with pytest.raises(UsageError, match=r"did you mean 'web\.yaml'"):
        load(tmp_path / "wbe.yaml")


def test_set_and_environment_override_in_this_order(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    environ = {"CURATE__SEED": "5", "CURATE__EXECUTOR__WORKERS": "3", "OTHER": "x"}
    assert load(path, environ=environ).core.seed == 5
    assert load(path, ["executor.workers=4"], environ=environ).core.executor.workers == 4
    assert load(path, ["seed=9"], environ=environ).core.seed == 9
    changed = load(path, ["clean.1.rules.override={gopher-quality.min_words: 10}"], environ={})
    assert changed.raw["clean"][1]["rules"]["override"] == {"gopher-quality.min_words": 10}


def test_yaml_cannot_become_code_or_a_memory_bomb(tmp_path: Path) -> None:
    assert "not valid YAML" in mistake(tmp_path, "run: !!python/object/apply:os.system ['true']\n")
    bomb = "a: &a [x]\n" + "b: [" + "*a, " * 60_000 + "]\n"
    nested = "a: &a [x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 10)}]\n" for i in range(8)
    )
    for text in (bomb, nested, "run: &a [*a]\n"):
        with pytest.raises(UsageError):
            load(write(tmp_path, text), environ={})


def test_an_empty_section_is_an_absent_one(tmp_path: Path) -> None:
    assert "clean" not in load(write(tmp_path, "run: x\nsources: {}\nclean:\n"), environ={}).sections


@pytest.mark.parametrize(("model", "message"), [("missing.bin", "missing.bin"), ("web.yaml", "clean: language: model")])
def test_a_language_model_is_found_beside_the_config_or_refused_before_the_run(
    tmp_path: Path, model: str, message: str
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.jsonl").write_text('{"text": "x"}\n')
    path = write(tmp_path, GOOD.replace("{keep: [en, de], min_score: 0.65}", f"{{model: {model}}}"))
    with pytest.raises(UsageError, match=message):
        build(load(path, environ={}))


def test_a_config_without_sources_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no sources"):
        build(load(write(tmp_path, "run: x\n"), environ={}))
