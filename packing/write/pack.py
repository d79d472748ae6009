"""Second pass: units → a whole shard directory.  Plan every row from lengths, check the order, then write shards.

plan     each queue's occurrences in order → rows → a plan file for each shard, and the schedule
write    each shard from its plan, independently of the others
commit   ledger against what is read back, documents, manifest last
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import fingerprint
from curation.pipeline.shards import sync_directory, write_atomic
from packing.layout import files
from packing.layout.manifest import FileDigest, Manifest, QueueInfo, ShardInfo
from packing.order.stages import length_class as length_classes
from packing.write.compared import BucketPlanner, ConcatPlanner, CropPlanner
from packing.write.finish import write_documents
from packing.write.going_on import go_on_at
from packing.write.keys import fragment_keys
from packing.write.ledger import Expected, Found, ledger_of, settle
from packing.write.merge import merged
from packing.write.occurrences import mix_rows
from packing.write.rows import PLANNED, RowPlanner
from packing.write.rules import Rules
from packing.write.shard import write_shard
from packing.write.stages import QueueRows, Scheduled, knots, schedule, write_orders
from packing.write.strangers import strangers
from packing.write.token_ids import TokenIds
from packing.write.unit import SUM, Unit, open_unit

MOST_SOURCES = 65_535


@dataclass(frozen=True)
class ShardJob:
    """A shard to be written: everything a process needs but the tokenizer and the units."""

    name: str
    queue: int
    sequence_length: int
    plan: Path
    directory: Path
    units: tuple[Path, ...]
    done: Path  # ShardInfo as JSON, written last


@dataclass(frozen=True)
class Planned:
    """What planning found out; the rows themselves are in the plan files."""

    queues: list[QueueRows]
    jobs: list[ShardJob]
    expected: Expected
    displacement: int


RunJobs = Callable[[Sequence[ShardJob], TokenIds], Iterable[ShardInfo]]


def one_by_one(jobs: Sequence[ShardJob], tokens: TokenIds) -> Iterator[ShardInfo]:
    """Write the shards in this process."""
    return (write_job(job, tokens) for job in jobs)


def pack_units(
    paths: Sequence[Path],
    directory: Path,
    scratch: Path,
    rules: Rules,
    tokens: TokenIds,
    *,
    mix: Path | None = None,
    before: Sequence[Path] = (),
    removed: Sequence[Path] = (),
    run_jobs: RunJobs = one_by_one,
) -> Manifest:
    """Fill the empty `directory` from the units; the manifest is written last.  `scratch` holds plans meanwhile.

    `before`: directories of the same units with rows of other lengths that are trained on before this one.
    `removed`: Parquet files of documents that were not kept, to name one that the mix table lists.
    Shards that `scratch` says are finished are kept.  The bytes are a function of the units' documents, rules and
    tokenizer.  Raises UsageError (too few tokens for a weight, doubled keys), ConservationError.
    """
    units = [open_unit(path) for path in paths]
    for unit in units:
        if unit.info.tokenizer != tokens.tokenizer:
            raise UsageError(f"{unit.path}: encoded with another tokenizer", "encode the documents again")
    if mix is not None and sum(unit.info.listed for unit in units) != mix_rows(mix):
        raise UsageError(
            f"{mix} lists {strangers(mix, [unit.path for unit in units], removed, scratch)}",
            "make the mix from the same documents",
        )
    sources = sorted({name for unit in units for name in unit.info.sources})
    if len(sources) > MOST_SOURCES:
        raise UsageError(f"{len(sources):,} sources; {MOST_SOURCES:,} are the most", "give groups of them one name")
    for folder in ("data", "index"):
        (directory / folder).mkdir(parents=True, exist_ok=True)
    scratch.mkdir(parents=True, exist_ok=True)
    begins = go_on_at(before, units, sorted({name for unit in units for name in unit.info.queues}))
    planned = plan_shards(units, sources, directory, scratch, rules, begins)
    stages = schedule(rules, planned.queues)
    shards = list(run_jobs(planned.jobs, tokens))
    found = Found()
    for shard in shards:
        found.add(directory, shard.name, shard.rows, rules)
    settle(planned.expected, found)
    digests, documents = write_documents(directory, units, rules, scratch)
    made = Manifest(
        sequence_length=rules.sequence_length,
        vocab_rows=tokens.rows,
        eos_id=tokens.eos,
        pad_id=tokens.pad,
        bos_id=tokens.bos,
        tokenizer=tokens.tokenizer,
        sources=sources,
        queues=[QueueInfo(one.name, one.row_tokens.size, int(one.row_tokens.sum())) for one in planned.queues],
        shards=shards,
        stages=write_orders(directory, stages),
        policy=rules.policy(),
        ledger=ledger_of(planned.expected, found, documents, rules.sequence_length) | _of_order(planned, stages),
        seed=rules.seed,
        plan=plan_digest(units, rules, tokens, before),
        files=digests,
        hints=_hints(stages),
    ).with_root()
    for folder in ("data", "index", "order", "."):
        sync_directory(directory / folder)
    write_atomic(directory / files.MANIFEST, made.to_json())
    return made


def _hints(stages: Sequence[Scheduled]) -> dict[str, Any]:
    """What a trainer may want to know by stage: base of rotary positions, course of the weights."""
    rope = {one.stage.name: one.stage.rope_base for one in stages if one.stage.rope_base is not None}
    made = {"rope_base": rope, "weights": knots(stages)}
    return {name: values for name, values in made.items() if values}


def plan_digest(units: Sequence[Unit], rules: Rules, tokens: TokenIds, before: Sequence[Path]) -> str:
    """Of what was asked to be packed: rules, special ids, tokenizer, ids of documents, order of their occurrences.

    No path, and the same however the documents are divided into units.
    """
    content = sum(int(unit.info.content, 16) for unit in units) % SUM
    order: dict[str, int] = {}
    for unit in units:
        for number, name in enumerate(unit.info.queues):
            first, last = np.searchsorted(unit.occurrences["queue"], [number, number + 1])
            some = unit.occurrences[first:last]
            if len(some):
                places = np.ascontiguousarray(some["order_key"]).view(np.uint64)
                keys = fragment_keys(some["doc_key"], some["copy"], places, rules.seed)
                order[name] = (order.get(name, 0) + int(keys.sum(dtype=np.uint64))) % (1 << 64)
    ids = [tokens.tokenizer, tokens.eos, tokens.pad, tokens.bos, tokens.rows]
    roots = [Manifest.read(one).root for one in before]
    return fingerprint([asdict(rules), ids, f"{content:032x}", sorted(order.items()), roots])


def _of_order(planned: Planned, stages: Sequence[Scheduled]) -> dict[str, Any]:
    """Rows that no stage takes; how far the order of documents and the mix are from what was asked."""
    taken = sum(len(stage.order) for stage in stages)
    return {
        "rows": {"packed": sum(one.row_tokens.size for one in planned.queues), "scheduled": taken},
        "order": {
            "largest_displacement": planned.displacement,  # in fragments, within a queue
            "prefix_deviation": [stage.deviation for stage in stages],  # in sequences
        },
    }


Planner = RowPlanner | ConcatPlanner | CropPlanner | BucketPlanner


def planner_of(rules: Rules, expected: Expected, length_class: str) -> Planner:
    """What makes the rows of a queue by the method of the rules."""
    if rules.method == "concat":
        return ConcatPlanner(rules, expected)
    if rules.method == "crop":
        return CropPlanner(rules, expected)
    if rules.method == "buckets":
        return BucketPlanner(rules, expected, int(length_class), length_class == rules.length_classes[0])
    return RowPlanner(rules, expected)


def of_class(occurrences: Iterable[NDArray[np.void]], rules: Rules, length_class: str) -> Iterator[NDArray[np.void]]:
    """The documents of a class of lengths; all of them where queues are not divided, or their pieces are."""
    if rules.method == "buckets" or rules.length_bounds is None:
        yield from occurrences
        return
    wanted = rules.length_classes.index(length_class)
    for some in occurrences:
        yield some[length_classes(some["tokens"].astype(np.int64), rules.length_bounds) == wanted]


def plan_shards(
    units: Sequence[Unit],
    sources: Sequence[str],
    directory: Path,
    scratch: Path,
    rules: Rules,
    begins: Mapping[tuple[str, str], float],
) -> Planned:
    """A plan file for each shard, queue after queue in order of their names and classes of lengths."""
    names = sorted({name for unit in units for name in unit.info.queues})
    expected, displacement = Expected(), 0
    queues: list[QueueRows] = []
    jobs: list[ShardJob] = []
    for name, kind in product(names, rules.length_classes):
        planner = planner_of(rules, expected, kind)
        before = len(jobs)
        begin = begins.get((name, kind), begins.get((name, ""), 0.0))
        occurrences = of_class(merged(units, name, sources, begin=begin), rules, kind)
        for rows in by_shard(planner.plan(occurrences), rules.rows_per_shard):
            shard = files.shard_name(len(jobs))
            path = scratch / f"{shard}.plan"
            path.write_bytes(rows.data)  # ndarray.tofile hides that the disk is full
            done = scratch / f"{shard}.json"
            paths = tuple(unit.path for unit in units)
            jobs.append(ShardJob(shard, len(queues), rules.sequence_length, path, directory, paths, done))
        if len(jobs) > before:
            queues.append(QueueRows(name, kind, np.concatenate(planner.row_tokens)))
            displacement = max(displacement, planner.displacement)
    return Planned(queues, jobs, expected, displacement)


def by_shard(parts: Iterable[NDArray[np.void]], rows_per_shard: int) -> Iterator[NDArray[np.void]]:
    """PLANNED records of whole shards, `row` counted from the shard's first."""
    held: list[NDArray[np.void]] = []
    number = 0
    for part in parts:
        while len(part):
            inside = int(np.searchsorted(part["row"], (number + 1) * rows_per_shard))
            held.append(part[:inside])
            part = part[inside:]
            if len(part):
                yield _renumbered(held, number * rows_per_shard)
                held, number = [], number + 1
    if any(map(len, held)):
        yield _renumbered(held, number * rows_per_shard)


def _renumbered(held: Sequence[NDArray[np.void]], first: int) -> NDArray[np.void]:
    whole: NDArray[np.void] = np.concatenate(held).astype(PLANNED, copy=False)
    whole["row"] -= first
    return whole


def write_job(job: ShardJob, tokens: TokenIds) -> ShardInfo:
    """Write a shard unless its file says that it is done."""
    if job.done.is_file():
        return shard_info(orjson.loads(job.done.read_bytes()))
    maps = [_tokens_of(unit) for unit in job.units]
    info = write_shard(job.plan, job.directory, job.name, job.queue, job.sequence_length, maps, tokens)
    write_atomic(job.done, orjson.dumps(asdict(info)))
    return info


def _tokens_of(unit: Path) -> NDArray[np.uint32]:
    from packing.write.unit import TOKENS

    path = unit / TOKENS
    return np.memmap(path, files.TOKEN, mode="r") if path.stat().st_size else np.empty(0, files.TOKEN)


def shard_info(raw: dict[str, Any]) -> ShardInfo:
    """From JSON."""
    return ShardInfo(**{**raw, "files": [FileDigest(**one) for one in raw["files"]]})


def clear(scratch: Path) -> None:
    """Remove plans and marks."""
    shutil.rmtree(scratch, ignore_errors=True)
