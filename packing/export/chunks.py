"""A stage's rows in training order, cut into chunks of at most CHUNK_BYTES (one row at least)."""

from __future__ import annotations

from collections.abc import Iterator

from packing.export.job import CHUNK_BYTES, Job, narrowed
from packing.export.rows import in_training_order


def chunks_in_training_order(job: Job, stage: int) -> Iterator[tuple[int, bytes]]:
    """(rows, their bytes); every chunk but the last has the same number of rows."""
    most = max(1, CHUNK_BYTES // job.row_bytes)
    rows, parts = 0, []
    for block in in_training_order(job.source, job.manifest, stage):
        start = 0
        while start < len(block.rows):
            take = min(most - rows, len(block.rows) - start)
            parts.append(narrowed(job, block.rows[start : start + take]).tobytes())
            rows, start = rows + take, start + take
            if rows == most:
                yield rows, b"".join(parts)
                rows, parts = 0, []
    if rows:
        yield rows, b"".join(parts)
