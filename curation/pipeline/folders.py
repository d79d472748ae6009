"""Outputs of several files in formats of other tools (a tokenizer, packed shards): a folder, whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import xxhash

from curation.pipeline.shards import Output, sync_directory, temporary_name

CHUNK = 1 << 20


class FolderWriter:
    """A folder to be filled at `filling`; `close` puts it in place."""

    def __init__(self, path: Path) -> None:
        self.path, self.filling = path, temporary_name(path)
        self.filling.mkdir()

    def close(self) -> Output:
        """fsync and rename into place; the digest is over names and bytes, the rows are files."""
        digest, size, files = xxhash.xxh3_128(), 0, 0
        for file in files_of(self.filling):
            name = file.relative_to(self.filling).as_posix().encode()
            digest.update(len(name).to_bytes(8, "little") + name + file.stat().st_size.to_bytes(8, "little"))
            with open(file, "rb+") as handle:
                while chunk := handle.read(CHUNK):
                    digest.update(chunk)
                os.fsync(handle.fileno())
            size, files = size + file.stat().st_size, files + 1
        if self.path.exists():  # of an attempt that was killed before its manifest
            shutil.rmtree(self.path)
        os.rename(self.filling, self.path)
        sync_directory(self.path.parent)
        return Output(self.path.name, files, size, digest.hexdigest())

    def discard(self) -> None:
        """Drop what was written (the task failed)."""
        shutil.rmtree(self.filling, ignore_errors=True)


def files_of(folder: Path) -> Iterator[Path]:
    """The regular files of a folder, at any depth, in order of their names."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder; raises FileNotFoundError."""
    return sum(one.stat().st_size for one in files_of(path)) if path.is_dir() else path.stat().st_size
