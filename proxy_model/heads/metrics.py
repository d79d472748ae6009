"""Held-out figures as a card tells them: the value, and its 95 % interval as an entry of its own."""

from __future__ import annotations

from typing import Any

from quality.student.measure import measure, rounded
from quality.student.model import Prediction
from quality.student.training_set import TrainingSet

DIGITS = 3


def figures(data: TrainingSet, found: Prediction) -> dict[str, Any]:
    """Of predictions for the documents of `data`, row by row."""
    told = rounded(measure(data, found), DIGITS)
    return {
        "low_confidence": told["low_confidence"],
        **{name: _flat(values) for name, values in told["scores"].items()},
        "category": _flat(told["category"] or {}),
    }


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in values.items():
        made[name] = value[0] if isinstance(value, list) else value
        if isinstance(value, list):
            made[f"{name}_95"] = value[1:]
    return made
