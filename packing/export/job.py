"""What every format's writer is given, and how it puts files: rows copied or linked, narrowed with a check, synced."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from packing.layout import files
from packing.layout.manifest import Manifest, ShardInfo

COPY = 8 << 20  # bytes copied at once
CHUNK_BYTES = 64 << 20  # of tokens in a chunk of mds and litdata: the default size of both writers


@dataclass(frozen=True)
class Job:
    """An export under way: `out` is a folder that is renamed when everything is written."""

    source: Path
    manifest: Manifest
    out: Path
    link: bool
    dtype: np.dtype[Any]  # of the exported ids

    @property
    def row_bytes(self) -> int:
        """Bytes of one exported row."""
        return self.manifest.sequence_length * self.dtype.itemsize


@dataclass(frozen=True)
class Written:
    """What a format's writer made: rows, and how to point the reader at them (lines of Markdown)."""

    rows: int
    usage: list[str]


def shards_by_queue(manifest: Manifest) -> list[list[ShardInfo]]:
    """The shards of each queue, in order; shards without rows are left out (readers cannot map empty files)."""
    made: list[list[ShardInfo]] = [[] for _ in manifest.queues]
    for shard in manifest.shards:
        if shard.rows:
            made[shard.queue].append(shard)
    return made


def queue_folder(manifest: Manifest, queue: int) -> str:
    """A safe name of a queue: its number and what of its name is harmless in a path."""
    return f"q{queue:03}-" + re.sub(r"[^A-Za-z0-9_-]+", "_", manifest.queues[queue].name)[:60]


def copy_rows(job: Job, shards: list[ShardInfo], path: Path) -> None:
    """The rows of `shards` one after another in `path`; with `link`, a hard link to the only shard."""
    if job.link:
        (shard,) = shards
        link_file(files.data_path(job.source, shard.name), path)
        return
    with open(path, "wb") as target:
        for shard in shards:
            tokens = files.map_rows(job.source, shard.name, job.manifest.sequence_length).reshape(-1)
            for start in range(0, len(tokens), COPY // 4):
                target.write(narrowed(job, tokens[start : start + COPY // 4]).tobytes())
        synced(target)


def link_file(source: Path, target: Path) -> None:
    """A hard link; raises UsageError on another file system."""
    try:
        os.link(source.resolve(), target)  # link(2) does not follow: a run's folder holds symbolic links
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK):
            raise
        raise UsageError(
            f"{target.parent} cannot hold hard links to {source} ({error.strerror})",
            "export to the same file system, or without --link",
        ) from None


def narrowed(job: Job, tokens: NDArray[np.uint32]) -> NDArray[Any]:
    """Ids in the export's type; never wraps: the vocabulary was checked, each id is again."""
    if job.dtype.itemsize < tokens.dtype.itemsize and tokens.size and int(tokens.max()) > np.iinfo(job.dtype).max:
        raise UsageError(
            f"{job.source}: id {int(tokens.max()):,} does not fit {job.dtype.name}",
            "run `curate shards verify`: its manifest promises a smaller vocabulary",
        )
    return tokens.astype(job.dtype, copy=False)


def synced(file: BinaryIO) -> None:
    """Flush to the disk: a renamed export must not turn out empty after a power cut."""
    file.flush()
    os.fsync(file.fileno())


def write_bytes(path: Path, *parts: bytes) -> None:
    """A small file, synced."""
    with open(path, "wb") as file:
        for part in parts:
            file.write(part)
        synced(file)
