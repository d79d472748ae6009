"""Whether this process is compiling kernels, as it does when they are first used on a machine.

Kernels tell (`curation.text.kernel`), executors listen: a run that seems to stand still says why.
"""

from __future__ import annotations

from collections.abc import Callable

NOTE = "kernels are being compiled for this machine: about a minute, once"

_told: Callable[[bool], None] = lambda active: None  # noqa: E731


def listen(listener: Callable[[bool], None]) -> None:
    """Have `listener` called with True when compiling starts and with False when it ends."""
    global _told
    _told = listener


def tell(active: bool) -> None:
    """Say that compiling starts or ends."""
    _told(active)
