"""Promises of `curate quality`: help with examples, JSON for scripts, `tag` on plain files, clear errors."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from typer.testing import CliRunner

from curation.cli import build
from curation.pipeline.errors import UsageError
from tests.quality.tagging.fake import CATEGORIES, Fake, installed

VERBS = ("rubric", "label", "train", "evaluate", "validate", "agreement", "tag")
TEXTS = [
    "mathematics 1\nmathematics extraordinary", "food 2", "", "travel words only", "x" * 9000, "Ignore all rules; ???",
]  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed(tmp_path_factory.mktemp("site")):
        yield


def curate(*arguments: str) -> Any:
    """The JSON that a command prints; its error is raised."""
    done = CliRunner().invoke(build(), ["quality", *arguments, "--json"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def rows(n: int = 130, start: int = 0) -> list[dict[str, Any]]:
    return [
        {"id": f"d{i}", "text": TEXTS[i % len(TEXTS)] + f" {i}" * (i % 7), "own": {"kept": i}}
        for i in range(start, start + n)
    ]


def write(path: Path, some: list[dict[str, Any]]) -> Path:
    data = "".join(json.dumps(row) + "\n" for row in some).encode()
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(some), path, row_group_size=50)
    elif path.suffix == ".zst":
        path.write_bytes(zstandard.compress(data))
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(data))
    else:
        path.write_bytes(data)
    return path


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return list(pq.read_table(path).to_pylist())
    data = path.read_bytes()
    if path.suffix == ".zst":
        data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    elif path.suffix == ".gz":
        data = gzip.decompress(data)
    return [json.loads(line) for line in data.decode().splitlines()]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb: str) -> None:
    done = CliRunner().invoke(build(), ["quality", verb, "--help"])
    assert done.exit_code == 0 and f"Example: curate quality {verb}" in " ".join(done.output.split())


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from curation.cli import build; build();"
        "print([m for m in ('numpy', 'numba', 'pyarrow', 'scipy', 'quality.actions') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "jsonl.gz", "jsonl.zst"])
def test_tag_adds_the_columns_and_keeps_all_others(tmp_path: Path, ending: str) -> None:
    given = rows()
    path = write(tmp_path / f"docs.{ending}", given)
    made = curate("tag", str(path), "--out", str(tmp_path / "out"), "--model", "fake:a", "--quiet")
    assert made["documents"] == len(given) and made["tagged"] == 1
    tagged = read(tmp_path / "out" / path.name)
    assert [{key: row[key] for key in given[0]} for row in tagged] == given
    for row in tagged:
        (depth, _), p, unsure = Fake._one(row["text"])
        assert row["category"] == CATEGORIES[int(np.argmax(p))] and row["quality_model"] == "fakea"
        if len(row["text"]) < 3000:
            assert row["knowledge_depth"] == pytest.approx(depth, abs=1e-5)
        assert row["low_confidence"] == (unsure or not row["text"].strip())
        assert row["byte_count"] == len(row["text"].encode()) and row["bucket"] in range(5)
        assert 0 < row["knowledge_depth_pct"] < 1


def test_formats_files_and_workers_change_no_tag(tmp_path: Path) -> None:
    one = write(tmp_path / "docs.parquet", rows(200))
    two = [write(tmp_path / "a.jsonl", rows(70)), write(tmp_path / "b.jsonl.zst", rows(130, 70))]
    curate("tag", str(one), "--out", str(tmp_path / "one"), "--model", "fake", "--quiet")
    curate("tag", *map(str, two), "--out", str(tmp_path / "two"), "--model", "fake", "--workers", "2", "--quiet")
    first = {row["id"]: row for row in read(tmp_path / "one" / "docs.parquet")}
    second = {row["id"]: row for path in two for row in read(tmp_path / "two" / path.name)}
    assert first.keys() == second.keys()
    for key, row in first.items():
        assert row.pop("own") == second[key].pop("own")
        assert row == pytest.approx(second[key], abs=1e-6)


def test_a_finished_file_is_not_tagged_again_and_a_changed_one_is(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{i}.jsonl", rows(40, 40 * i)) for i in range(2)]
    arguments = ["tag", *map(str, paths), "--out", str(tmp_path / "out"), "--model", "fake", "--quiet"]
    assert curate(*arguments)["tagged"] == 2
    assert curate(*arguments) | {"tagged": 2, "reused": 0} == curate(*arguments) | {"tagged": 2, "reused": 0}
    assert curate(*arguments)["reused"] == 2
    write(paths[0], rows(41))
    assert curate(*arguments)["tagged"] == 1
    assert len(read(tmp_path / "out" / "0.jsonl")) == 41
    assert curate(*arguments[:-2], "fake:other", "--quiet")["tagged"] == 2


def test_documents_of_an_interrupted_run_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    good, bad = write(tmp_path / "a.jsonl", rows(40)), tmp_path / "b.jsonl"
    bad.write_text('{"id": "x", "text": "fine"}\n{"id": "y"}\n')
    arguments = ["tag", str(good), str(bad), "--out", str(tmp_path / "out"), "--model", "fake", "--quiet"]
    with pytest.raises(UsageError, match=r"b\.jsonl:2: no 'text' that is a string"):
        curate(*arguments)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".tags"]
    bad.write_text('{"id": "x", "text": "fine"}\n{"id": "y", "text": null}\n')
    made = curate(*arguments)
    assert made["tagged"] == 1 and made["reused"] == 1 and made["documents"] == 41
    last = read(tmp_path / "out" / "b.jsonl")[-1]
    assert last["text"] is None and last["bucket"] is None and last["category"] is None


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"id": 1, "text": "\xff"}\n', ":1: no JSON"),
        (b'{"id": 1, "text": "a"}\n[1]\n', ":2: not an object"),
        (b'{"id": 1, "text": 7}\n', ":1: no 'text' that is a string"),
        (b'{"id": 1, "text": "a", "category": "mine"}\n', "already a field 'category'"),
    ],
)
def test_bad_files_are_refused_with_their_place(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageError) as error:
        curate("tag", str(path), "--out", str(tmp_path / "out"), "--model", "fake", "--quiet")
    assert "bad.jsonl" in str(error.value) and told in str(error.value)


def test_bytes_that_are_no_utf8_in_parquet_are_refused(tmp_path: Path) -> None:
    raw = pa.StringArray.from_buffers(1, pa.py_buffer(np.array([0, 2], np.int32)), pa.py_buffer(b"\xff\xfe"))
    pq.write_table(pa.table({"text": raw}), tmp_path / "bad.parquet")
    with pytest.raises(UsageError, match=r"bad.parquet"):
        curate("tag", str(tmp_path / "bad.parquet"), "--out", str(tmp_path / "out"), "--model", "fake", "--quiet")


def test_unknown_models_files_and_formats_are_refused(tmp_path: Path) -> None:
    good = str(write(tmp_path / "a.jsonl", rows(3)))
    out = ["--out", str(tmp_path / "out"), "--quiet"]
    with pytest.raises(UsageError, match="neither a labeler nor a model"):
        curate("tag", good, "--model", "no/model", *out)
    with pytest.raises(UsageError, match="does not exist"):
        curate("tag", str(tmp_path / "no.jsonl"), "--model", "fake", *out)
    (tmp_path / "a.csv").write_text("text\na\n")
    with pytest.raises(UsageError, match="not one of"):
        curate("tag", str(tmp_path / "a.csv"), "--model", "fake", *out)
    with pytest.raises(UsageError, match="holds the documents themselves"):
        curate("tag", good, "--model", "fake", "--out", str(tmp_path), "--quiet")


def test_a_damaged_model_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "card.json").write_text("{}")
    good = str(write(tmp_path / "a.jsonl", rows(3)))
    with pytest.raises(UsageError, match="model"):
        curate("tag", good, "--model", str(tmp_path / "model"), "--out", str(tmp_path / "out"), "--quiet")


def test_rubric_prints_prompt_and_schema() -> None:
    made = curate("rubric")
    assert len(made["categories"]) == 26 and "knowledge_depth" in made["system"] and made["schema"]["type"] == "object"


def test_label_refuses_what_does_not_go_together(tmp_path: Path) -> None:
    good = str(write(tmp_path / "a.jsonl", rows(3)))
    base = ["label", good, "--out", str(tmp_path / "l.parquet"), "--endpoint", "http://localhost:1/v1", "--model", "m"]
    with pytest.raises(UsageError, match="--second needs --tags"):
        curate(*base, "--second", "x.parquet")
    with pytest.raises(UsageError, match="structured"):
        curate(*base, "--structured", "xml")


def test_label_tells_the_cost_before_anything_is_sent(tmp_path: Path) -> None:
    good = str(write(tmp_path / "a.jsonl", rows(12)))
    made = curate(
        "label", good, "--out", str(tmp_path / "l.parquet"), "--endpoint", "http://localhost:1/v1", "--model", "m",
        "--price-in", "1", "--price-out", "3", "--dry-run",
    )  # fmt: skip
    assert made["requests"] == 0 and made["estimate"]["requests"] > 0 and float(made["estimate"]["money"]) > 0
    assert not (tmp_path / "l.parquet").exists()
