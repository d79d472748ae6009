"""Promises to a hostile user: bad input, a disk that fills at any byte: told, and nothing looks finished."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.pipeline.errors import CurateError, TaskFailed, UsageError
from packing.layout.manifest import LayoutError, Manifest
from packing.loader import PackedLoader
from packing.verify import verify
from packing.write.job import write_shards
from packing.write.token_ids import token_ids
from tests.packing.write.corpora import RULES
from tests.tokenizer.vocabularies import LINES, small_vocabulary
from tokenizer.encoding.corpus import HASH_KEY
from tokenizer.encoding.source import open_tokenizer
from tokenizer.formats.export import export as save_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer") / "it"
    save_tokenizer(small_vocabulary(), folder)
    return folder


def table(folder: Path, **columns: Any) -> Path:
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), folder / "in.parquet")
    return folder / "in.parquet"


BAD: list[tuple[dict[str, Any], str]] = [
    ({"id": ["a", "a"], "text": ["x", "y"]}, r"two documents have the key .*'a' and 'a'"),
    ({"id": pa.array([None, "b"], pa.string()), "text": ["x", "y"]}, "1 documents have no id"),
    ({"id": ["a"], "text": [5]}, "texts must be a string"),
    ({"id": ["a"], "text": ["x"], "bucket": ["low"]}, "column bucket must be int8, not string"),
    ({"id": ["a"], "tokens": [[5]]}, r"ids of tokenizer \?"),
    ({"id": ["a"], "body": ["x"]}, "need the columns id and text"),
]


@pytest.mark.parametrize(("columns", "told"), BAD)
def test_bad_documents_are_told_with_their_file(
    columns: dict[str, Any], told: str, tokenizer: Path, tmp_path: Path
) -> None:
    path = table(tmp_path / "in", **columns)
    with pytest.raises(UsageError, match=told):
        write_shards([path], tokenizer, tmp_path / "out", RULES)
    assert not (tmp_path / "out").exists()


def test_numbers_are_ids_and_documents_without_source_have_one(tokenizer: Path, tmp_path: Path) -> None:
    path = table(tmp_path / "in", id=[1, 2], text=["x", "y"], source=pa.array([None, "web"]))
    made = write_shards([path], tokenizer, tmp_path / "out", RULES)
    assert made.sources == ["corpus", "web"] and verify(tmp_path / "out").faults == []


@pytest.mark.parametrize("special", ["<|endoftext|>", "<|pad|>"])
def test_an_id_that_packing_writes_inside_a_document_is_told_with_its_name(
    special: str, tokenizer: Path, tmp_path: Path
) -> None:
    opened = open_tokenizer(tokenizer)
    ids = pa.table(
        {"id": ["good", "bad"], "tokens": pa.array([[1, 2], [1, opened.special_ids[special]]], pa.list_(pa.uint32()))}
    )
    pq.write_table(ids.replace_schema_metadata({HASH_KEY: opened.hash}), tmp_path / "in.parquet")
    with pytest.raises(UsageError, match=r"document 'bad': token 1 is the .* id .*, which only packing writes"):
        write_shards([tmp_path / "in.parquet"], tokenizer, tmp_path / "out", RULES)


def test_the_text_of_a_special_token_stays_text(tokenizer: Path, tmp_path: Path) -> None:
    path = table(tmp_path / "in", id=["a"], text=["before <|endoftext|> after"])
    made = write_shards([path], tokenizer, tmp_path / "out", RULES)
    assert made.ledger["tokens"]["packed"] > 5 and verify(tmp_path / "out").faults == []


def test_a_special_token_that_is_not_there_is_told(tokenizer: Path) -> None:
    with pytest.raises(UsageError, match=r"no special token '<\|nope\|>' for eos.*\n.*pack\.eos_token"):
        token_ids(tokenizer, eos="<|nope|>")


@pytest.mark.parametrize("policy", ["split", "split_balanced", "truncate", "drop"])
def test_a_document_of_a_hundred_rows_under_each_policy(policy: Any, tokenizer: Path, tmp_path: Path) -> None:
    path = table(tmp_path / "in", id=["long", "short"], text=["river sand " * 1_000, "x"])
    made = write_shards([path], tokenizer, tmp_path / "out", replace(RULES, long=policy))
    assert verify(tmp_path / "out").faults == []
    tokens = made.ledger["tokens"]
    assert tokens["in"] == tokens["packed"] + tokens["truncated"] + tokens["dropped"]
    assert bool(tokens["truncated"]) == (policy == "truncate") and bool(tokens["dropped"]) == (policy == "drop")


def test_where_shards_go_must_be_a_folder(tokenizer: Path, tmp_path: Path) -> None:
    path = table(tmp_path / "in", id=["a"], text=["x"])
    with pytest.raises(UsageError, match="is a file"):
        write_shards([path], tokenizer, path, RULES)


def test_a_folder_without_manifest_is_refused_by_everyone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/s00000.bin").write_bytes(bytes(256))
    for read in (Manifest.read, lambda folder: PackedLoader(folder, global_batch=1)):
        with pytest.raises(LayoutError, match=r"has no manifest\.json: it is not finished"):
            read(tmp_path)
    with pytest.raises(UsageError, match="not finished"):
        verify(tmp_path)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """What a full disk does to a file: the write fails after so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_write_that_fails_at_any_byte_is_told_and_goes_on_later(tokenizer: Path, tmp_path: Path) -> None:
    texts = [LINES[i % len(LINES)] * (1 + i % 5) for i in range(400)]
    path = table(tmp_path / "in", id=[f"web/{i}" for i in range(400)], text=texts)
    rules = replace(RULES, shard_bytes=1 << 15)
    whole = write_shards([path], tokenizer, tmp_path / "whole", rules)
    failed = 0
    for size in (10, 500, 3_000, 9_000, 20_000, 40_000, 80_000, 120_000):
        out = tmp_path / str(size)
        with files_of_at_most(size):
            try:
                write_shards([path], tokenizer, out, rules)
                continue
            except CurateError as error:
                failed += 1
                assert isinstance(error, TaskFailed), error
        assert not out.exists()
        assert write_shards([path], tokenizer, out, rules).checksum == whole.checksum
    assert failed >= 5
