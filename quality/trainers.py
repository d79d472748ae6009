"""Who trains a tagger beside tier 0: found by name through the entry points `curate.trainers`, as labelers are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from curation.pipeline.errors import UsageError
from curation.pipeline.registry import load
from quality.student.action import Note, Trained

GROUP = "curate.trainers"


class Trainer(Protocol):
    """Trains on label files and the files that hold the texts, and writes a tagger to the folder `out`.

    Called as `<door>:<argument>` says; the tagger is then the labeler `<door>:<out>`.  settings: of the trainer's own,
    unchecked.  UsageError for any that it does not know.  The card's `metrics` have the form of tier 0's.
    """

    def __call__(
        self, argument: str, labels: Sequence[Path], documents: Sequence[Path], out: Path, *,
        rubric: str, calibrate: str, settings: Mapping[str, str], note: Note,
    ) -> Trained: ...  # fmt: skip


def open_trainer(spec: str) -> tuple[str, Trainer, str]:
    """(door, trainer, argument) of `<door>:<argument>`.  UsageError for a door that nobody registered."""
    name, _, argument = spec.partition(":")
    found: Trainer = load(GROUP, name)
    return name, found, argument


def settings_of(given: Sequence[str]) -> dict[str, str]:
    """key=value as a mapping.  UsageError for anything else."""
    made = {}
    for one in given:
        key, sign, value = one.partition("=")
        if not sign or not key:
            raise UsageError(f"--set {one!r} is not key=value", "write for example --set epochs=3")
        made[key] = value
    return made
