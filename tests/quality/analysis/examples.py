"""Made-up labels with known structure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from quality.analysis.judgements import SCORES, Judgements, judgements
from quality.labels.table import label_table
from quality.rubric.rubric import load_rubric

RUBRIC = load_rubric("v1")
CATEGORIES = ("mathematics", "food", "games")


def row(doc: str, judge: str, level: int = 2, **changed: Any) -> dict[str, Any]:
    """One label."""
    made = {"doc_id": doc, "judge": judge, "rubric": "v1", "category": "food", "confidence": 0.9, "chars": 100}
    return made | dict.fromkeys(SCORES, level) | changed


def labels(*rows: dict[str, Any], families: dict[str, str] | None = None) -> Judgements:
    return judgements([label_table(rows, RUBRIC)], families)


def structured(n: int = 400, twice: int = 120, noise: float = 0.35, seed: int = 0) -> list[dict[str, Any]]:
    """Labels of three true scores: depth, practicality and conciseness are independent; coherence and educational
    value follow depth, helpfulness follows practicality."""
    generator = np.random.default_rng(seed)
    depth, use, short = generator.normal(2.5, 1.4, (3, n))
    truth = {
        "knowledge_depth": depth, "practicality": use, "coherence": depth, "conciseness": short,
        "educational_value": depth, "helpfulness": use,
    }  # fmt: skip
    made = []
    for d in range(n):
        for judge in ("m", "m#2")[: 1 + (d < twice)]:
            levels = {
                name: int(np.clip(np.round(value[d] + generator.normal(0, noise)), 0, 5))
                for name, value in truth.items()
            }
            subject = CATEGORIES[d % 3]
            made.append(row(f"doc-{d:04}", judge, chars=int(generator.integers(50, 5000)), category=subject) | levels)
    return made


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return label_table(rows, RUBRIC)


def real_labels() -> Path:
    """The project's labels; skips the test where they are absent."""
    path = Path(__file__).parents[4] / "shared" / "data" / "labels" / "judgements.jsonl.zst"
    if not path.is_file():
        pytest.skip("the label files are not here")
    return path
