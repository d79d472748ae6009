"""The `sources:` section: one read task per input file (small files of a tree in groups)."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import StringConstraints, TypeAdapter

from curation.pipeline.context import DOCUMENTS, TaskContext
from curation.pipeline.errors import TaskFailed, UsageError
from curation.pipeline.schema import QUARANTINE_SCHEMA, READ_SCHEMA
from curation.pipeline.step import PlanBuilder, Section, Step
from curation.pipeline.task import Json, Shard
from curation.sources.config import SourceConfig
from curation.sources.files import group
from curation.sources.inputs import InputFile, content_digest, expand, is_url
from curation.sources.read import TREE_KINDS, check, read, versions

SourceName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
_CONFIG: TypeAdapter[SourceConfig] = TypeAdapter(SourceConfig)


def plan(sources: dict[str, SourceConfig], builder: PlanBuilder) -> None:
    """Expand every source's paths; raises UsageError for missing files and missing extras."""
    if not sources:
        raise UsageError("sources: there is no source", "add one, e.g. web: {read: warc, paths: [crawl/*.warc.gz]}")
    for source, config in sources.items():
        missing = check(config)
        if missing is not None:
            raise UsageError(f"sources.{source}: {missing}")
        files = expand(source, config.paths, builder.base)
        if builder.verify_inputs == "digest":
            files = [replace(file, version=content_digest(file)) for file in files]
        plain = config.model_dump(mode="json", exclude={"paths"})
        groups = group(files) if config.read in TREE_KINDS else [(file,) for file in files]
        for some in groups:
            name = f"{source}/{some[0].name}" + (f"+{len(some) - 1}" if len(some) > 1 else "")
            task = builder.add(
                READ,
                f"read/{name}",
                {"source": source, "config": plain},
                files=tuple(asdict(file) for file in some),
                input_bytes=sum(file.size for file in some),
            )
            builder.shards.append(Shard(name, source, task))


def _config_of(config: Json) -> SourceConfig:
    return _CONFIG.validate_python({**config["config"], "paths": ["-"]}, strict=False)


def run_read(context: TaskContext) -> None:
    """Records to rows: documents (some already removed, e.g. a 404) and quarantine."""
    documents = context.writer(DOCUMENTS, READ_SCHEMA)
    quarantine = context.writer("quarantine", QUARANTINE_SCHEMA)
    files = [InputFile(**file) for file in context.task.files]
    context.counts.update(records=0, input_bytes=0)
    seen = [_state(file) for file in files]
    for file, state in zip(files, seen, strict=True):
        _check_planned(file, state)
    for chunk in read(files, _config_of(context.config)):
        documents.write(chunk.documents)
        quarantine.write(chunk.quarantine)
        context.counts["records"] += chunk.records
        context.counts["input_bytes"] += chunk.input_bytes
        for reason in chunk.quarantine["reason"].to_pylist():
            context.counts[f"quarantine.{reason}"] += 1
        context.quarantined(chunk.quarantine.num_rows)
        context.advance(chunk.input_bytes)
    for file, state in zip(files, seen, strict=True):
        if _state(file) != state:
            raise TaskFailed(f"{file.path} changed while it was read", "run the same command again")


def _state(file: InputFile) -> tuple[int, str] | None:
    """(size, modification time in ns) of a local file now; None for URLs."""
    if is_url(file.path):
        return None
    stat = Path(file.path).stat()
    return stat.st_size, str(stat.st_mtime_ns)


def _check_planned(file: InputFile, state: tuple[int, str] | None) -> None:
    """A file that was replaced since the plan would be filed under the old one's fingerprint."""
    if state is None or state == (file.size, file.version):
        return
    if state[0] != file.size or content_digest(file) != file.version:  # versions are digests on demand
        raise TaskFailed(f"{file.path} is not the file that was planned", "run the same command again")


READ = Step("read", 2, run_read, lambda config: versions(_config_of(config)), views=("quarantine",))


def _config() -> Any:
    return dict[SourceName, SourceConfig]


SECTION = Section("sources", None, plan, (READ,), _config, "where documents come from")
