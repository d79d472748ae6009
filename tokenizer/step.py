"""The `tokenizer:` section: a tokenizer, trained or given, and `token_count` of every kept document.

    word_counts (a task a shard) → tokenizer (adds them, trains, exports) → token_count (a layer a shard)
                                                                          → tokenizer_evaluation (held-out documents)

Trained and evaluated on what is kept after decontamination; documents are held out by a hash of their id
(CONTRACTS, Document columns).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from curation.pipeline.context import TaskContext
from curation.pipeline.schema import REMOVED_BY, TEXT
from curation.pipeline.step import PlanBuilder, Section, Step
from curation.pipeline.task import Input

COUNTS, TOKENIZER, EVALUATION = "counts", "tokenizer", "tokenizer_evaluation"
TOKEN_COUNT = "token_count"
TOKEN_SCHEMA = pa.schema([pa.field(TOKEN_COUNT, pa.int64())])
LANGUAGE = "language"
COLUMNS = ["id", TEXT, LANGUAGE, REMOVED_BY]
MEMORY = 128 << 20  # bytes of a shard's table that are held before they are written out


def kept_documents(batches: Iterator[pa.RecordBatch], source: str) -> Iterator[pa.RecordBatch]:
    """id, text, language, domain (the source) of the documents that are still kept."""
    for batch in batches:
        kept = batch.filter(pc.is_null(batch[REMOVED_BY]))
        languages = kept[LANGUAGE] if LANGUAGE in kept.schema.names else pa.nulls(kept.num_rows, pa.string())
        domains = pa.repeat(pa.scalar(source), kept.num_rows)
        columns = [kept["id"], kept[TEXT], languages.cast(pa.string()), domains]
        yield pa.RecordBatch.from_arrays(columns, ["id", TEXT, LANGUAGE, "domain"])


def count_shard(context: TaskContext) -> None:
    """`counts/train.parquet` and `counts/dev.parquet` of a shard's kept documents."""
    from tokenizer.counting.count import count_sides
    from tokenizer.counting.splits import DEV, TRAIN, divide
    from tokenizer.splitting.patterns import pattern_of

    config = context.config
    folder = context.folder(COUNTS)
    documents = divide(
        kept_documents(context.batches(COLUMNS), config["source"]), (TRAIN, DEV), config["seed"],
        holdout=config["holdout"], dev=config["dev"],
    )  # fmt: skip
    tables = {side: folder / f"{side}.parquet" for side in (TRAIN, DEV)}
    found = count_sides(documents, tables, pattern_of(config["pattern"]), clip=config["clip"], memory=MEMORY)
    for side, info in found.items():
        context.counts[f"{side}_documents"] += info.documents
        context.counts[f"{side}_bytes"] += info.bytes


def train_tokenizer(context: TaskContext) -> None:
    """Add the shards' counts, train, export to `tokenizer/`.  A killed training goes on from its checkpoint."""
    from tokenizer.config import TrainConfig
    from tokenizer.counting.count import merge_counts
    from tokenizer.counting.splits import DEV, TRAIN
    from tokenizer.encoding.encode import open_encoder
    from tokenizer.formats.export import export
    from tokenizer.training.build import build

    config = TrainConfig.model_validate(context.config["train"])
    folder = context.folder(TOKENIZER)
    tables = {side: folder / f"{side}.parquet" for side in (TRAIN, DEV)}
    checkpoint = context.directory / "checkpoint"
    try:
        for side, target in tables.items():
            merge_counts(
                [context.path(one, COUNTS) / f"{side}.parquet" for one in context.task.inputs["counts"]], target
            )
        built = build(
            tables[TRAIN], tables[DEV], config, provenance={"seed": context.config["seed"]}, checkpoint=checkpoint
        )
    finally:
        for path in tables.values():
            path.unlink(missing_ok=True)
    export(built.vocabulary, folder)
    open_encoder(folder)  # the check of engines is remembered: else every worker would do it, all at the same time
    checkpoint.unlink(missing_ok=True)
    context.counts["vocab_size"] = built.vocabulary.vocab_size
    if built.training.warning:
        context.warnings.append(f"tokenizer: {built.training.warning}")


def copy_tokenizer(context: TaskContext) -> None:
    """A given tokenizer's files as `tokenizer/`, checked as for encoding."""
    import shutil

    from tokenizer.encoding.encode import open_encoder
    from tokenizer.encoding.source import open_tokenizer
    from tokenizer.formats.tokenizer_json import TOKENIZER_JSON

    folder = context.folder(TOKENIZER)
    for file in context.task.files:
        shutil.copyfile(file["path"], folder / file["name"])
    open_encoder(folder)  # as in `train_tokenizer`
    opened = open_tokenizer(folder / TOKENIZER_JSON)
    context.counts["vocab_size"] = opened.source.vocabulary.vocab_size if opened.source.vocabulary else 0


def count_tokens(context: TaskContext) -> None:
    """Layer: tokens of every kept document, without special tokens."""
    from tokenizer.encoding.encode import open_encoder

    encoder = open_encoder(context.path(context.task.inputs["also"][0], TOKENIZER))
    writer = context.writer(
        "layer", TOKEN_SCHEMA.with_metadata({b"curate.tokenizer": encoder.hash.encode()}), align=True
    )
    for batch in context.batches([TEXT, REMOVED_BY]):
        kept = pc.is_null(batch[REMOVED_BY])
        texts = pc.if_else(kept, batch[TEXT], pa.scalar(None, batch[TEXT].type))
        counts = pa.array(encoder.token_counts(texts), mask=~kept.to_numpy(zero_copy_only=False))
        writer.write(pa.RecordBatch.from_arrays([counts], schema=writer.schema))
        context.counts["tokens"] += pc.sum(counts).as_py() or 0


def evaluate_tokenizer(context: TaskContext) -> None:
    """`tokenizer_evaluation/`: evaluation.json and evaluation.html on the held-out documents, without speeds."""
    from tokenizer.counting.splits import HOLDOUT, only
    from tokenizer.evaluation.evaluate import evaluate
    from tokenizer.evaluation.files import open_subject, write

    config = context.config
    folder = context.folder(EVALUATION)
    subject = replace(open_subject(context.path(context.task.inputs["also"][0], TOKENIZER)), name=config["name"])

    def documents() -> Iterator[pa.RecordBatch]:
        for _, _, source, batches in context.all_shards(COLUMNS):
            kept = kept_documents(batches, source)
            yield from only(kept, HOLDOUT, config["seed"], holdout=config["holdout"])

    if next(documents(), None) is None:
        context.warnings.append("tokenizer: no document is held out, so it is not evaluated (tokenizer.train.holdout)")
        return
    made = evaluate(subject, documents(), seed=config["seed"])
    write(replace(made, measured={}), folder)  # speeds differ from run to run


def plan(config: Any, builder: PlanBuilder) -> None:
    """Count and train, or copy; then count the tokens of every shard."""
    builder.add_columns(TOKEN_SCHEMA)
    if not builder.shards:
        return
    task = _train(config.train, builder) if config.train else _given(config.path, builder)
    if config.train and config.evaluate and config.train.holdout:
        values = {"seed": builder.seed, "holdout": config.train.holdout, "name": "this run's"}
        builder.add_reader(EVALUATE, EVALUATE.name, values, also=[task])
    verdicts = {shard.name: shard.deciding() for shard in builder.shards}
    builder.add_layer(TOKENS, lambda shard: {}, also=verdicts, beside=[task])


def _train(config: Any, builder: PlanBuilder) -> str:
    counted = {**config.model_dump(mode="json", include={"pattern", "clip", "holdout", "dev"}), "seed": builder.seed}
    counts = [
        builder.add(
            COUNT,
            f"{COUNT.name}/{shard.name}",
            {**counted, "source": shard.source},
            inputs=shard.inputs(shard.deciding()),
        )
        for shard in builder.shards
    ]
    inputs = {"counts": tuple(Input(one) for one in counts)}
    return builder.add(
        TRAIN, TRAIN.name, {"train": config.model_dump(mode="json"), "seed": builder.seed}, inputs=inputs
    )


def _given(text: str, builder: PlanBuilder) -> str:
    from tokenizer.encoding.source import open_tokenizer, tokenizer_file
    from tokenizer.formats.manifest import MANIFEST, is_tokenizer_directory, read_manifest
    from tokenizer.formats.tokenizer_json import TOKENIZER_JSON

    path = builder.base / text
    opened = open_tokenizer(path)
    file = tokenizer_file(path)
    names = {TOKENIZER_JSON: file}
    if is_tokenizer_directory(file.parent):
        names = {name: file.parent / name for name in (MANIFEST, *read_manifest(file.parent)["files"])}
    files = [_file(name, found) for name, found in sorted(names.items())]
    return builder.add(GIVEN, GIVEN.name, {"tokenizer": opened.hash}, files=files)


def _file(name: str, path: Path) -> dict[str, Any]:
    return {"name": name, "path": str(path.absolute()), "digest": xxhash.xxh3_128_hexdigest(path.read_bytes())}


def _count_versions(config: Any) -> Mapping[str, str]:
    from tokenizer.splitting.patterns import UNICODE_TABLE_VERSION

    return {"unicode": UNICODE_TABLE_VERSION}


def _config() -> Any:
    from tokenizer.config import TokenizerConfig

    return TokenizerConfig


COUNT = Step("word_counts", 1, count_shard, _count_versions)
TRAIN = Step("tokenizer", 1, train_tokenizer, _count_versions, views=(TOKENIZER,))
GIVEN = Step("tokenizer_given", 1, copy_tokenizer, views=(TOKENIZER,))
TOKENS = Step(TOKEN_COUNT, 1, count_tokens)
EVALUATE = Step(EVALUATION, 1, evaluate_tokenizer, views=(EVALUATION,))

SECTION = Section(
    "tokenizer",
    "quality",
    plan,
    (COUNT, TRAIN, GIVEN, TOKENS, EVALUATE),
    _config,
    "byte-level BPE and token counts",
)
