"""Paid replies, kept: one append-only file of JSON lines, addressed by the hash of the request.

A reply is written and fsynced before anyone uses it, so a killed run has lost at most what was still on its way.
Every request is noted before it is sent; one without an outcome (the run was killed) counts at its upper bound,
because it may have been paid.  One process at a time writes (a lock that dies with it).

Lines: {"sent": n, "key", "bound": [requests, tokens, 10⁻¹² money]} then {"done": n, "paid": […]}, with "body" (the
reply as it came) where there is one.
"""

from __future__ import annotations

import os
import threading
from dataclasses import astuple
from pathlib import Path
from typing import Any

import orjson
from filelock import FileLock, Timeout

from curation.pipeline.errors import CurateError, UsageError
from curation.pipeline.shards import sync_directory
from quality.judge.budget import Spending

FREE_BYTES = 64 << 20  # less space than this: nothing more is asked for, since a reply could not be kept
FILE = "replies.jsonl"


class ReplyCache:
    """Open with `with`; thread-safe; 0700, since replies quote documents."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = folder / FILE
        self.spent = Spending()  # by all runs so far, unsettled requests at their bound
        self.unsettled = 0  # requests of a killed run without an outcome
        self.damaged = 0  # lines that cannot be read: a killed run's last, or a damaged disk
        self._places: dict[bytes, tuple[int, int]] = {}
        self._lock = threading.Lock()
        self._file_lock = FileLock(str(folder / "lock"))
        self._next = 0

    @classmethod
    def none(cls) -> ReplyCache:
        """A cache without replies and without a folder, for an estimate; nothing can be written to it."""
        cache = cls.__new__(cls)
        cache._places, cache.spent, cache.unsettled, cache.damaged = {}, Spending(), 0, 0
        return cache

    def __enter__(self) -> ReplyCache:
        try:
            self._file_lock.acquire(timeout=0)
        except Timeout:
            raise UsageError(
                f"another run writes to {self.path.parent}", "wait for it, or use another cache folder"
            ) from None
        try:
            self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            sync_directory(self.path.parent)
            self._load()
        except BaseException:
            self._file_lock.release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)
        self._file_lock.release()

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: str) -> bool:
        return bytes.fromhex(key) in self._places

    def get(self, key: str) -> str | None:
        """The body of the reply to the request of this key."""
        place = self._places.get(bytes.fromhex(key))
        if place is None:
            return None
        line = orjson.loads(os.pread(self._handle, place[1], place[0]))
        return str(line["body"])

    def sent(self, key: str, bound: Spending) -> int:
        """Note a request before it is sent; returns its number.  Raises CurateError where a reply could not be kept."""
        stats = os.fstatvfs(self._handle)
        if stats.f_bavail * stats.f_frsize < FREE_BYTES:
            raise CurateError(f"the disk of {self.path} is nearly full", "free space; the run goes on where it stopped")
        with self._lock:
            number = self._next
            self._next += 1
            self._append({"sent": number, "key": key, "bound": astuple(bound)})
        return number

    def done(self, number: int, key: str, paid: Spending, body: str | None) -> None:
        """The outcome; with a body it is on the disk when this returns."""
        line: dict[str, Any] = {"done": number, "key": key, "paid": astuple(paid)}
        with self._lock:
            if body is None:
                self._append(line)
                return
            place = self._append(line | {"body": body})
        os.fsync(self._handle)
        with self._lock:
            self._places[bytes.fromhex(key)] = place

    def _append(self, line: dict[str, Any]) -> tuple[int, int]:
        data = orjson.dumps(line) + b"\n"
        begin = os.lseek(self._handle, 0, os.SEEK_END)
        written = os.write(self._handle, data)
        if written != len(data):
            os.ftruncate(self._handle, begin)  # half a line would spoil the next one
            raise CurateError(f"{self.path}: only {written} of {len(data)} bytes were written", "is the disk full?")
        return begin, len(data)

    def _load(self) -> None:
        """Read the whole file once: places of replies, what was spent."""
        waiting: dict[int, Spending] = {}
        with open(self.path, "rb") as handle:
            place = 0
            data = b"\n"
            for data in handle:
                self._read(data, place, waiting)
                place += len(data)
        if not data.endswith(b"\n"):  # a killed run's last line
            os.write(self._handle, b"\n")
        self.unsettled = len(waiting)
        for bound in waiting.values():
            self.spent += bound

    def _read(self, data: bytes, place: int, waiting: dict[int, Spending]) -> None:
        if data == b"\n":
            return
        try:
            line = orjson.loads(data)
            key = bytes.fromhex(line["key"])
            if "sent" in line:
                waiting[line["sent"]] = Spending(*line["bound"])
                self._next = max(self._next, line["sent"] + 1)
                return
            self.spent += Spending(*line["paid"])
            waiting.pop(line["done"], None)
            if isinstance(line.get("body"), str):
                self._places[key] = (place, len(data))
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            self.damaged += 1
