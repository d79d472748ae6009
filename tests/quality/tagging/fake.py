"""A labeler for tests: deterministic in the text, with promises that are easy to check by hand.

knowledge_depth grows with the length of words, practicality is the share of lines with a digit; category is that of
the first keyword that occurs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from curation.pipeline import registry
from quality.tagging.labeler import GROUP, Labels

ROOT = Path(__file__).parents[3]
CATEGORIES = ("mathematics", "food", "travel", "other_unclear")


class Fake:
    """See the module."""

    def __init__(self, argument: str = "") -> None:
        self.name, self.hash = f"fake:{argument}", f"fake{argument}"
        self.categories = CATEGORIES
        self.card: dict[str, Any] = {}
        self.calls: list[int] = []

    def label(self, texts: pa.LargeStringArray) -> Labels:
        self.calls.append(len(texts))
        rows = [self._one(text) for text in texts.to_pylist()]
        value = np.array([row[0] for row in rows], np.float32).reshape(-1, 2)
        p = np.array([row[1] for row in rows], np.float32).reshape(-1, len(CATEGORIES))
        unsure = np.array([row[2] for row in rows], np.bool_)
        return Labels(value, np.maximum(value - 1, 0), np.minimum(value + 1, 5), p, unsure)

    @staticmethod
    def _one(text: str) -> tuple[tuple[float, float], np.ndarray, bool]:
        words = re.findall(r"\w+", text)
        depth = min(5.0, sum(map(len, words)) / len(words) / 2) if words else 0.0
        lines = text.splitlines() or [""]
        practical = 5 * sum(any(map(str.isdigit, line)) for line in lines) / len(lines)
        found = [i for i, name in enumerate(CATEGORIES) if name in text]
        p = np.full(len(CATEGORIES), 0.1)
        p[found[0] if found else -1] = 0.7
        return (depth, practical), p, "???" in text


@contextmanager
def installed(folder: Path) -> Iterator[None]:
    """Register `fake` for this process and its workers, as an installed package would."""
    about = folder / "fake_labeler-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-labeler\nVersion: 1\n")
    (about / "entry_points.txt").write_text(f"[{GROUP}]\nfake = tests.quality.tagging.fake:Fake\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.syspath_prepend(str(ROOT))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(ROOT)]))
        registry.door.cache_clear()
        yield
    registry.door.cache_clear()
    registry.load.cache_clear()
