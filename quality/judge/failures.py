"""How a request can fail, by what follows from it."""

from __future__ import annotations

from curation.pipeline.errors import CurateError


class Retryable(Exception):
    """Worth another try; `paid`: it may have been paid although no answer came; not before `after_s` seconds."""

    def __init__(self, message: str, *, paid: bool, after_s: float = 0.0) -> None:
        super().__init__(message)
        self.paid, self.after_s = paid, after_s


class Refused(CurateError):
    """The endpoint says that this request is wrong (400, 413, 422); others may be right."""


class Stopped(Exception):
    """The run is ending."""
