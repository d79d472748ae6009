"""MosaicML streaming: `stage<k>/shard.00000.mds` … in training order, `index.json`.  One column: `tokens`.

    u32 rows · u32 offsets[rows + 1] · JSON of the shard's config · the rows, 4·L bytes each

A column of fixed shape has no header in a sample, so what follows the prefix is our rows.  Offsets are 32-bit: a
shard stays below 4 GiB (64 MiB here, their default).  Source: reference, packing §2.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from packing.export.chunks import chunks_in_training_order
from packing.export.job import CHUNK_BYTES, Job, Written, write_bytes

VERSION = 2
HASH = "sha256"


def write(job: Job) -> Written:
    """A dataset for each stage."""
    manifest, rows = job.manifest, 0
    encoding = f"ndarray:{job.dtype.name}:{manifest.sequence_length}"
    config = {
        "version": VERSION, "format": "mds", "compression": None, "hashes": [HASH], "size_limit": CHUNK_BYTES,
        "column_names": ["tokens"], "column_encodings": [encoding], "column_sizes": [job.row_bytes],
    }  # fmt: skip
    for stage in range(len(manifest.stages)):
        folder = job.out / f"stage{stage}"
        folder.mkdir()
        shards: list[dict[str, Any]] = []
        for number, (samples, data) in enumerate(chunks_in_training_order(job, stage)):
            text = json.dumps(config, sort_keys=True).encode()
            first = 4 + 4 * (samples + 1) + len(text)
            offsets = first + np.arange(samples + 1, dtype=np.int64) * job.row_bytes
            prefix = np.concatenate([[samples], offsets]).astype("<u4").tobytes() + text
            name = f"shard.{number:05}.mds"
            write_bytes(folder / name, prefix, data)
            digest = hashlib.sha256(prefix + data).hexdigest()
            raw = {"basename": name, "bytes": len(prefix) + len(data), "hashes": {HASH: digest}}
            shards.append({**config, "raw_data": raw, "samples": samples, "zip_data": None})
            rows += samples
        write_bytes(folder / "index.json", json.dumps({"version": VERSION, "shards": shards}, sort_keys=True).encode())
    return Written(
        rows,
        [
            "`StreamingDataset(local='stage0', shuffle=False, batch_size=…)`: rows come in the order of the schedule,"
            " so every prefix has the planned mix; `sample['tokens']` is an array of "
            f"{manifest.sequence_length} {job.dtype.name}.",
            "Boundaries of documents are EOS only; labels are the next token of the row.",
        ],
    )
