"""Who gives the tags: anything that labels short texts, found by name through the entry points `curate.labelers`.

A labeler sees texts of a few thousand characters (`quality.tagging.chunks` cuts longer ones) and must be a pure
function of each text: what stands beside it in a batch changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from curation.pipeline.registry import door, load

GROUP = "curate.labelers"
DEFAULT = "default"
STUDENT = "student"  # the door that a plain path goes through


@dataclass(frozen=True)
class Labels:
    """Tags of n texts on D score dimensions (levels 0 … 5) and C categories.

    value, lo, hi: float32[n, D], lo ≤ value ≤ hi; category_p: float32[n, C], rows sum to 1;
    low_confidence: bool[n], True where the labeler says that its tags are guesses.
    """

    value: NDArray[np.float32]
    lo: NDArray[np.float32]
    hi: NDArray[np.float32]
    category_p: NDArray[np.float32]
    low_confidence: NDArray[np.bool_]


class Labeler(Protocol):
    """Scores on `quality.rubric.DIMENSIONS`, in that order, and one probability a category."""

    name: str
    hash: str  # changes whenever any label could change
    categories: tuple[str, ...]
    card: dict[str, Any]  # what is known about it: rubric, metrics, data; may be empty

    def label(self, texts: pa.LargeStringArray) -> Labels:
        """Labels of every text; no text is null."""


def open_labeler(spec: str, base: Path | None = None) -> Labeler:
    """The labeler of `default`, `path/of/a/model`, `<door>` or `<door>:<argument>`.

    base: folder that a path is relative to (the current one).  Raises UsageError, from here or from the door's
    factory, which names the file.
    """
    name, sign, argument = spec.partition(":")
    if name in door(GROUP):
        found: Labeler = load(GROUP, name)(argument)
        return found
    if sign and "/" not in name:
        load(GROUP, name)  # says which doors there are
    path = (base or Path()) / spec
    if not path.exists():
        raise UsageError(
            f"{spec!r} is neither a labeler nor a model: {path} does not exist",
            f"give the folder of a model, or one of: {', '.join(sorted(door(GROUP)))}",
        )
    at_path: Labeler = load(GROUP, STUDENT)(str(path))
    return at_path
