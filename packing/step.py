"""The `pack:` section: the kept documents as packed rows, in `shards/`.

    pack_units (a task a shard: ids, checked) → pack (one task: plan, order, rows, ledger) → export (a task a format)

The units do not depend on how they are packed: another sequence length, other weights only pack anew.  Stages with
rows of other lengths are sets of their own, `shards-2/` …, packed one after another from the same units.  Documents
occur as a mix table says: of the folder `pack.mix`, or of the run's own task `mix`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash
from pydantic import ValidationError

from curation.pipeline.context import TaskContext
from curation.pipeline.errors import ConservationError, UsageError
from curation.pipeline.shards import row_groups, temporary_name
from curation.pipeline.step import PlanBuilder, Section, Step
from curation.pipeline.task import Input
from tokenizer.step import GIVEN, TOKEN_COUNT, TOKENIZER
from tokenizer.step import TRAIN as TRAINED

SHARDS, UNITS = "shards", "units"
SETS = (SHARDS, f"{SHARDS}-2", f"{SHARDS}-3", f"{SHARDS}-4")  # folders of rows of one length, in order of training
MIX = "mix"  # a task of the run that makes a mix table, and its output folder
STAGES = "stages"  # fact of the plan: the stages that the run's mix is for
COLUMNS = ["id", "doc_key", "text", "source", "language", "category", "bucket", TOKEN_COUNT]
POOR = 0.01  # share of padding in a queue that is told
MIX_FILES = 1 << 20  # bytes that are read at once to identify a mix table


def encode_documents(context: TaskContext) -> None:
    """`units/`: the shard's kept documents as ids; their number must be the stored `token_count`."""
    from packing.write.encoded import encoded
    from packing.write.unit import write_units
    from tokenizer.encoding.encode import open_encoder

    tokenizer = _tokenizer(context)
    tokens, encoder = _token_ids(context.config, tokenizer), open_encoder(tokenizer)
    counted = _Counted()
    batches = counted.seen(row_groups(context.path(context.task.inputs["documents"][0], "documents")))
    checked = counted.checked(encoded(batches, encoder))
    for unit in write_units(checked, context.folder(UNITS), tokens, _occurrences(context)):
        context.counts["documents"] += unit.documents
        context.counts["tokens"] += unit.tokens


class _Counted:
    """Compares the ids of each batch with the counts that its documents carry."""

    def seen(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            self.last = batch
            yield batch.select([name for name in COLUMNS if name in batch.schema.names])

    def checked(self, some: Iterator[Any]) -> Iterator[Any]:
        for one in some:
            differs = np.flatnonzero(self.last.column(TOKEN_COUNT).to_numpy(zero_copy_only=False) != one.counts)
            if len(differs):
                name = self.last.column("id")[int(differs[0])].as_py()
                raise ConservationError(
                    f"document {name!r} gives {one.counts[differs[0]]:,} ids, but its {TOKEN_COUNT} says otherwise"
                )
            yield one


def pack(context: TaskContext) -> None:
    """`shards/`: the finished directory of one set of rows."""
    from packing.config import PackConfig
    from packing.write.pack import pack_units
    from packing.write.unit import unit_paths

    config, number = PackConfig.model_validate(context.config["pack"]), context.config["set"]
    tokens = _token_ids(context.config, _tokenizer(context))
    paths = [path for one in context.task.inputs["units"] for path in unit_paths(context.path(one, UNITS))]
    scratch = temporary_name(context.directory / "plans")  # swept like any temporary file when its process is gone
    try:
        made = pack_units(
            paths,
            context.folder(SETS[number]),
            scratch,
            config.sets(context.config["seed"])[number],
            tokens,
            mix=_mix(context),
            before=[context.path(one, SETS[i]) for i, one in enumerate(context.task.inputs.get("before", ()))],
            removed=[context.path(one, "removed") for one in context.task.inputs.get("documents", ())],
        )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    context.counts["rows"] += sum(queue.rows for queue in made.queues)
    context.counts["tokens"] += sum(queue.tokens for queue in made.queues)
    for queue in made.queues:
        padding = 1 - queue.tokens / (queue.rows * made.sequence_length)
        if padding > POOR and queue.rows > 1:
            context.warnings.append(
                f"{context.task.name}: {padding:.1%} of the rows of {queue.name!r} is padding: put it "
                "into one queue with a source of shorter documents (pack.queues)"
            )
    left = made.ledger["rows"]["packed"] - made.ledger["rows"]["scheduled"]
    if left:
        context.warnings.append(f"{context.task.name}: {left:,} packed rows are in no stage (their weights need fewer)")


def export_rows(context: TaskContext) -> None:
    """`shards-<format>/`: the rows as another trainer reads them."""
    from packing.export.registry import export

    to, rows = context.config["format"], SETS[context.config["set"]]
    name = f"{rows}-{to}"
    folder = context.folder(name)
    folder.rmdir()  # an export makes its own, whole or not at all
    made = export(context.path(context.task.inputs["also"][0], rows), to, folder)
    context.counts["rows"] += made.rows


def plan(config: Any, builder: PlanBuilder) -> None:
    """Encode each shard's documents, pack them together, export the rows."""
    tokenizer = next((name for name in (TRAINED.name, GIVEN.name) if name in builder.tasks), None)
    if tokenizer is None and builder.shards:
        raise UsageError(
            "pack: there is no tokenizer", "add the section  tokenizer: {path: tokenizer.json}  or  {train: {}}"
        )
    if tokenizer is None:
        return
    config = _with_stages_of_mix(config, builder)
    also = (Input(tokenizer),)
    encoding = config.model_dump(include={"eos_token", "pad_token", "bos_token", "queues"})
    encoding |= {"seed": builder.seed, "with_bos": config.bos != "none"}
    files = _mix_identity(builder.base / config.mix) if config.mix else ()
    mixed: dict[str, tuple[Input, ...]] = {}
    if MIX in builder.tasks:
        _check_mix(config)
        mixed = {MIX: (Input(MIX),)}
    documents = [shard.final for shard in builder.shards if shard.final]
    names = [shard.name for shard in builder.shards if shard.final]
    units = [
        builder.add(
            ENCODE,
            f"{ENCODE.name}/{name}",
            encoding,
            inputs={"documents": (Input(final),), "also": also, **mixed},
            files=files,
        )
        for name, final in zip(names, documents, strict=True)
    ]
    inputs = {"units": tuple(Input(one) for one in units), "also": also, **mixed}
    if files or mixed:  # to name a document that the mix lists and the run removed
        inputs["documents"] = tuple(Input(one) for one in documents)
    how = config.model_dump(mode="json", exclude={"export", "mix"})
    packed: list[str] = []
    for number in range(len(config.sets(builder.seed))):
        before = {"before": tuple(Input(one) for one in packed)} if packed else {}
        step = PACKS[number]
        packed.append(
            builder.add(
                step, step.name, {**encoding, "pack": how, "set": number}, inputs={**inputs, **before}, files=files
            )
        )
        for to in config.export:
            one = EXPORTS[number, to]
            builder.add(one, one.name, {"format": to, "set": number}, inputs={"also": (Input(packed[-1]),)})


def _with_stages_of_mix(config: Any, builder: PlanBuilder) -> Any:
    """The section with the stages that the run's mix names, in the words of `pack.stages`."""
    stages = builder.facts.get(STAGES)
    if stages is None:
        return config
    if config.stages or config.weights or config.tokens:
        raise UsageError("pack: the run's mix has stages", "leave out pack.stages, pack.weights and pack.tokens")
    try:
        return type(config).model_validate({**config.model_dump(exclude_unset=True), "stages": stages})
    except ValidationError as error:
        told = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UsageError(f"mix.stages: pack cannot pack them: {told}") from None


def _check_mix(config: Any) -> None:
    """The run makes a mix table itself."""
    if config.mix:
        raise UsageError(
            "pack: the run has a `mix:` section, and pack.mix names another table", "leave out one of them"
        )
    if config.queues != "source":
        raise UsageError("pack: the run's mix has queues of its own", "leave out pack.queues")
    if config.method in ("bfd", "crop"):
        raise UsageError(f"pack: {config.method} does not keep the order of the run's mix", "use method: windowed")


def _tokenizer(context: TaskContext) -> Path:
    return context.path(context.task.inputs["also"][0], TOKENIZER)


def _token_ids(config: Any, tokenizer: Path) -> Any:
    from packing.write.token_ids import token_ids

    names = {key: config[f"{key}_token"] for key in ("eos", "pad", "bos")}
    return token_ids(tokenizer, **names, with_bos=config["with_bos"])


def _mix(context: TaskContext) -> Path | None:
    """The folder of the mix table."""
    if MIX in context.task.inputs:
        return context.path(context.task.inputs[MIX][0], MIX)
    return Path(context.task.files[0]["path"]).parent if context.task.files else None


def _occurrences(context: TaskContext) -> Any:
    from packing.write.occurrences import as_mixed, each_once

    mix = _mix(context)
    return each_once(context.config["seed"], context.config["queues"]) if mix is None else as_mixed(mix)


def _mix_identity(folder: Path) -> tuple[dict[str, Any], ...]:
    """The mix table's files by name and content."""
    from packing.write.occurrences import MIX_PLAN, mix_files

    found = [*mix_files(folder), folder / MIX_PLAN]
    return tuple(
        {"name": one.name, "path": str(one.absolute()), "digest": _digest(one)} for one in found if one.is_file()
    )


def _digest(path: Path) -> str:
    digest = xxhash.xxh3_128()
    with open(path, "rb") as file:
        while chunk := file.read(MIX_FILES):
            digest.update(chunk)
    return digest.hexdigest()


def _config() -> Any:
    from packing.config import PackConfig

    return PackConfig


ENCODE = Step("pack_units", 2, encode_documents)
PACKS = [Step("pack" if not i else f"pack_{i + 1}", 2, pack, views=(name,)) for i, name in enumerate(SETS)]
FORMATS = ("megatron", "datatrove", "olmo", "mds", "litdata", "arrow", "parquet")  # of packing.export
EXPORTS = {
    (i, to): Step(f"{PACKS[i].name}_export_{to}", 2, export_rows, views=(f"{name}-{to}",))
    for i, name in enumerate(SETS)
    for to in FORMATS
}

SECTION = Section("pack", "mix", plan, (ENCODE, *PACKS, *EXPORTS.values()), _config, "packed training rows")
