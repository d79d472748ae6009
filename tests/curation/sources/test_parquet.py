"""Promises of `parquet`: texts come out as they are, bad rows are told one by one, bad files are told."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.pipeline.errors import UsageError
from curation.sources import parquet
from curation.sources.parquet import read_parquet

from .reading import config_of, outcome, write

TEXTS = ["one", "zwei äöü", "", "четыре", "五"]


def table_file(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.large_binary(),
        pa.dictionary(pa.int32(), pa.string()),
    ],
    ids=str,
)
def test_every_arrow_kind_of_text(tmp_path: Path, kind: pa.DataType) -> None:
    text = pa.array(TEXTS).dictionary_encode() if pa.types.is_dictionary(kind) else pa.array(TEXTS).cast(kind)
    found = outcome("parquet", table_file(tmp_path / "a.parquet", {"text": text}))
    assert found.texts == TEXTS
    assert [row["id"] for row in found.documents] == [f"s/a.parquet#{i}" for i in range(5)]
    assert found.documents[0]["metadata"] is None


def test_named_columns_and_metadata(tmp_path: Path) -> None:
    columns = {
        "body": ["a", "b"],
        "id": [7, 8],
        "url": ["http://a", None],
        "date": pa.array([0, None], pa.timestamp("ns")),
        "score": [0.5, float("nan")],
        "price": [Decimal("1.50"), None],
        "day": [datetime.date(2024, 1, 2), None],
        "raw": pa.array([b"\xff", None], pa.binary()),
        "tags": [["x", "y"], []],
    }
    first, second = outcome("parquet", table_file(tmp_path / "a.parquet", columns), text="body").documents
    assert (first["id"], first["text"], first["url"]) == ("s/7", "a", "http://a")
    assert first["date"].startswith("1970-01-01")
    assert orjson.loads(first["metadata"]) == {
        "day": "2024-01-02",
        "price": "1.50",
        "raw": "\N{REPLACEMENT CHARACTER}",
        "score": 0.5,
        "tags": ["x", "y"],
    }
    assert orjson.loads(second["metadata"]) == {"score": None, "tags": []}


def test_metadata_is_bounded_and_says_what_it_left_out(tmp_path: Path) -> None:
    columns = {"text": ["a"], "small": ["s"], "huge": ["x" * 2**21]}
    (row,) = outcome("parquet", table_file(tmp_path / "a.parquet", columns)).documents
    assert orjson.loads(row["metadata"]) == {"small": "s", "_left_out": ["huge"]}


def test_bad_rows_are_quarantined_and_the_others_kept(tmp_path: Path) -> None:
    text = pa.array([b"good", None, b"caf\xe9", b"x" * 200, b"also good"], pa.binary())
    found = outcome("parquet", table_file(tmp_path / "a.parquet", {"text": text}), limits={"text_bytes": 100})
    assert found.texts == ["good", "also good"]
    assert [row["id"] for row in found.documents] == ["s/a.parquet#0", "s/a.parquet#4"]
    assert [(row["record"], row["reason"]) for row in found.quarantine] == [
        (1, "missing_text"),
        (2, "not_utf8"),
        (3, "text_over_limit"),
    ]
    assert found.quarantine[1]["sample"] == b"caf\xe9"


def test_a_string_column_with_bytes_that_are_no_utf8_is_not_trusted(tmp_path: Path) -> None:
    broken = pa.array([b"good", b"caf\xe9"], pa.binary()).view(pa.string())
    found = outcome("parquet", table_file(tmp_path / "a.parquet", {"text": broken, "url": broken}))
    assert found.texts == ["good"]
    assert found.reasons == ["not_utf8"]


@pytest.mark.parametrize("damage", ["empty", "no parquet", "cut", "footer"])
def test_a_file_that_is_no_parquet_is_one_row(tmp_path: Path, damage: str) -> None:
    whole = table_file(tmp_path / "w.parquet", {"text": TEXTS * 100}).read_bytes()
    data = {
        "empty": b"",
        "no parquet": b"PK\x03\x04 something else",
        "cut": whole[: len(whole) // 2],
        "footer": whole[:-8] + b"\xff\xff\xff\x7fPAR1",
    }[damage]
    found = outcome("parquet", write(tmp_path / "a.parquet", data))
    assert found.documents == []
    assert [(row["reason"], row["file"], row["record"]) for row in found.quarantine] == [
        ("not_parquet", "a.parquet", None)
    ]


def test_a_damaged_row_group_costs_only_itself(tmp_path: Path) -> None:
    texts = [f"document {i} " + str(i**5) for i in range(3_000)]
    path = table_file(tmp_path / "a.parquet", {"text": texts}, row_group_size=1_000, compression="zstd")
    column = pq.ParquetFile(path).metadata.row_group(1).column(0)
    data = bytearray(path.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    data[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    found = outcome("parquet", write(path, bytes(data)))
    assert found.texts == texts[:1_000] + texts[2_000:]
    assert found.documents[-1]["id"] == "s/a.parquet#2999"
    (row,) = found.quarantine
    assert row["reason"] == "damaged_parquet"
    assert "rows 1,000 to 1,999" in row["detail"]


def test_a_missing_text_column_names_the_nearest(tmp_path: Path) -> None:
    path = table_file(tmp_path / "a.parquet", {"texts": ["a"], "other": ["b"]})
    with pytest.raises(UsageError, match=r"no column 'text'(.|\n)*did you mean 'texts'"):
        outcome("parquet", path)
    with pytest.raises(UsageError, match=r"valid: other, texts"):
        outcome("parquet", path, text="zzzzzz")


def test_a_text_column_of_numbers_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds int64, no text"):
        outcome("parquet", table_file(tmp_path / "a.parquet", {"text": [1, 2]}))


def test_long_texts_come_in_small_chunks(tmp_path: Path) -> None:
    path = table_file(tmp_path / "a.parquet", {"text": [f"{i} " * 2**19 for i in range(40)]}, use_dictionary=False)
    config = config_of("parquet", [path])
    (file,) = parquet_files(path)
    sizes = [chunk.documents["text"].nbytes for chunk in read_parquet(file, config)]  # type: ignore[arg-type]
    assert len(sizes) >= 5
    assert max(sizes) < 2**25


def test_errors_of_the_disk_are_not_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = table_file(tmp_path / "a.parquet", {"text": TEXTS})

    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(parquet.pq, "ParquetFile", fail)
    with pytest.raises(OSError, match="Input/output"):
        outcome("parquet", path)


def parquet_files(path: Path) -> list[Any]:
    from curation.sources.inputs import expand

    return expand("s", [str(path)], Path("/"))
