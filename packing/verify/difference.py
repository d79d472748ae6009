"""`diff`: what differs between two directories, in words, from what decides most to what decides least."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np

from packing.layout import files
from packing.layout.manifest import Manifest, ShardInfo, StageInfo
from packing.verify.documents import DOCS
from packing.verify.faults import open_manifest

SETTINGS = ("sequence_length", "tokenizer", "vocab_rows", "eos_id", "pad_id", "bos_id", "seed", "sources")


def diff(a: Path, b: Path) -> list[str]:
    """Sentences about what differs; empty when a model would be trained on the same.  Raises UsageError."""
    left, right = open_manifest(a), open_manifest(b)
    if left.root == right.root:
        return []
    lines = [*_settings(left, right), *_documents(a, b), *_queues(left, right), *_stages(a, b, left, right)]
    lines += _shards(left, right)
    return lines or ["the root digests differ, by something that has no words here: compare the manifests"]


def _settings(left: Manifest, right: Manifest) -> Iterator[str]:
    for name in SETTINGS:
        one, other = getattr(left, name), getattr(right, name)
        if one != other:
            yield f"{name}: {one} and {other}"
    for key in sorted(left.policy.keys() | right.policy.keys()):
        if left.policy.get(key) != right.policy.get(key):
            yield f"policy {key}: {left.policy.get(key)} and {right.policy.get(key)}"


def _documents(a: Path, b: Path) -> Iterator[str]:
    """Documents that only one of them packs, and those with other lengths."""
    with duckdb.connect() as database:
        one, other = "read_parquet($1)", "read_parquet($2)"
        query = (
            f"select count(*) filter (where r.doc_key is null), count(*) filter (where l.doc_key is null),"
            f" count(*) filter (where l.tokens <> r.tokens), min(l.id) filter (where r.doc_key is null),"
            f" min(r.id) filter (where l.doc_key is null)"
            f" from {one} l full outer join {other} r using (doc_key)"
        )
        row = database.execute(query, [str(a / DOCS), str(b / DOCS)]).fetchone()
    assert row is not None
    only_left, only_right, changed, first_left, first_right = row
    if only_left:
        yield f"documents: {only_left:,} only in the first, for example {first_left!r}"
    if only_right:
        yield f"documents: {only_right:,} only in the second, for example {first_right!r}"
    if changed:
        yield f"documents: {changed:,} have another number of tokens"


def _queues(left: Manifest, right: Manifest) -> Iterator[str]:
    ours, theirs = ({queue.name: queue for queue in manifest.queues} for manifest in (left, right))
    for name in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(name), theirs.get(name)
        if one is None or other is None:
            yield f"queue {name!r}: only in the {'second' if one is None else 'first'}"
        elif one != other:
            yield f"queue {name!r}: {one.rows:,} rows of {one.tokens:,} tokens, and {other.rows:,} of {other.tokens:,}"


def _stages(a: Path, b: Path, left: Manifest, right: Manifest) -> Iterator[str]:
    if len(left.stages) != len(right.stages):
        yield f"stages: {len(left.stages)} and {len(right.stages)}"
    for number, (one, other) in enumerate(zip(left.stages, right.stages, strict=False)):
        if one.sequences != other.sequences:
            yield f"stage {number}: {one.sequences:,} and {other.sequences:,} sequences"
        if (one.weights, one.end_weights) != (other.weights, other.end_weights):
            yield f"stage {number}: weights {_weights(one)} and {_weights(other)}"
        names = [queue.name for queue in left.queues] == [queue.name for queue in right.queues]
        first, second = files.map_order(a, number), files.map_order(b, number)
        common = min(len(first), len(second))
        if names and len(where := np.flatnonzero(first[:common] != second[:common])):
            yield f"stage {number}: {len(where):,} sequences come from other queues, the first is sequence {where[0]:,}"


def _weights(stage: StageInfo) -> str:
    words = ", ".join(f"{weight:.4g}" for weight in stage.weights)
    return f"[{words}]" + (f" to [{', '.join(f'{one:.4g}' for one in stage.end_weights)}]" if stage.end_weights else "")


def _shards(left: Manifest, right: Manifest) -> Iterator[str]:
    if len(left.shards) != len(right.shards):
        yield f"shards: {len(left.shards)} and {len(right.shards)}"
    pairs = list(zip(left.shards, right.shards, strict=False))
    for kind, what in ((".bin", "other tokens"), (".seg", "another provenance"), (".csr", "other boundaries")):
        names = [one.name for one, other in pairs if _digest(one, kind) != _digest(other, kind)]
        if names:
            yield f"{len(names)} of {len(pairs)} shards hold {what}, the first is {names[0]}"


def _digest(shard: ShardInfo, kind: str) -> str:
    return next((one.sha256 for one in shard.files if one.name.endswith(kind)), "")
