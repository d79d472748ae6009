"""The folder that the three dedup stages share: shards per rank, the tasks of a `dedup:` section, verdicts.

read/ …          one shard a rank, without texts, and what the tasks write, content-addressed as in a run
ranks/*.json     which shard a rank wrote, written last: a rank without one has not finished
clusters/        the ledger of removed documents
verdicts/        every document's key (sorted), rule and count, memory-mapped by the filter stage
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
from datatrove.data import Document

from curation.datatrove.documents import columns_of
from curation.datatrove.verdicts import COUNT
from curation.datatrove.verdicts import write as write_verdicts
from curation.dedup.step import DedupConfig, plan
from curation.pipeline.confirm import CONFIRM, require
from curation.pipeline.context import DOCUMENTS, LAYER, SLICES, overlay_slice, shard_batches
from curation.pipeline.errors import UsageError
from curation.pipeline.execute import execute, perform
from curation.pipeline.hashing import hash64
from curation.pipeline.manifest import Manifest
from curation.pipeline.plan import Plan, State, step_of
from curation.pipeline.schema import READ_SCHEMA, REMOVED_BY, TEXT
from curation.pipeline.shards import ShardWriter, sweep_stale, temporary_name, write_atomic
from curation.pipeline.step import PlanBuilder
from curation.pipeline.task import Shard, Task

VERDICTS = "verdicts"
SOURCE = "documents"  # all documents are one source: a folder is one scope
BATCH_DOCUMENTS, BATCH_CHARACTERS = 4096, 8 << 20


@dataclass(frozen=True)
class DedupFolder:
    """`dedup` holds plain values of the `dedup:` section; raises UsageError where they are wrong."""

    folder: str
    dedup: dict[str, Any]

    def __post_init__(self) -> None:
        try:
            config = self._config()
        except ValueError as error:
            raise UsageError(f"dedup: {error}") from None
        for one in (config.exact, config.minhash):
            if one is not None and one.scope != "global":
                raise UsageError("dedup: a folder is one scope", "use a folder for each source")

    @property
    def path(self) -> Path:
        """The folder."""
        return Path(self.folder).absolute()

    def _config(self) -> DedupConfig:
        return DedupConfig.model_validate_json(orjson.dumps(self.dedup))

    def add_rank(self, documents: Iterable[Document], rank: int, world_size: int) -> int:
        """Write a rank's shard and everything that each document alone decides; returns how many documents."""
        path = self.path
        path.mkdir(parents=True, exist_ok=True)
        sweep_stale(path)
        scratch = temporary_name(path / f"rank-{rank}")
        scratch.mkdir()
        try:
            # without texts for good, with texts for the tasks of this stage
            slim = ShardWriter(scratch / "slim.parquet", READ_SCHEMA, align=True)
            full = ShardWriter(scratch / "full.parquet", READ_SCHEMA, align=True)
            for batch in _batches(documents):
                full.write(batch)
                slim.write(batch.set_column(READ_SCHEMA.get_field_index(TEXT), TEXT, _no_text(batch)))
            output, texts = slim.close(), full.close()
            entry = {"rank": rank, "world_size": world_size, "digest": texts.digest, "rows": texts.rows}
            state, row_wise = self._plan([entry])
            read = state.plan.tasks[0]
            directory = path / read.step / str(state.fingerprint(read.name))
            directory.mkdir(parents=True, exist_ok=True)
            file = directory / f"{DOCUMENTS}.parquet"
            os.replace(scratch / output.file, file)
            outputs = {DOCUMENTS: replace(output, file=file.name)}
            mark = str(state.fingerprint(read.name))
            Manifest(read.name, read.step, mark, outputs, {"records": texts.rows}).write(directory)
            for name in row_wise:
                if not state.finished(name):
                    work = state.work(name)
                    inputs = {**work.inputs, read.name: {DOCUMENTS: scratch / texts.file}}
                    perform(replace(work, inputs=inputs))
            (path / "ranks").mkdir(exist_ok=True)
            write_atomic(path / "ranks" / f"{rank:05d}.json", orjson.dumps(entry))
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return texts.rows

    def decide(self, *, confirmed: bool) -> dict[str, int]:
        """Execute what is left of the plan, write verdicts and ledger; returns documents per rule."""
        state, row_wise = self._plan(self._ranks())
        for name in row_wise:
            if not state.finished(name):
                raise UsageError(
                    f"{name} is not there: the signatures were made with another `dedup` or version of curate",
                    "run DedupSignatures again with the same settings, in an empty folder",
                )
        shutil.rmtree(self.path / VERDICTS, ignore_errors=True)  # never an old answer
        for task in state.plan.tasks[len(state.plan.shards) :]:
            execute(state, task.name)
            if task.name in state.plan.facts.get(CONFIRM, {}):
                require(state, task.name, confirmed=confirmed)
        (self.path / "clusters").mkdir(exist_ok=True)
        for task in state.plan.tasks:
            if task.step != "read" and "clusters" in step_of(task).views:
                shutil.copyfile(state.output(task.name, "clusters"), self.path / "clusters" / f"{task.name}.parquet")
        return write_verdicts(self.path / VERDICTS, lambda: _verdict_batches(state))

    def _ranks(self) -> list[dict[str, Any]]:
        entries = [orjson.loads(path.read_bytes()) for path in sorted((self.path / "ranks").glob("*.json"))]
        if not entries:
            raise UsageError(f"{self.folder}: no signatures", "run DedupSignatures first")
        sizes = {entry["world_size"] for entry in entries}
        if len(sizes) > 1:
            raise UsageError(
                f"{self.folder}: signatures of runs with {' and '.join(map(str, sorted(sizes)))} tasks",
                "run DedupSignatures again in an empty folder",
            )
        missing = sorted(set(range(*sizes)) - {entry["rank"] for entry in entries})
        if missing:
            raise UsageError(f"{self.folder}: rank {missing[0]} of DedupSignatures has not finished", "finish it first")
        return entries

    def _plan(self, entries: list[dict[str, Any]]) -> tuple[State, list[str]]:
        """A plan over shards that are read already, and its tasks that need the text of one shard only."""
        builder = PlanBuilder(self.path, 0, "mtime")
        for entry in entries:
            name = f"{entry['rank']:05d}"
            builder.tasks[f"read/{name}"] = Task(f"read/{name}", "read", 1, entry, {})
            builder.shards.append(Shard(name, SOURCE, f"read/{name}"))
        reads = set(builder.tasks)
        plan(self._config(), builder)
        row_wise: list[str] = []
        for task in builder.tasks.values():
            alone = len(task.inputs.get("read", ())) == 1 and task.name.endswith(f"/{task.dependencies()[0][5:]}")
            if task.name not in reads and alone and set(task.dependencies()) <= {*reads, *row_wise}:
                row_wise.append(task.name)
        tasks, shards = tuple(builder.tasks.values()), tuple(builder.shards)
        state = State(Plan("dedup", self.path, {}, self.path, tasks, shards, builder.facts))
        return state, row_wise


def _batches(documents: Iterable[Document]) -> Iterator[pa.RecordBatch]:
    some: list[Document] = []
    characters = 0
    for one in documents:
        some.append(one)
        characters += len(one.text or "")
        if len(some) == BATCH_DOCUMENTS or characters > BATCH_CHARACTERS:
            yield _batch(some)
            some, characters = [], 0
    if some:
        yield _batch(some)


def _batch(documents: list[Document]) -> pa.RecordBatch:
    columns = columns_of(documents)
    columns["doc_key"] = pa.array([hash64(one.id) for one in documents], pa.uint64())
    columns["source"] = pa.array([SOURCE] * len(documents))
    wanted = ("id", "doc_key", TEXT, "source")
    arrays = [
        columns[field.name] if field.name in wanted else pa.nulls(len(documents), field.type) for field in READ_SCHEMA
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=READ_SCHEMA)


def _no_text(batch: pa.RecordBatch) -> pa.Array:
    return pa.nulls(batch.num_rows, pa.large_string())


def _verdict_batches(state: State) -> Iterator[pa.RecordBatch]:
    """Key, id, rule and count of every document."""
    for shard in state.plan.shards:
        parts = [
            state.output(part.task, LAYER)
            if part.slice is None
            else overlay_slice(state.output(part.task, SLICES), part.slice)
            for part in shard.parts
        ]
        for batch in shard_batches(state.output(shard.read, DOCUMENTS), parts, ["doc_key", "id", REMOVED_BY, COUNT]):
            known = COUNT in batch.schema.names
            counts = batch[COUNT] if known else pa.nulls(batch.num_rows, pa.int64())
            columns = {name: batch[name] for name in ("doc_key", "id", REMOVED_BY)}
            yield pa.RecordBatch.from_pydict(columns | {COUNT: counts.fill_null(1)})
