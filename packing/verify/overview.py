"""`info`: what a directory holds, from its manifest and fragment index; nothing is checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from packing.layout import files
from packing.verify.directory import listed_files
from packing.verify.faults import open_manifest


def info(directory: Path) -> dict[str, Any]:
    """Counts by queue and stage, padding, fragments per row, size, identity; JSON-ready.  Raises UsageError."""
    manifest = open_manifest(directory)
    rows = sum(shard.rows for shard in manifest.shards)
    fragments = sum(shard.fragments for shard in manifest.shards)
    tokens = sum(shard.tokens for shard in manifest.shards)
    room = rows * manifest.sequence_length
    shares = _scheduled(directory, len(manifest.stages), len(manifest.queues))
    return {
        "root": manifest.root,
        "plan": manifest.plan,
        "tokenizer": manifest.tokenizer,
        "sequence_length": manifest.sequence_length,
        "vocab_rows": manifest.vocab_rows,
        "ids": {"eos": manifest.eos_id, "pad": manifest.pad_id, "bos": manifest.bos_id},
        "seed": manifest.seed,
        "policy": manifest.policy,
        "shards": len(manifest.shards),
        "rows": rows,
        "tokens": tokens,
        "padding": (room - tokens) / room if room else 0.0,
        "fragments": fragments,
        "fragments_per_row": fragments / rows if rows else 0.0,
        "bytes": sum(one.bytes for one in listed_files(manifest)),
        "sidecar_bytes": sum(one.bytes for one in listed_files(manifest) if not one.name.startswith("data/")),
        "sources": manifest.sources,
        "queues": [
            {
                "name": queue.name,
                "rows": queue.rows,
                "tokens": queue.tokens,
                "padding": 1 - queue.tokens / (queue.rows * manifest.sequence_length) if queue.rows else 0.0,
            }
            for queue in manifest.queues
        ],
        "stages": [
            {
                "name": stage.name,
                "sequences": stage.sequences,
                "weights": stage.weights,
                "end_weights": stage.end_weights,
                "shares": shares[number],
            }
            for number, stage in enumerate(manifest.stages)
        ],
        "ledger": manifest.ledger,
        "hints": manifest.hints,
    }


def _scheduled(directory: Path, stages: int, queues: int) -> list[list[float]]:
    """Share of each queue in the sequences of each stage."""
    made = []
    for stage in range(stages):
        counts = np.bincount(files.map_order(directory, stage), minlength=queues)
        made.append((counts / max(1, int(counts.sum()))).tolist())
    return made
