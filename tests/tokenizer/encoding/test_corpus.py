"""A shard of documents becomes a shard of ids once, whole, and for one tokenizer only."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tokenizer.encoding.corpus as corpus
from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import hash64
from tests.tokenizer.vocabularies import LINES, small_vocabulary
from tokenizer.encoding.corpus import TOKENS, count_batch, encode_batch, encode_shard, read_tokens, token_arrays
from tokenizer.encoding.encode import Encoder, encode_reference, open_encoder
from tokenizer.encoding.engines import HUGGING_FACE
from tokenizer.formats.export import export

TEXTS = [*LINES, "", None, "a<|endoftext|>b", "𝟘" * 50]


@pytest.fixture(scope="module")
def encoder(exported: Path) -> Encoder:
    return open_encoder(exported, HUGGING_FACE)


def batch(texts: list[str | None] = TEXTS) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {"id": pa.array([f"web/{i}" for i in range(len(texts))]), "text": pa.array(texts, pa.large_string())}
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "shard-00000.parquet"
    pq.write_table(pa.Table.from_batches([batch()]), path, row_group_size=5)
    return path


def test_a_shard_holds_ids_counts_and_the_documents_they_belong_to(
    source: Path, exported: Path, encoder: Encoder, tmp_path: Path
) -> None:
    manifest = encode_shard(source, tmp_path / "out", encoder)
    wanted = encode_reference(exported, [text or "" for text in TEXTS])
    read = list(read_tokens(tmp_path / "out" / TOKENS, encoder.hash))
    ids = [ends for one in read for ends in np.split(token_arrays(one)[0], token_arrays(one)[1][1:-1])]
    assert [one.tolist() for one in ids] == wanted
    table = pa.Table.from_batches(read)
    assert table["id"].to_pylist() == [f"web/{i}" for i in range(len(TEXTS))]
    assert table["doc_key"].to_pylist() == [hash64(f"web/{i}") for i in range(len(TEXTS))]
    assert table["token_count"].to_pylist() == [len(one) for one in wanted]
    assert token_arrays(read[0])[0].dtype == np.uint32
    assert manifest.counts == {
        "documents": len(TEXTS),
        "bytes": sum(len((text or "").encode()) for text in TEXTS),
        "tokens": sum(map(len, wanted)),
        "special_text": 1,
        "by_reference": 0,
    }
    assert manifest.versions["tokenizer"] == encoder.hash


def test_counts_alone_agree_and_keep_a_given_key(encoder: Encoder) -> None:
    keyed = batch().append_column("doc_key", pa.array(range(len(TEXTS)), pa.uint64()))
    counted, (encoded, _) = count_batch(keyed, encoder), encode_batch(keyed, encoder)
    assert counted.column("token_count").equals(encoded.column("token_count"))
    assert counted.column("doc_key").to_pylist() == list(range(len(TEXTS)))


def test_how_a_shard_is_cut_into_batches_changes_nothing(source: Path, encoder: Encoder, tmp_path: Path) -> None:
    one = encode_shard(source, tmp_path / "one", encoder)
    whole = tmp_path / "whole" / source.name
    whole.parent.mkdir()
    pq.write_table(pa.Table.from_batches([batch()]), whole)
    assert encode_shard(whole, tmp_path / "two", encoder).outputs["tokens"].digest == one.outputs["tokens"].digest


def test_finished_work_is_kept_and_other_work_is_done(
    source: Path, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = encode_shard(source, tmp_path / "out", encoder)
    done = (tmp_path / "out" / TOKENS).stat().st_mtime_ns
    with monkeypatch.context() as patch:
        patch.setattr(corpus, "encode_batch", lambda *_, **__: pytest.fail("encoded again"))
        assert encode_shard(source, tmp_path / "out", encoder) == first
    assert (tmp_path / "out" / TOKENS).stat().st_mtime_ns == done
    allowed = encode_shard(source, tmp_path / "out", encoder, allow_special=["<|endoftext|>"])
    assert allowed.counts["special_text"] == 0 and allowed.counts["tokens"] < first.counts["tokens"]
    os.utime(source, ns=(1, 1))
    assert encode_shard(source, tmp_path / "out", encoder).fingerprint != first.fingerprint


def test_an_interrupted_shard_leaves_nothing_behind(
    source: Path, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, calls = encode_batch, []

    def interrupted(*arguments: object, **options: object) -> object:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(*arguments, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(corpus, "encode_batch", interrupted)
        encode_shard(source, tmp_path / "out", encoder)
    assert list((tmp_path / "out").iterdir()) == []
    assert encode_shard(source, tmp_path / "out", encoder).counts["documents"] == len(TEXTS)


def test_another_tokenizer_a_damaged_file_and_a_stranger_are_refused(
    source: Path, encoder: Encoder, tmp_path: Path
) -> None:
    encode_shard(source, tmp_path / "out", encoder)
    other = open_encoder(export(small_vocabulary("llama3"), tmp_path / "other"), HUGGING_FACE)
    assert other.hash != encoder.hash
    with pytest.raises(UsageError, match=f"made with tokenizer {encoder.hash[:12]}…, expected {other.hash[:12]}…"):
        read_tokens(tmp_path / "out" / TOKENS, other.hash)
    with pytest.raises(UsageError, match="names no tokenizer"):
        read_tokens(source, encoder.hash)
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "out" / TOKENS).read_bytes()[:-9])
    with pytest.raises(UsageError, match="no whole Parquet file"):
        read_tokens(tmp_path / "cut.parquet", encoder.hash)
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "no_text.parquet")
    with pytest.raises(UsageError, match="no column 'text'"):
        encode_shard(tmp_path / "no_text.parquet", tmp_path / "x", encoder)
