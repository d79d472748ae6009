"""Promises of export: the real libraries read every row; each is skipped where it is not installed.

All of them in one go, each in its own environment: benchmarks/pack_readers.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from packing.export import FORMATS, export
from packing.verify.readers import READERS, installed, read_back
from tests.packing.directories import write_directory
from tests.packing.export.test_formats import VOCAB, L, documents


def test_every_format_has_a_reader() -> None:
    assert set(READERS) == set(FORMATS)


@pytest.mark.parametrize("to", FORMATS)
def test_every_row_is_equal(to: str, tmp_path: Path) -> None:
    if not installed(to):
        pytest.skip(f"{READERS[to][0]} is not installed")
    if to == "datatrove":
        pytest.importorskip("torch")
    plan = None if to in ("megatron", "datatrove", "olmo") else [[0, 0, 1, 0], [1, 1, 0, 0, 0]]
    write_directory(tmp_path / "shards", documents(), sequence_length=L, vocab_rows=VOCAB, schedules=plan)
    result = read_back(tmp_path / "shards", to, export(tmp_path / "shards", to, tmp_path / "out").path)
    assert result.whole and result.rows > 5, result
