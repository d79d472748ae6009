"""Hugging Face datasets: `stage<k>/` as `save_to_disk` leaves it, in training order.

data-00000-of-00001.arrow …   Arrow IPC streams, columns as packing.export.tables has them
state.json, dataset_info.json what load_from_disk wants; features are read from the Arrow schema
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from packing.export.job import Job, Written, synced, write_bytes
from packing.export.tables import batches, rows_per_file, schema, whole_files


def write(job: Job) -> Written:
    """A dataset for each stage."""
    rows = 0
    for stage, info in enumerate(job.manifest.stages):
        folder = job.out / f"stage{stage}"
        folder.mkdir()
        count = max(1, -(-info.sequences // rows_per_file(job)))
        names = [f"data-{number:05}-of-{count:05}.arrow" for number in range(count)]
        for name, content in zip(names, whole_files(job, batches(job, stage)), strict=True):
            with open(folder / name, "wb") as file:
                with pa.ipc.new_stream(file, schema(job)) as writer:
                    for batch in content:
                        writer.write_batch(batch)
                        rows += batch.num_rows
                synced(file)
        state: dict[str, Any] = {
            "_data_files": [{"filename": name} for name in names], "_fingerprint": job.manifest.root[:16],
            "_format_columns": None, "_format_kwargs": {}, "_format_type": None, "_output_all_columns": False,
            "_split": None,
        }  # fmt: skip
        write_bytes(folder / "state.json", json.dumps(state, indent=2, sort_keys=True).encode())
        write_bytes(folder / "dataset_info.json", b"{}")
    return Written(
        rows,
        [
            "`datasets.load_from_disk('stage0')`: row i is sequence i of the schedule; `input_ids`, and the fragments'"
            " `seq_lengths`, `doc_key`, `copy`, `source`, and `queue`.",
            "`seq_lengths` are what TRL and padding-free collators call it; position ids restart at each.",
        ],
    )
