"""OLMo-core: `<queue>/<shard>.npy` is our data file (their name: an array without a header), `.mask.npy` the loss mask.

    .npy       u32 (or u16) tokens, L a row
    .mask.npy  one byte a token: 1 where the loss counts, 0 on padding

Source: reference, packing §2 (NumpyFSLDataset, label_mask_paths).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from packing.export.job import Job, Written, copy_rows, queue_folder, shards_by_queue, synced
from packing.export.rows import BLOCK_TOKENS, used_tokens
from packing.layout.manifest import ShardInfo


def write(job: Job) -> Written:
    """A folder for each queue, files named as our shards."""
    manifest, rows = job.manifest, 0
    for queue, shards in enumerate(shards_by_queue(manifest)):
        folder = job.out / queue_folder(manifest, queue)
        if shards:
            folder.mkdir()
        for shard in shards:
            copy_rows(job, [shard], folder / f"{shard.name}.npy")
            _write_mask(job, shard, folder / f"{shard.name}.mask.npy")
            rows += shard.rows
    return Written(
        rows,
        [
            "`NumpyFSLDataset(*paths, label_mask_paths=masks, sequence_length="
            f"{manifest.sequence_length}, dtype=np.{job.dtype.name}, eos_token_id={manifest.eos_id}, pad_token_id="
            f"{manifest.pad_id}, vocab_size={manifest.vocab_rows}, generate_doc_lengths=True)`, paths being the"
            " sorted `*/s?????.npy` and masks their `.mask.npy`. Set `work_dir` and call `prepare()`.",
            "OLMo-core shuffles instances itself; another mix than that of the files needs a source mixture.",
        ],
    )


def _write_mask(job: Job, shard: ShardInfo, path: Path) -> None:
    length = job.manifest.sequence_length
    used = used_tokens(job.source, shard.name, shard.rows)
    step = max(1, BLOCK_TOKENS // length)
    with open(path, "wb") as target:
        for start in range(0, shard.rows, step):
            target.write((np.arange(length) < used[start : start + step, None]).tobytes())
        synced(target)
