"""Before a run is held against an index: the index is as it was written, and none of its documents is in the run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.dedup.index import AGAIN, HEADER, file_digest
from curation.dedup.inputs import old_parts, scratch_folder
from curation.dedup.pairs import PairPartitions, partitions_for
from curation.pipeline.barrier import with_positions
from curation.pipeline.context import TaskContext
from curation.pipeline.errors import CurateError
from curation.pipeline.shards import row_groups
from curation.pipeline.step import Step


def check_index(context: TaskContext) -> None:
    """Raise CurateError for a damaged part, and for an id that two documents share.

    Ids are compared by their keys, a partition at a time.
    """
    parts = old_parts(context)
    for path, file in zip(parts, context.task.files, strict=True):
        if file_digest(path) != file["digest"]:
            raise CurateError(f"{path} is damaged: its digest differs from the one in {HEADER}", AGAIN)
    with scratch_folder(context) as folder:
        keys = PairPartitions(
            folder / "doc_keys", partitions_for(sum(file["documents"] for file in context.task.files))
        )
        for number, _, _, batches in context.all_shards(["doc_key"]):
            for table in with_positions(number, batches):
                _add(keys, table)
        for number, path in enumerate(parts, len(context.config["shards"])):
            for table in with_positions(number, row_groups(path, ["doc_key"])):
                _add(keys, table)
        for number in range(len(keys)):
            key = np.sort(keys.take(number)[0])
            again = np.flatnonzero(key[1:] == key[:-1])
            if len(again):
                raise _known(int(key[again[0]]), parts)


def _add(keys: PairPartitions, table: pa.Table) -> None:
    key = np.asarray(table["doc_key"])
    keys.add(key % np.uint64(len(keys)), key, np.asarray(table["position"]))


def _known(key: int, parts: list[Path]) -> CurateError:
    for path in parts:
        for group in row_groups(path, ["id", "doc_key"]):
            found = group.filter(pc.equal(group["doc_key"], pa.scalar(key, pa.uint64())))["id"].to_pylist()
            if found:
                return CurateError(
                    f"the id {found[0]!r} is in {path.parent} already: this crawl, or a part of it, was indexed before",
                    "give the new documents other ids (another name for the source), or leave out that index",
                )
    raise AssertionError("identity lets no two documents of a run have one key")


INDEX_CHECK = Step("minhash_index", 1, check_index, reads_text=False)
