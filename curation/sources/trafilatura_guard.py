"""trafilatura in a process of its own, so that a page can neither hang nor kill a worker.

The worker starts `python -m curation.sources.trafilatura_guard` and speaks
length-prefixed JSON over its pipes.  The process has a memory limit of its own and
a wall clock beside it; a failed page is tried once more, alone in a fresh process,
and only a failure that repeats there is the page's fault (a Refusal).
"""

from __future__ import annotations

import logging
import os
import resource
import struct
import subprocess
import sys
import tempfile
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self

import orjson

from curation.pipeline.errors import CurateError
from curation.sources.pages import Refusal

_LENGTH = struct.Struct(">Q")
COMMAND = [sys.executable, "-P", "-m", "curation.sources.trafilatura_guard"]  # -P: not from the current directory
_START_SECONDS = 120.0  # to import trafilatura on a busy machine

Focus = Literal["balanced", "precision", "recall"]


def missing() -> str | None:
    """What to do when trafilatura cannot be imported; None when it can."""
    absent = [name for name in ("trafilatura", "lxml_html_clean") if find_spec(name) is None]
    if not absent:
        return None
    return f"the extractor trafilatura needs {' and '.join(absent)}: pip install 'curate-lm[trafilatura]'"


class GuardError(CurateError):
    """The guarded process could not be started: trouble of the machine, not of a page."""


class TrafilaturaGuard:
    """One guarded process at a time; started at the first page, ended with the `with` block."""

    def __init__(self, *, focus: Focus, timeout_seconds: float, memory_bytes: int) -> None:
        self._options = {"focus": focus, "memory_bytes": memory_bytes}
        self._timeout = timeout_seconds
        self._child: _Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._stop()

    def extract(self, html: str) -> str | Refusal:
        """Main text of one page, or a Refusal when it fails twice, the second time alone in a new process.

        Raises GuardError when the process cannot be started.
        """
        request = {"html": html}
        first = self._ask(request)
        if isinstance(first, str):
            return first
        self._stop()
        second = self._ask(request)
        if isinstance(second, str):
            return second
        self._stop()
        detail = f"trafilatura: {second.detail} (alone in a fresh process; before: {first.detail})"
        return Refusal("extractor_failed", detail)

    def _ask(self, request: dict[str, str]) -> str | Refusal:
        if self._child is None:
            self._child = _Child(self._options)
        reply = self._child.ask(request, self._timeout)
        return reply["text"] if "text" in reply else Refusal("extractor_failed", reply["failure"])

    def _stop(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None


class _Child:
    """The parent's end of a running process."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`, with the process that writes it
        root = str(Path(__file__).resolve().parents[2])  # where `curation` lies
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=os.environ | {"PYTHONPATH": path},
        )
        ready = self.ask(options, _START_SECONDS)
        if "ready" not in ready:
            self.close()
            raise GuardError(f"the trafilatura process did not start: {ready['failure']}")

    def ask(self, message: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Send and receive one message; a time-out or a crash comes back as `{"failure": …}`."""
        assert self._process.stdin is not None and self._process.stdout is not None
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            self._process.kill()

        clock = threading.Timer(seconds, expire)
        clock.start()
        try:
            _send(self._process.stdin, message)
            reply = _receive(self._process.stdout)
        except BrokenPipeError:
            reply = None
        finally:
            clock.cancel()
        if reply is not None:
            return reply
        if expired.is_set():
            return {"failure": f"no answer within {seconds:g} s"}
        return {"failure": f"the process ended with status {self._process.wait()}{self._last_words()}"}

    def _last_words(self) -> str:
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - 2000))
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return f" ({lines[-1][:200]})" if lines else ""

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue  # a request that the killed process never read


def _send(stream: BinaryIO | Any, message: dict[str, Any]) -> None:
    data = orjson.dumps(message)
    stream.write(_LENGTH.pack(len(data)) + data)
    stream.flush()


def _receive(stream: BinaryIO | Any) -> dict[str, Any] | None:
    """The next message; None at the end of the stream, also in the middle of a message."""
    header = stream.read(_LENGTH.size)
    if len(header) < _LENGTH.size:
        return None
    size = _LENGTH.unpack(header)[0]
    data = stream.read(size)
    return orjson.loads(data) if len(data) == size else None


def _serve(requests: BinaryIO | Any, replies: BinaryIO | Any) -> None:
    """The child's loop: options first, then a text for every page."""
    options = _receive(requests)
    if options is None:
        return
    limit = options["memory_bytes"]
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import trafilatura

    logging.disable(logging.CRITICAL)
    focus = options["focus"]
    _send(replies, {"ready": trafilatura.__version__})
    while (request := _receive(requests)) is not None:
        try:
            # Never `deduplicate`: it remembers earlier pages, so a text would depend on the order of pages.
            text = trafilatura.extract(
                request["html"],
                include_comments=True,
                include_tables=True,
                favor_precision=focus == "precision",
                favor_recall=focus == "recall",
            )
            _send(replies, {"text": (text or "").strip()})
        except MemoryError:
            _send(replies, {"failure": f"out of its memory limit of {limit} bytes"})
        except Exception as error:  # whatever an extractor raises is a failure of this page, reported to the parent
            _send(replies, {"failure": f"{type(error).__name__}: {str(error)[:200]}"})


def main() -> None:
    """Serve over the inherited pipes; anything that a library prints goes to stderr."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _serve(sys.stdin.buffer, replies)


if __name__ == "__main__":
    main()
