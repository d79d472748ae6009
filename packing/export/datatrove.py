"""datatrove and nanotron: `<queue>/<shard>.ds` is our data file; ends of fragments stand in `.ds.index`.

    .ds           u32 (or u16) tokens, no header
    .ds.index     u64 ends of fragments, in tokens from the start of the file; padding counts as a fragment
    .ds.metadata  text: tokenizer|bytes a token, tokens, tokens for people

Readers take windows of seq_len + 1 tokens, so a row is a window for seq_len = L − 1.  Source: reference, packing §2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from packing.export.job import Job, Written, copy_rows, queue_folder, shards_by_queue, write_bytes
from packing.export.rows import scheduled_shares, used_tokens
from packing.layout import files
from packing.layout.manifest import ShardInfo


def write(job: Job) -> Written:
    """A folder for each queue, files named as our shards."""
    manifest, rows, folders = job.manifest, 0, []
    shares = scheduled_shares(job.source, manifest, list(range(len(manifest.stages))))
    for queue, shards in enumerate(shards_by_queue(manifest)):
        if not shards:
            continue
        folder = queue_folder(manifest, queue)
        folders.append(f"{folder}: {shares[queue]:.6f}")
        (job.out / folder).mkdir()
        for shard in shards:
            path = job.out / folder / f"{shard.name}.ds"
            copy_rows(job, [shard], path)
            write_bytes(path.with_suffix(".ds.index"), _ends(job, shard).astype("<u8").tobytes())
            tokens = shard.rows * manifest.sequence_length
            metadata = f"{manifest.tokenizer}|{job.dtype.itemsize}\n{tokens}\n{tokens / 1e9:.3g} GT"
            write_bytes(path.with_suffix(".ds.metadata"), metadata.encode())
            rows += shard.rows
    length = manifest.sequence_length
    return Written(
        rows,
        [
            f"Windows have seq_len + 1 tokens: set the sequence length to {length - 1} (datatrove `seq_len`, nanotron"
            f" `sequence_length`). To train on {length}, pack with `sequence_length: {length + 1}`.",
            f"`DatatroveFolderDataset(folder, seq_len={length - 1}, token_size={job.dtype.itemsize},"
            " filename_pattern='*.ds', return_positions=True)`: the token size is not read from the files.",
            f"Weights of the folders (nanotron `dataset_weights`): {', '.join(folders)}.",
        ],
    )


def _ends(job: Job, shard: ShardInfo) -> NDArray[Any]:
    """Ends of fragments and of padding in the shard's stream of tokens, ascending: int64[…]."""
    length = job.manifest.sequence_length
    starts, lengths = files.map_csr(job.source, shard.name, shard.rows)
    of_row = np.repeat(np.arange(shard.rows), np.diff(starts).astype(np.int64))
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])
    ends = before[1:] - before[starts[of_row].astype(np.int64)] + of_row * length
    padded = np.flatnonzero(used_tokens(job.source, shard.name, shard.rows) < length)
    return np.sort(np.concatenate([ends, (padded + 1) * length]))
