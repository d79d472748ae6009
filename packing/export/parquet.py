"""Parquet: `stage<k>/00000.parquet` … in training order, columns as packing.export.tables has them, zstd."""

from __future__ import annotations

import pyarrow.parquet as pq

from packing.export.job import Job, Written, synced
from packing.export.tables import batches, schema, whole_files


def write(job: Job) -> Written:
    """Files of at most FILE_TOKENS tokens for each stage; a row group for each million tokens."""
    rows = 0
    for stage in range(len(job.manifest.stages)):
        folder = job.out / f"stage{stage}"
        folder.mkdir()
        for number, content in enumerate(whole_files(job, batches(job, stage))):
            with open(folder / f"{number:05}.parquet", "wb") as file:
                with pq.ParquetWriter(file, schema(job), compression="zstd", compression_level=3) as writer:
                    for batch in content:
                        writer.write_batch(batch)
                        rows += batch.num_rows
                synced(file)
    return Written(
        rows,
        [
            "`datasets.load_dataset('parquet', data_files='stage0/*.parquet')`, DuckDB, Polars: file and row order is"
            " the order of the schedule; `input_ids`, the fragments' `seq_lengths`, `doc_key`, `copy`, `source`, and"
            " `queue`.",
        ],
    )  # fmt: skip
