"""What a check found: a fault names a file and says what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from curation.pipeline.errors import UsageError
from packing.layout.manifest import LayoutError, Manifest


@dataclass(frozen=True)
class Fault:
    """`file` relative to the directory; `what` for people."""

    file: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}: {self.what}"


@dataclass
class Report:
    """Everything that `verify` found; notes are worth knowing but no faults."""

    directory: Path
    root: str = ""
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    checked: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the directory is what was written, and what was written makes sense."""
        return not self.faults


def open_manifest(directory: Path) -> Manifest:
    """The manifest, or an error for the command line.  Raises UsageError."""
    if not directory.is_dir():
        raise UsageError(f"{directory} is no directory", "give a shard directory, for example runs/NAME/shards")
    try:
        return Manifest.read(directory)
    except LayoutError as error:
        raise UsageError(str(error)) from None
