"""What a step sees while it executes one task: its inputs, its writers, its counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.pipeline.errors import StrictStop
from curation.pipeline.folders import FolderWriter
from curation.pipeline.schema import EDITS, REMOVED_BY, REMOVED_DETAIL, TEXT
from curation.pipeline.shards import Output, ShardWriter, row_groups
from curation.pipeline.task import Input, Task

DOCUMENTS = "documents"  # output of a read task and of the last step
LAYER = "layer"  # output of a row-wise step
SLICES = "slices"  # output of a global step: rows of all shards, sorted by shard and row
SHARD_COLUMNS = ("shard", "row")


class TaskContext:
    """Handed to `Step.run`.  Everything a step writes goes through here, so it is atomic."""

    def __init__(
        self,
        task: Task,
        directory: Path,
        output: Callable[[str, str], Path],
        *,
        public: frozenset[str] = frozenset(),
        strict: bool = False,
        advance: Callable[[int], None] = lambda n: None,
    ) -> None:
        self.task, self.directory = task, directory
        self._output = output  # (task, output name) -> path of a finished task's file
        self._public = public  # outputs that others may read
        self._strict = strict
        self.config: Any = task.config
        self.counts: Counter[str] = Counter()
        self.slices: dict[str, str] = {}
        self.warnings: list[str] = []  # lines that the run's summary tells a person
        self.advance = advance  # call with the number of input bytes just done
        self._writers: dict[str, ShardWriter | FolderWriter] = {}

    def writer(self, name: str, schema: pa.Schema, *, align: bool = False) -> ShardWriter:
        """A new output file `<name>.parquet` of this task."""
        path = self.directory / f"{name}.parquet"
        writer = ShardWriter(path, schema, align=align, private=name not in self._public)
        self._writers[name] = writer
        return writer

    def folder(self, name: str) -> Path:
        """A new output folder `<name>/` of this task, to be filled before the task ends."""
        writer = FolderWriter(self.directory / name)
        self._writers[name] = writer
        return writer.filling

    def quarantined(self, rows: int) -> None:
        """Count quarantined records; under `--strict` the first one stops the run."""
        self.counts["quarantined"] += rows
        if rows and self._strict:
            raise StrictStop(f"{self.task.name}: --strict: {rows} damaged record(s) would be quarantined")

    def path(self, one: Input, file: str) -> Path:
        """An output file of a task that this one reads."""
        return self._output(one.task, file)

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The task's shard as it stands, row group by row group (see `shard_batches`)."""
        parts = [
            self.path(one, LAYER) if one.slice is None else overlay_slice(self.path(one, SLICES), one.slice)
            for one in self.task.inputs.get("parts", ())
        ]
        return shard_batches(self.path(self.task.inputs["read"][0], DOCUMENTS), parts, columns)

    def all_shards(self, columns: list[str]) -> Iterator[tuple[int, str, str, Iterator[pa.RecordBatch]]]:
        """For a global step: (number, name, source, batches) of every shard, in config order."""
        for number, (name, source, read, parts) in enumerate(self.config["shards"]):
            found: list[Path | pa.Table] = []
            for task, is_slice in parts:
                if not is_slice:
                    found.append(self.path(Input(task), LAYER))
                elif pq.read_metadata(path := self.path(Input(task), SLICES)).num_rows:
                    found.append(overlay_slice(path, name))
            yield number, name, source, shard_batches(self.path(Input(read), DOCUMENTS), found, columns)

    def close(self) -> dict[str, Output]:
        """Finish every output."""
        return {name: writer.close() for name, writer in self._writers.items()}

    def discard(self) -> None:
        """Drop every output (the task failed)."""
        for writer in self._writers.values():
            writer.discard()


def shard_batches(
    read: Path, parts: Sequence[Path | pa.Table], columns: list[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """A shard as read with its parts laid over it in order, one row group at a time.

    A part is a layer's file, row-aligned with the shard, or a slice's table (`overlay_slice`).
    `columns=None` gives every column.  See `merge` for what counts where parts meet.
    """
    start = 0
    layers = [_selected(part, columns) if isinstance(part, Path) else None for part in parts]
    for group in _selected(read, columns):
        batch = dict(zip(group.schema.names, group.columns, strict=True))
        for part, layer in zip(parts, layers, strict=True):
            if layer is None:
                spread = _spread(part, start, group.num_rows)
                merge(batch, {name: column for name, column in spread.items() if columns is None or name in columns})
            else:
                rows = next(layer, None)
                if rows is None or rows.num_rows != group.num_rows:
                    raise ValueError(f"{part} is not aligned with {read}")
                merge(batch, dict(zip(rows.schema.names, rows.columns, strict=True)))
        start += group.num_rows
        yield pa.RecordBatch.from_pydict(batch)


def merge(batch: dict[str, pa.Array], new: dict[str, pa.Array]) -> None:
    """Lay new columns over a batch in place: the first remover stays, other values are replaced.

    A removed document keeps the text that its rule saw: later edits do not reach it.
    """
    removed = pc.is_valid(batch[REMOVED_BY]) if REMOVED_BY in batch else None
    for name, column in new.items():
        latest = pc.coalesce(column, batch[name]) if name in batch else column
        if name in _SETTLED and removed is not None:
            latest = pc.if_else(removed, batch.get(name, pa.scalar(None, column.type)), latest)
        batch[name] = latest


_SETTLED = (REMOVED_BY, REMOVED_DETAIL, TEXT, EDITS)  # what a removed document's later steps no longer change


def overlay_slice(path: Path, shard: str) -> pa.Table:
    """One shard's rows of a global step's output, sorted by row."""
    return pq.read_table(path, filters=[("shard", "=", shard)], use_threads=False)


def _spread(overlay: pa.Table, start: int, rows: int) -> dict[str, pa.Array]:
    """An overlay's sparse rows as full columns for the rows `start … start+rows`, null elsewhere."""
    positions = overlay["row"].to_numpy()
    first, last = positions.searchsorted([start, start + rows])
    index = pa.array([None] * rows, pa.int64()) if first == last else None
    part = overlay.slice(first, last - first)
    if index is None:
        slots = dict(zip((positions[first:last] - start).tolist(), range(last - first), strict=True))
        index = pa.array([slots.get(i) for i in range(rows)], pa.int64())
    return {
        name: part[name].combine_chunks().take(index) if len(part) else pa.nulls(rows, part.schema.field(name).type)
        for name in part.schema.names
        if name not in SHARD_COLUMNS
    }


def _selected(path: Path, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
    """Row groups with the wanted columns that the file has; one column at least, for the row count."""
    names = pq.read_schema(path).names
    wanted = None if columns is None else [name for name in columns if name in names]
    for group in row_groups(path, columns=wanted or names[:1] if wanted is not None else None):
        yield group if wanted is None else group.select(wanted)
