"""Promises of `write_shards`: one root whatever happens on the way, and nothing unfinished that looks finished."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.pipeline import shards as pipeline_shards
from curation.pipeline.errors import ConservationError, TaskFailed, UsageError
from packing.layout.manifest import LayoutError, Manifest
from packing.verify.directory import verify
from packing.write import corpus as corpus_files
from packing.write import job, shard, unit
from packing.write.job import write_shards
from packing.write.lock import locked
from packing.write.rules import Rules
from tests.packing.write.corpora import corpus
from tests.tokenizer.vocabularies import small_vocabulary
from tokenizer.encoding.corpus import HASH_KEY, TOKEN_FIELDS
from tokenizer.formats.export import export

RULES = Rules(128, 17, window=200, shard_bytes=128 * 4 * 60)
FILES = 4
PROGRAM = """
import os, sys
from pathlib import Path
from tests.packing.write.test_job import RULES
from packing.write import corpus as corpus_files
from packing.write.job import write_shards
corpus_files.pieces.__defaults__ = (20_000,)
if __name__ == "__main__":
    corpus, tokenizer, out, workers, left = sys.argv[1:]
    if int(left):  # die in the middle of the left-th renaming, as by SIGKILL
        count, rename = [0], os.replace
        def dying(*a):
            count[0] += 1
            if count[0] == int(left):
                os._exit(9)
            return rename(*a)
        os.replace = dying
    print("ready", flush=True)
    print(write_shards([Path(corpus)], Path(tokenizer), Path(out), RULES, workers=int(workers)).root)
"""


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(small_vocabulary(), tmp_path_factory.mktemp("tokenizer") / "small")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of ids, in several row groups each."""
    made = tmp_path_factory.mktemp("corpus")
    schema = pa.schema([*TOKEN_FIELDS, ("source", pa.string())], {HASH_KEY: small_vocabulary().hash.encode()})
    items = list(corpus(1_200, 400, sources=("a", "b", "c")).items())
    for number in range(FILES):
        rows = [
            {"id": id, "doc_key": 0, "token_count": len(ids), "tokens": ids, "source": id[0]}
            for id, ids in items[number::FILES]
        ]
        table = pa.Table.from_pylist(rows, schema).drop_columns("doc_key")
        pq.write_table(table, made / f"{number}.parquet", row_group_size=50)
    return made


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_files.pieces, "__defaults__", (20_000,))


@pytest.fixture(scope="module")
def root(folder: Path, tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("root") / "shards"
    made = write_shards([folder], tokenizer, out, RULES)
    assert verify(out).faults == [] and len(made.shards) > 3
    return made.root


@pytest.mark.parametrize(
    "workers", [2, pytest.param(3, marks=pytest.mark.slow), pytest.param(8, marks=pytest.mark.slow)]
)
def test_one_root_for_any_number_of_workers(
    tmp_path: Path, folder: Path, tokenizer: Path, root: str, workers: int
) -> None:
    assert write_shards([folder], tokenizer, tmp_path / "out", RULES, workers=workers).root == root
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["out"]


def test_one_root_for_any_listing_order_and_division(tmp_path: Path, folder: Path, tokenizer: Path, root: str) -> None:
    listed = sorted(folder.iterdir(), reverse=True)
    assert write_shards(listed, tokenizer, tmp_path / "a", RULES).root == root
    whole = pa.concat_tables([pq.read_table(path) for path in listed])
    pq.write_table(whole, tmp_path / "whole.parquet", row_group_size=77)
    assert write_shards([tmp_path / "whole.parquet"], tokenizer, tmp_path / "b", RULES).root == root


def run(folder: Path, tokenizer: Path, out: Path, workers: int = 1, dies_at: int = 0) -> subprocess.Popen[str]:
    arguments = [str(one) for one in (folder, tokenizer, out, workers, dies_at)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[3]), *sys.path])}
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize("dies_at", [4, 30])
def test_a_killed_run_goes_on_and_ends_with_the_same_root(
    tmp_path: Path, folder: Path, tokenizer: Path, root: str, dies_at: int
) -> None:
    out = tmp_path / "out"
    assert run(folder, tokenizer, out, dies_at=dies_at).wait() == 9
    assert not out.exists() and any((tmp_path / ".out.work").rglob("*.parquet"))
    assert write_shards([folder], tokenizer, out, RULES).root == root
    assert verify(out).faults == []
    assert not (tmp_path / ".out.work").exists() and not list(out.rglob("*.tmp"))


@pytest.mark.slow
def test_one_root_after_twenty_kills_at_random_moments(
    tmp_path: Path, folder: Path, tokenizer: Path, root: str
) -> None:
    generator = random.Random(5)
    kills, finished = 0, 0
    while kills < 20:
        out = tmp_path / f"out{finished}"
        process = run(folder, tokenizer, out, workers=generator.choice([1, 1, 2]))
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        time.sleep(generator.random() * 1.2)
        process.send_signal(signal.SIGKILL)
        if process.wait() == -signal.SIGKILL:
            kills += 1
        if out.exists():  # before it was killed, or a finished one
            assert Manifest.read(out).root == root and verify(out).faults == []
            finished += 1
    assert write_shards([folder], tokenizer, tmp_path / "last", RULES).root == root


def full(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (unit, "_sync"),
        (unit.pq, "write_table"),
        (shard, "digest_file"),
        (shard.os, "fsync"),
        (job.os, "rename"),
        (pipeline_shards.os, "replace"),
    ],
)
def test_a_full_disk_leaves_nothing_that_looks_finished(
    tmp_path: Path, folder: Path, tokenizer: Path, root: str, monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(module, name, full)
        with pytest.raises(TaskFailed, match="disk full"):
            write_shards([folder], tokenizer, out, RULES)
    with pytest.raises(LayoutError):
        Manifest.read(out)
    assert write_shards([folder], tokenizer, out, RULES).root == root


def test_a_unit_tampered_with_between_two_runs_stops_the_second(tmp_path: Path, folder: Path, tokenizer: Path) -> None:
    out = tmp_path / "out"
    assert run(folder, tokenizer, out, dies_at=30).wait() == 9
    victim = sorted((tmp_path / ".out.work").rglob("tokens.bin"))[0]
    raw = bytearray(victim.read_bytes())
    raw[8] ^= 1
    victim.write_bytes(raw)
    with pytest.raises(ConservationError, match=r"tokens\.bin"):
        write_shards([folder], tokenizer, out, RULES)
    assert not out.exists()


def test_a_second_writer_is_refused_with_pid_and_host(tmp_path: Path, folder: Path, tokenizer: Path) -> None:
    with (
        locked(tmp_path / ".out.lock"),
        pytest.raises(UsageError, match=rf"pid {os.getpid()} on {os.uname().nodename}"),
    ):
        write_shards([folder], tokenizer, tmp_path / "out", RULES)


def test_finished_shards_are_kept_and_others_never_overwritten(
    tmp_path: Path, folder: Path, tokenizer: Path, root: str
) -> None:
    out = tmp_path / "out"
    write_shards([folder], tokenizer, out, RULES)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert write_shards([folder], tokenizer, out, RULES).root == root
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    with pytest.raises(UsageError, match=r"other inputs .* or settings"):
        write_shards([folder], tokenizer, out, replace(RULES, sequence_length=64))
    (out / "manifest.json").unlink()
    with pytest.raises(UsageError, match="not empty"):
        write_shards([folder], tokenizer, out, RULES)


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"x" * 90)])
def test_what_is_no_corpus_is_told(tmp_path: Path, tokenizer: Path, damage: Callable[[Path], Any]) -> None:
    path = tmp_path / "in" / "a.parquet"
    path.parent.mkdir()
    pq.write_table(pa.table({"id": ["a"], "tokens": [[1]]}), path)
    damage(path)
    with pytest.raises(UsageError, match=r"no Parquet file|no whole Parquet"):
        write_shards([path.parent], tokenizer, tmp_path / "out", RULES)


def test_ids_of_another_tokenizer_are_refused(tmp_path: Path, folder: Path, tokenizer: Path) -> None:
    table = pq.read_table(folder / "0.parquet").replace_schema_metadata({HASH_KEY: b"another"})
    pq.write_table(table, tmp_path / "0.parquet")
    with pytest.raises(UsageError, match="another"):
        write_shards([tmp_path / "0.parquet"], tokenizer, tmp_path / "out", RULES)
