"""Errors a person can act on: what happened, where, and what to do about it.

`CurateError` is everything the command line prints without a traceback.  An
infrastructure error (disk, memory, network, time-out) fails a task and is
retried; it never quarantines data (CONTRACTS, Fingerprints and digests).
"""

from __future__ import annotations

import errno
from dataclasses import dataclass


class CurateError(Exception):
    """Something the user can fix; `exit_code` 2 for a wrong request, 1 for a run that failed."""

    exit_code = 1

    def __init__(self, message: str, remedy: str | None = None) -> None:
        super().__init__(f"{message}\n  → {remedy}" if remedy else message)


class UsageError(CurateError):
    """The request itself is wrong: a bad option, an unknown run, a missing extra."""

    exit_code = 2


@dataclass(frozen=True)
class ConfigProblem:
    """One mistake in a config file, placed and with a remedy where one is known."""

    file: str
    line: int | None
    key: str
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        text = f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"
        return text if self.hint is None else f"{text}\n  → {self.hint}"


class ConfigError(UsageError):
    """All mistakes found in a config, in the order of the file."""

    def __init__(self, problems: list[ConfigProblem]) -> None:
        self.problems = sorted(problems, key=lambda p: (p.line is None, p.line or 0))
        super().__init__("\n".join(map(str, self.problems)))


class TaskFailed(CurateError):
    """A task failed after its retries; finished tasks stay finished and a rerun resumes."""


class ConservationError(CurateError):
    """records in ≠ kept + removed + quarantined: a defect, never to be ignored."""


class StrictStop(CurateError):
    """`--strict` met a quarantined record."""


def explain_os_error(error: OSError) -> str:
    """The errno in words a person can act on."""
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"disk full{where}: free space, then run the same command again; finished tasks are kept"
    if error.errno == errno.EACCES:
        return f"permission denied{where}: this user may not read or write that path"
    return f"{error.strerror or error}{where}"
