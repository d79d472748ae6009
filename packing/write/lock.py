"""One writer on one directory: a locked file that names its pid and host.

The kernel drops the lock with the process, however that ends; where the file system is shared and has no such
locks, the host named in the file decides.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from curation.pipeline.errors import UsageError


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock at `path`.  Raises UsageError with pid and host of who holds it."""
    handle = _taken(path)
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()} {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held, so that nobody else's is removed
        os.close(handle)


def _taken(path: Path) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(handle)
            os.close(handle)
            raise _held(path, *holder) from None
        try:
            same = os.fstat(handle).st_ino == path.stat().st_ino
        except FileNotFoundError:
            same = False
        if same:
            break
        os.close(handle)  # the holder before removed it between our opening and locking it
    pid, host = _holder(handle)
    if host not in ("", socket.gethostname()):
        os.close(handle)
        raise _held(path, pid, host)
    return handle


def _holder(handle: int) -> tuple[str, str]:
    pid, _, host = os.pread(handle, 400, 0).decode(errors="replace").strip().partition(" ")
    return pid, host


def _held(path: Path, pid: str, host: str) -> UsageError:
    return UsageError(
        f"another process writes here: pid {pid or '?'} on {host or '?'}",
        f"wait for it; if it is gone for good, remove {path}",
    )
