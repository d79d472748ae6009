"""What a run records: Parquet files that are whole at every moment, and go back to a checkpoint on resume.

steps.parquet    a row a step
sources.parquet  bits per byte of held-out text, and of training text since the last look, by source, language, bucket
experts.parquet  choices, drops and router entropy by layer, source and expert, since the last look

Rows are written with every checkpoint: the whole file anew under a temporary name, then renamed.  A run of 100,000
steps has 8 MB of them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.pipeline.errors import UsageError

STEPS = pa.schema(
    [
        ("step", pa.int64()),
        ("tokens", pa.int64()),  # seen after it
        ("loss", pa.float64()),  # nats a labelled token, without auxiliary losses
        ("nats", pa.float64()),  # sum over labelled tokens
        ("labels", pa.int64()),
        ("aux", pa.float64()),
        ("z", pa.float64()),
        ("lr", pa.float64()),
        ("batch_tokens", pa.int64()),
        ("grad_norm", pa.float64()),
        ("clipped", pa.bool_()),
        ("skipped", pa.bool_()),
        ("spike", pa.bool_()),
        ("dropped", pa.int64()),  # tokens that experts had no room for
        ("tokens_per_s", pa.float64()),
        ("mfu", pa.float64()),
    ]
)
SOURCES = pa.schema(
    [
        ("step", pa.int64()),
        ("tokens", pa.int64()),
        ("set", pa.string()),  # held_out | training
        ("kind", pa.string()),  # all | source | language | bucket
        ("name", pa.string()),
        ("nats", pa.float64()),
        ("labels", pa.int64()),
        ("bytes", pa.int64()),
        ("bits_per_byte", pa.float64()),
    ]
)
EXPERTS = pa.schema(
    [
        ("step", pa.int64()),
        ("layer", pa.int32()),
        ("source", pa.string()),
        ("expert", pa.int32()),
        ("chosen", pa.int64()),  # times that a token of the source chose it
        ("dropped", pa.int64()),  # of them, for want of room
        ("tokens", pa.int64()),  # of the source, in this layer
        ("entropy", pa.float64()),  # of the router, mean over the source's tokens, nats
    ]
)
NAMES = {"steps": STEPS, "sources": SOURCES, "experts": EXPERTS}


class Log:
    """The three tables of a run's folder."""

    def __init__(self, folder: Path, writes: bool = True) -> None:
        self.folder, self.writes = folder, writes  # of more processes only the first writes
        self.tables = {name: schema.empty_table() for name, schema in NAMES.items()}
        self._new: dict[str, list[dict[str, Any]]] = {name: [] for name in NAMES}

    def add(self, table: str, /, **row: Any) -> None:
        """One row."""
        self._new[table].append(row)

    def flush(self) -> None:
        """Everything so far on disk."""
        for name, schema in NAMES.items():
            if self._new[name]:
                fresh = pa.Table.from_pylist(self._new[name], schema)
                self.tables[name] = pa.concat_tables([self.tables[name], fresh]).combine_chunks()
                self._new[name] = []
            if self.writes:
                write_table(self.folder / f"{name}.parquet", self.tables[name])

    def go_back(self, steps: int) -> None:
        """Read what is there, and forget what came after the first `steps` steps.  Raises UsageError: damaged, gone."""
        for name, schema in NAMES.items():
            path = self.folder / f"{name}.parquet"
            try:
                table = pq.read_table(path, schema=schema)
            except (OSError, pa.ArrowException) as error:
                said = str(error).partition("\n")[0]
                raise UsageError(f"{path} is gone or damaged ({said})", "restore it, or train again") from None
            self.tables[name] = table.filter(pc.less(table["step"], steps))


def write_table(path: Path, table: pa.Table) -> None:
    """Whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    pq.write_table(table, temporary, compression="zstd")
    with open(temporary, "rb+") as handle:
        os.fsync(handle.fileno())
    os.replace(temporary, path)
