"""Promises of `curate tokenizer`: the whole way on files, JSON for scripts, no work done twice, clear errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from curation.cli import build
from curation.pipeline.errors import UsageError
from tests.tokenizer.vocabularies import LINES
from tokenizer.formats.export import load_vocabulary
from tokenizer.training.train import train

VERBS = ("count", "train", "evaluate", "compare", "export", "encode", "audit")
Files = Callable[..., list[str]]


def curate(*arguments: str) -> Any:
    """The JSON that a command prints; its error is raised."""
    done = CliRunner().invoke(build(), ["tokenizer", *arguments, "--json"], catch_exceptions=True)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def documents(folder: Path, files: int = 2) -> list[str]:
    """Files of 80 documents in two languages."""
    paths = []
    for f in range(files):
        path = folder / f"{f}.jsonl"
        with open(path, "w") as file:
            for i in range(80):
                text = "".join(LINES[(i * k + f) % len(LINES)] for k in range(1, 12)) + f"{i} of {f}"
                file.write(json.dumps({"id": f"{f}-{i}", "text": text, "lang": "ab"[i % 2]}) + "\n")
        paths.append(str(path))
    return paths


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """(folder with `counts` and `tok`, the documents)."""
    folder = tmp_path_factory.mktemp("way")
    paths = documents(folder)
    shares = ("--holdout", "0.2", "--dev", "0.2")
    curate("count", *paths, "--out", str(folder / "counts"), *shares, "--workers", "1", "-q")
    curate("train", str(folder / "counts"), "--out", str(folder / "tok"), "--vocab-size", "500", "-q")
    return folder, paths


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_has_help_with_an_example(verb: str) -> None:
    done = CliRunner().invoke(build(), ["tokenizer", verb, "--help"])
    assert done.exit_code == 0 and f"curate tokenizer {verb}" in done.stdout and "Example" in done.stdout


def test_finished_files_are_not_counted_again_and_the_tables_do_not_depend_on_the_split_into_runs(
    way: tuple[Path, list[str]], tmp_path: Path
) -> None:
    folder, paths = way
    shares = ("--holdout", "0.2", "--dev", "0.2")
    target = tmp_path / "counts"
    curate("count", paths[0], "--out", str(target), *shares, "-q")
    part = next((target / "parts").glob("0.jsonl*train.parquet"))
    made = part.stat().st_mtime_ns
    curate("count", *paths[::-1], "--out", str(target), *shares, "--workers", "2", "-q")
    assert part.stat().st_mtime_ns == made
    for side in ("train", "dev"):
        assert (target / f"{side}.parquet").read_bytes() == (folder / "counts" / f"{side}.parquet").read_bytes()


def test_a_damaged_part_is_counted_again(way: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, paths = way
    arguments = ("count", *paths, "--out", str(tmp_path / "counts"), "--holdout", "0.2", "--dev", "0.2", "-q")
    curate(*arguments)
    part = next((tmp_path / "counts" / "parts").glob("0.jsonl*train.parquet"))
    part.write_bytes(part.read_bytes()[:-9])
    curate(*arguments)
    assert (tmp_path / "counts" / "train.parquet").read_bytes() == (folder / "counts" / "train.parquet").read_bytes()


def test_training_checks_itself_against_hugging_face_when_asked(way: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, _ = way
    arguments = ("--out", str(tmp_path / "t"), "--vocab-size", "400", "--languages", "text", "--check", "-q")
    assert curate("train", str(folder / "counts"), *arguments)["hugging_face_merges_equal"] is True


def test_a_smaller_size_is_a_prefix(way: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, _ = way
    made = curate("export", str(folder / "tok"), "--out", str(tmp_path / "small"), "--vocab-size", "300")
    small, whole = load_vocabulary(tmp_path / "small"), load_vocabulary(folder / "tok")
    assert made["vocab_size"] == small.vocab_size == 300
    assert small.merges.tolist() == whole.merges[:44].tolist()


def test_a_vocabulary_is_extended(way: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, _ = way
    more = ("--extend", str(folder / "tok"), "--out", str(tmp_path / "more"), "--vocab-size", "520", "-q")
    curate("train", str(folder / "counts"), *more, "--languages", "text")
    extended, whole = load_vocabulary(tmp_path / "more"), load_vocabulary(folder / "tok")
    assert extended.merges[: len(whole.merges)].tolist() == whole.merges.tolist()
    assert extended.vocab_size == 520 and extended.provenance["extends"] == whole.hash


def test_it_is_evaluated_on_what_was_held_out_and_audited(way: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, paths = way
    out = ("--out", str(tmp_path), "--counts", str(folder / "counts"))
    made = curate("evaluate", str(folder / "tok"), *paths, "--holdout", "0.2", *out)
    assert 10 < made["groups"][0]["documents"] < 60  # a fifth of 160
    assert "<html" in (tmp_path / "evaluation.html").read_text()
    assert curate("audit", str(folder / "tok"))["vocab_size"] == load_vocabulary(folder / "tok").vocab_size


def test_tokenizers_are_compared(way: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, paths = way
    curate("export", str(folder / "tok"), "--out", str(tmp_path / "small"), "--vocab-size", "300")
    made = curate(
        "compare", str(folder / "tok"), str(tmp_path / "small"), "--documents", paths[0], "--out", str(tmp_path / "c")
    )
    assert made["subjects"] == ["tok", "small"]
    scores = made["groups"][0]["scores"]
    assert scores["tok"]["tokens"] < scores["small"]["tokens"]


def test_a_killed_training_goes_on_to_the_same_tokenizer(
    way: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = way
    arguments = ("train", str(folder / "counts"), "--out", str(tmp_path / "t"), "--vocab-size", "500", "-q")

    def stops(*args: Any, **kwargs: Any) -> Any:
        train(*args, **{**kwargs, "checkpoint": tmp_path / "t.checkpoint"})
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tokenizer.training.build.train", stops)
        done = CliRunner().invoke(build(), ["tokenizer", *arguments, "--languages", "0.5"])
    assert done.exit_code != 0 and (tmp_path / "t.checkpoint").is_file() and not (tmp_path / "t").exists()
    resumed = curate(*arguments, "--languages", "0.5")
    whole = curate(*arguments[:3], str(tmp_path / "whole"), *arguments[4:], "--languages", "0.5")
    assert resumed["hash"] == whole["hash"] and not (tmp_path / "t.checkpoint").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("train", "{folder}/nothing", "--out", "{new}"), "holds no counts"),
        (("train", "{folder}/counts", "--out", "{new}", "--vocab-size", "255"), "256"),
        (("train", "{folder}/counts", "--out", "{new}", "--languages", "much"), "--languages"),
        (("train", "{folder}/counts", "--out", "{new}", "--languages", "{{a: 1.0}}"), "b"),
        (("train", "{folder}/counts", "--out", "{folder}", "--vocab-size", "300"), "no tokenizer directory"),
        (("count", "{folder}/nothing.jsonl", "--out", "{new}"), "no such file"),
        (("count", "{folder}/0.jsonl", "--out", "{folder}"), "no folder of counts"),
        (("count", "{folder}/0.jsonl", "--out", "{new}", "--pattern", "o200"), "o200k"),
        (("count", "{folder}/0.jsonl", "--out", "{new}", "--holdout", "0.9", "--dev", "0.2"), "nothing to train on"),
        (("export", "{folder}/tok", "--out", "{new}", "--vocab-size", "999999"), "cannot be cut"),
        (("encode", "{folder}/tok", "{folder}/0.jsonl", "--out", "{new}"), "Parquet"),
        (("evaluate", "{folder}/tok", "{folder}/0.jsonl", "--yardstick", "o300k", "--out", "{new}"), "o300k"),
        (("audit", "{folder}/counts"), "tokenizer"),
    ],
)
def test_bad_requests_are_refused_with_the_reason(
    way: tuple[Path, list[str]], tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        curate(*(one.format(folder=way[0], new=tmp_path / "new") for one in arguments))
    assert not (tmp_path / "new").exists() or not any((tmp_path / "new").glob("*.json"))
