"""One writer on one directory: a lock that the kernel drops with its process, and a note of who holds it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from curation.pipeline.errors import UsageError


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock at `path`; `<path>.holder` says pid and host.  Raises UsageError with those of who holds it."""
    lock, note = FileLock(path, timeout=0), path.with_name(f"{path.name}.holder")
    try:
        lock.acquire()
    except Timeout:
        try:
            holder = note.read_text()
        except FileNotFoundError:  # between its two steps
            holder = "a process that has just begun or ended"
        raise UsageError(f"another process writes here: {holder}", "wait for it, or give another folder") from None
    try:
        note.write_text(f"pid {os.getpid()} on {socket.gethostname()}")
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()
