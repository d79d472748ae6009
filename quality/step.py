"""The `quality:` section: tags of every kept document, and where it stands among all.

    quality_labeler → tag (a layer a shard) → rank (barrier: percentiles, mix_score, bucket)

`quality.tagging.catalog` adds the view `tags` once all columns are there.

Token counts do not exist yet at this place of the order (CONTRACTS), so documents weigh by their UTF-8 bytes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from curation.pipeline.barrier import SliceWriter
from curation.pipeline.context import LAYER, TaskContext
from curation.pipeline.errors import CurateError
from curation.pipeline.hashing import Purpose, derive_seed
from curation.pipeline.registry import door
from curation.pipeline.schema import REMOVED_BY, TEXT
from curation.pipeline.step import PlanBuilder, Section, Step
from quality.tagging.chunks import VERSION
from quality.tagging.gates import broken, check_card
from quality.tagging.labeler import GROUP, Labeler, open_labeler
from quality.tagging.rank import RANK_SCHEMA, READS, Scored, ranking, scored, summary
from quality.tagging.tag import DRAW_SCHEMA, TAG_SCHEMA, Chunking, draws, tag

LABELER, SUMMARY = "quality_labeler", "quality"
LABELER_FILE, SUMMARY_FILE, MODEL = "labeler.json", "summary.json", "model"
LAYER_SCHEMA = pa.schema([*TAG_SCHEMA, *DRAW_SCHEMA])
SLICE_SCHEMA = pa.schema(
    [pa.field("shard", pa.string(), nullable=False), pa.field("row", pa.int64(), nullable=False), *RANK_SCHEMA]
)


def keep_labeler(context: TaskContext) -> None:
    """`quality_labeler/`: the labeler's hash and card, and its files where it is a folder."""
    folder = context.folder(LABELER)
    spec = {key: context.config[key] for key in ("hash", "categories")}
    if context.task.files:
        (folder / MODEL).mkdir()
        for file in context.task.files:
            shutil.copyfile(file["path"], folder / MODEL / file["name"])
    else:
        spec["spec"] = context.config["spec"]
    card = open_labeler(spec.get("spec") or str(folder / MODEL)).card
    (folder / LABELER_FILE).write_bytes(orjson.dumps({**spec, "card": card}, option=orjson.OPT_SORT_KEYS))


@lru_cache(maxsize=2)
def _opened(folder: Path) -> Labeler:
    """The labeler of a run, once a process; CurateError where it is not the planned one."""
    kept = orjson.loads((folder / LABELER_FILE).read_bytes())
    labeler = open_labeler(kept["spec"] if "spec" in kept else str(folder / MODEL))
    if labeler.hash != kept["hash"]:
        raise CurateError(f"the labeler {kept.get('spec')!r} is another one here than where the run was planned",
                          "install the same version everywhere")  # fmt: skip
    return labeler


def tag_documents(context: TaskContext) -> None:
    """Layer: tags, priorities and split of every kept document; null for removed ones."""
    config = context.config
    labeler = _opened(context.path(context.task.inputs["also"][0], LABELER))
    writer = context.writer(LAYER, LAYER_SCHEMA, align=True)
    for batch in context.batches(["id", TEXT, REMOVED_BY]):
        kept = pc.and_(pc.is_null(batch[REMOVED_BY]), pc.is_valid(batch[TEXT]))
        some = batch.filter(kept)
        tags = tag(labeler, some[TEXT], Chunking(**config["chunk"]))
        drawn = draws(some["id"], some[TEXT], seed=config["seed"], holdout=config["holdout"])
        places = pc.if_else(kept, pc.subtract(pc.cumulative_sum(kept.cast(pa.int64())), 1), pa.scalar(None, pa.int64()))
        rows = pa.RecordBatch.from_arrays([*tags.columns, *drawn.columns], schema=LAYER_SCHEMA)
        writer.write(rows.take(places))
        context.counts["documents"] += rows.num_rows
        context.counts["low_confidence"] += pc.sum(rows["low_confidence"]).as_py() or 0


def rank_documents(context: TaskContext) -> None:
    """Barrier: percentiles, mix_score and bucket of every tagged document; `quality/summary.json`."""
    config = context.config
    categories = pa.array(config["categories"], pa.string())

    def passes() -> Iterator[Scored]:
        for _, _, _, batches in context.all_shards([*READS, REMOVED_BY]):
            for batch in batches:
                yield scored(batch.filter(_tagged(batch)), categories)

    made = ranking(passes, len(categories), r=config["r"], seed=derive_seed(config["seed"], Purpose.BUCKET))
    slices = SliceWriter(context, SLICE_SCHEMA)
    for _, name, _, batches in context.all_shards([*READS, REMOVED_BY]):
        start = 0
        for batch in batches:
            mine = _tagged(batch)
            ranks = made.columns(scored(batch.filter(mine), categories))
            at = pc.add(pc.indices_nonzero(mine).cast(pa.int64()), start)
            shard = pa.repeat(pa.scalar(name), len(at))
            slices.write(pa.Table.from_arrays([shard, at, *ranks.columns], schema=SLICE_SCHEMA))
            start += batch.num_rows
    slices.close()
    context.warnings += [f"quality: {line}" for line in made.warnings()]
    context.counts["documents"] += made.documents
    (context.folder(SUMMARY) / SUMMARY_FILE).write_bytes(orjson.dumps(summary(made, config["labeler"])))
    if faults := broken(made.spread, **config["gates"]):
        raise CurateError("quality.gates: " + "; ".join(faults), "look at the sources' scores, or change the gate")


def _tagged(batch: pa.RecordBatch) -> pa.Array:
    return pc.and_(pc.is_null(batch[REMOVED_BY]), pc.is_valid(batch["category"]))


def plan(config: Any, builder: PlanBuilder) -> None:
    """Keep the labeler, tag every shard, rank all."""
    labeler = open_labeler(config.model, builder.base)
    check_card(labeler, config.gates.min_within_category)
    builder.add_columns(LAYER_SCHEMA)
    builder.add_columns(RANK_SCHEMA)
    if not builder.shards:
        return
    described = {"hash": labeler.hash, "categories": list(labeler.categories)}
    files = model_files(config.model, builder.base)
    kept = builder.add(KEEP, KEEP.name, described if files else {**described, "spec": config.model}, files=files)
    verdicts = {shard.name: [part.task for part in shard.parts] for shard in builder.shards}
    tagging = {
        "chunk": config.chunk.model_dump(mode="json"), "holdout": config.holdout, "seed": builder.seed,
    }  # fmt: skip
    builder.add_layer(TAG, lambda shard: tagging, also=verdicts, beside=[kept], describes=True)
    ranked = {
        "r": config.r, "seed": builder.seed, "categories": list(labeler.categories),
        "gates": config.gates.model_dump(mode="json"),
        "labeler": {"name": config.model, "hash": labeler.hash},
    }  # fmt: skip
    builder.add_global(RANK, ranked, describes=True)


def model_files(spec: str, base: Path) -> tuple[dict[str, Any], ...]:
    """The files of a model that is a folder, by name and content; none for a door."""
    folder = base / spec
    if spec.partition(":")[0] in door(GROUP) or not folder.is_dir():
        return ()
    return tuple(
        {"name": one.name, "path": str(one.absolute()), "digest": xxhash.xxh3_128_hexdigest(one.read_bytes())}
        for one in sorted(folder.iterdir())
        if one.is_file()
    )


def _config() -> Any:
    from quality.config import QualityConfig

    return QualityConfig


def _versions(config: Any) -> Mapping[str, str]:
    return {"chunks": str(VERSION)}


KEEP = Step(LABELER, 1, keep_labeler, views=(LABELER,))
TAG = Step("tag", 1, tag_documents, _versions)
RANK = Step("rank", 1, rank_documents, reads_text=False, views=(SUMMARY,))

SECTION = Section(
    "quality", "decontaminate", plan, (KEEP, TAG, RANK), _config, "tags: knowledge depth, practicality, category"
)
