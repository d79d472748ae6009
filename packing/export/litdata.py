"""litdata: `stage<k>/chunk-0-<n>.bin` in training order, `index.json`, for its TokensLoader.

    u32 rows · u32 offsets[rows + 1] · the rows, 4·L bytes each

A chunk holds whole rows: TokensLoader never serves tokens after a chunk's last whole block.  Source: reference,
packing §2.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from packing.export.chunks import chunks_in_training_order
from packing.export.job import CHUNK_BYTES, Job, Written, write_bytes

# litdata.constants._TORCH_DTYPES_MAPPING: the number of a type without header
LEAF = '[1, {"type": null, "context": null, "children_spec": []}]'  # a sample is one tensor (torch's pytree)
TYPE_NUMBERS = {"uint32": 16, "uint16": 20}  # int32, uint16


def write(job: Job) -> Written:
    """A dataset for each stage."""
    manifest, rows = job.manifest, 0
    length = manifest.sequence_length
    data_format = f"no_header_tensor:{TYPE_NUMBERS[job.dtype.name]}"
    config: dict[str, Any] = {
        "chunk_bytes": CHUNK_BYTES, "chunk_size": None, "compression": None, "encryption": None,
        "data_format": [data_format],
        "data_spec": LEAF, "item_loader": "TokensLoader",
    }  # fmt: skip
    for stage in range(len(manifest.stages)):
        folder = job.out / f"stage{stage}"
        folder.mkdir()
        chunks: list[dict[str, Any]] = []
        for number, (samples, data) in enumerate(chunks_in_training_order(job, stage)):
            offsets = 4 + 4 * (samples + 1) + np.arange(samples + 1, dtype=np.int64) * job.row_bytes
            prefix = np.concatenate([[samples], offsets]).astype("<u4").tobytes()
            name = f"chunk-0-{number}.bin"
            write_bytes(folder / name, prefix, data)
            chunks.append(
                {
                    "chunk_bytes": len(prefix) + len(data),
                    "chunk_size": samples,
                    "dim": samples * length,
                    "filename": name,
                }
            )
            rows += samples
        write_bytes(folder / "index.json", json.dumps({"chunks": chunks, "config": config}, sort_keys=True).encode())
    return Written(
        rows,
        [
            f"`StreamingDataset('stage0', item_loader=TokensLoader(block_size={length}), shuffle=False)`: item i is row"
            " i of the schedule.",
            "Boundaries of documents are EOS only; labels are the next token of the row.",
        ],
    )
