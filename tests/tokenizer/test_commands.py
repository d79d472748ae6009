"""Promises of `curate tokenizer`: the whole way on files, JSON for scripts, no work done twice, clear errors."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from curation.cli import build
from curation.pipeline.errors import CurateError, UsageError
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


def test_files_of_one_name_size_and_time_are_all_counted(tmp_path: Path) -> None:
    for folder, word in (("a", "hello"), ("b", "there")):
        path = tmp_path / folder / "x.jsonl"
        path.parent.mkdir()
        path.write_text(json.dumps({"id": folder, "text": word}))
        os.utime(path, ns=(1, 1))
    paths = [str(tmp_path / folder / "x.jsonl") for folder in "ab"]
    curate("count", *paths, "--out", str(tmp_path / "c"), "--holdout", "0", "--dev", "0", "--workers", "1", "-q")
    words = pq.read_table(tmp_path / "c" / "train.parquet")["word"].to_pylist()
    assert words == [b"hello", b"there"]


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


def test_languages_without_text_are_told_and_the_others_share_the_rest(
    way: tuple[Path, list[str]], tmp_path: Path
) -> None:
    folder, _ = way
    arguments = ("train", str(folder / "counts"), "--vocab-size", "400", "-q", "--out")
    more = curate(*arguments, str(tmp_path / "more"), "--languages", "{a: 0.3, b: 0.3, c: 0.4}")
    same = curate(*arguments, str(tmp_path / "same"), "--languages", "{a: 0.5, b: 0.5}")
    assert more["hash"] == same["hash"] and more["languages"]["without_text"] == ["c"]


def test_quotas_thinning_and_cut_words_shape_the_training(way: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, _ = way
    plain = ("train", str(folder / "counts"), "--vocab-size", "400", "-q", "--languages", "text", "--out")
    quota = curate(*plain, str(tmp_path / "quota"), "--quotas", "{b: 0.9}")
    assert quota["languages"]["shares"] == pytest.approx({"a": 0.1, "b": 0.9})
    assert quota["languages"]["quotas"] == {"b": 0.9}
    thin = curate(*plain, str(tmp_path / "thin"), "--thin", "{below: 100000, keep_one_in: 2}", "--check")
    cut = curate(*plain, str(tmp_path / "cut"), "--longest-word", "4", "--check")
    assert all(len(token) <= 4 for token in load_vocabulary(tmp_path / "cut").tokens())
    made = [quota, thin, cut, curate(*plain, str(tmp_path / "plain"))]
    assert len({one["hash"] for one in made}) == len(made)
    assert thin["hugging_face_merges_equal"] and cut["hugging_face_merges_equal"]


@pytest.mark.parametrize("share", ["{b: 1}", "{a: 1}"])
def test_shares_are_checked_for_a_single_language_too(tmp_path: Path, share: str) -> None:
    (tmp_path / "one.jsonl").write_text('{"id": "x", "text": "hello there", "lang": "a"}')
    curate("count", str(tmp_path / "one.jsonl"), "--out", str(tmp_path / "c"), "--holdout", "0", "--dev", "0", "-q")
    arguments = ("train", str(tmp_path / "c"), "--out", str(tmp_path / "t"), "--languages", share, "-q")
    if share == "{a: 1}":
        assert "ran out of pairs" in curate(*arguments)["warning"]
    else:
        with pytest.raises(UsageError, match="no share for a"):
            curate(*arguments)


@pytest.mark.parametrize("text", ["", '{"id": "x", "text": null}', '{"id": "x", "text": ""}'])
def test_a_corpus_without_text_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "none.jsonl").write_text(text)
    with pytest.raises(UsageError, match="no text to train on in 1 file"):
        curate("count", str(tmp_path / "none.jsonl"), "--out", str(tmp_path / "c"), "-q")


def test_a_killed_worker_is_told_and_finished_files_are_kept(
    way: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, paths = way
    arguments = ("count", *paths, "--out", str(tmp_path / "c"), "--workers", "1", "-q")
    with monkeypatch.context() as patch:
        patch.setattr("tokenizer.counting.files._start_worker", os.abort)
        with pytest.raises(CurateError, match="was killed"):
            curate(*arguments)
    assert curate(*arguments)["files"] == 2


def test_a_pattern_without_a_scanner_is_told_once_and_in_words(way: tuple[Path, list[str]], tmp_path: Path) -> None:
    arguments = ["tokenizer", "count", way[1][0], "--out", str(tmp_path / "c"), "--pattern", "[a-z]+", "--workers", "1"]
    done = CliRunner().invoke(build(), arguments)
    assert done.exit_code == 0 and "UserWarning" not in done.stderr and done.stderr.count("slow path") == 1


def test_json_lines_are_encoded_like_parquet(way: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, paths = way
    rows = [json.loads(line) for line in Path(paths[0]).read_text().splitlines()]
    pq.write_table(pa.table({name: [row[name] for row in rows] for name in ("id", "text")}), tmp_path / "0.parquet")
    made = []
    for k, path in enumerate((Path(paths[0]), tmp_path / "0.parquet")):
        curate(
            "encode", str(folder / "tok"), str(path), "--out", str(tmp_path / str(k)), "--engine", "tokenizers", "-q"
        )
        made.append(pq.read_table(tmp_path / str(k) / "0" / "tokens.parquet"))
    assert made[0].equals(made[1]) and made[0].num_rows == 80


def test_a_parquet_file_that_is_no_text_is_named(way: tuple[Path, list[str]], tmp_path: Path) -> None:
    raw = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(np.array([0, 2, 4], np.int32)), pa.py_buffer(b"ok\xff\xfe")]
    )
    pq.write_table(pa.table({"id": ["a", "b"], "text": raw}), tmp_path / "raw.parquet")
    pq.write_table(pa.table({"id": ["a"], "text": [1]}), tmp_path / "number.parquet")
    tok, out = str(way[0] / "tok"), str(tmp_path / "out")
    for name, told in (("raw", "raw.parquet.*not UTF-8"), ("number", "number.parquet.*int64")):
        with pytest.raises(UsageError, match=told):
            curate("encode", tok, str(tmp_path / f"{name}.parquet"), "--out", out, "--engine", "tokenizers", "-q")
    with pytest.raises(UsageError, match=r"raw\.parquet:2: not UTF-8"):
        curate("count", str(tmp_path / "raw.parquet"), "--out", str(tmp_path / "counts"), "-q")


def test_a_damaged_account_or_manifest_is_named(way: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, paths = way
    shutil.copytree(folder / "counts", tmp_path / "counts")
    (tmp_path / "counts" / "counts.json").write_text("{")
    with pytest.raises(UsageError, match=r"counts\.json: damaged"):
        curate("train", str(tmp_path / "counts"), "--out", str(tmp_path / "t"), "-q")
    shutil.copytree(folder / "tok", tmp_path / "tok")
    (tmp_path / "tok" / "manifest.json").write_text("{")
    for arguments in (
        ("audit", str(tmp_path / "tok")),
        ("encode", str(tmp_path / "tok"), paths[0], "--out", str(tmp_path / "ids")),
        ("export", str(tmp_path / "tok"), "--out", str(tmp_path / "new")),
        ("train", str(folder / "counts"), "--out", str(tmp_path / "tok"), "-q"),
    ):
        with pytest.raises(UsageError, match=r"manifest\.json: damaged"):
            curate(*arguments)


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
        (("train", "{folder}/counts", "--out", "{new}", "--languages", "{{a: 1.0"), "--languages"),
        (("train", "{folder}/counts", "--out", "{new}", "--languages", "{{a: 0, b: 0}}"), "positive"),
        (("train", "{folder}/counts", "--out", "{new}", "--quotas", "{{x: 0.5}}"), "quota for 'x'"),
        (("train", "{folder}/counts", "--out", "{new}", "--quotas", "{{a: 1"), "--quotas"),
        (("train", "{folder}/counts", "--out", "{new}", "--thin", "3"), "--thin"),
        (("train", "{folder}/counts", "--out", "{new}", "--special", ""), "--special: special tokens must be"),
        (("count", "{folder}/0.jsonl", "{folder}/../{name}/0.jsonl", "--out", "{new}"), "given twice"),
        (("count", "{folder}", "--out", "{new}"), "is a folder"),
        (("encode", "{folder}/tok", "{folder}/tok/tokenizer.json", "--out", "{new}"), "no `text`"),
        (("encode", "{folder}/tok", "{folder}/0.jsonl", "--out", "{folder}/0.jsonl"), "is no folder"),
        (("evaluate", "{folder}/nothing", "{folder}/0.jsonl"), "no such tokenizer"),
        (("audit", "{folder}/0.jsonl"), "0.jsonl"),
        (("evaluate", "{folder}/tok", "{folder}/0.jsonl", "--holdout", "0.3", "--out", "{new}"), "held out other"),
        (("evaluate", "{folder}/tok", "{folder}/0.jsonl", "--holdout", "0.2", "--seed", "1", "--out", "{new}"), "seed"),
        (("evaluate", "{folder}/tok", "{folder}/0.jsonl", "--yardstick", "o300k", "--out", "{new}"), "o300k"),
        (("audit", "{folder}/counts"), "tokenizer"),
    ],
)
def test_bad_requests_are_refused_with_the_reason(
    way: tuple[Path, list[str]], tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        curate(*(one.format(folder=way[0], name=way[0].name, new=tmp_path / "new") for one in arguments))
    assert not (tmp_path / "new").exists() or not any((tmp_path / "new").glob("*.json"))
