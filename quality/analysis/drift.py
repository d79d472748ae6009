"""Drift of a judge over fixed texts (anchors) that are judged again in every batch (reference §2.4).

A batch mean that is off by more than 0.3 level, or two anchors off by two levels or more, say that the judge or its
prompt has changed: its labels must not be mixed with the earlier ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from curation.pipeline.errors import UsageError
from quality.analysis.judgements import SCORES, Judgements

MAX_MEAN_SHIFT = 0.3
FAR_OFF, MAX_FAR_OFF = 2, 2  # this many levels, on so many anchors


@dataclass(frozen=True)
class Drift:
    """One judge and dimension against the anchors' fixed levels."""

    judge: str
    dimension: str
    anchors: int
    shift: float  # mean of judged − fixed
    far_off: list[str]  # anchors off by FAR_OFF levels or more
    stop: bool


def fixed_levels(anchors: Judgements) -> dict[str, dict[str, float]]:
    """dimension → anchor → level, from a label table with one judgement an anchor.  UsageError for more than one."""
    if len(anchors) != len(anchors.documents):
        raise UsageError("an anchor has more than one label", "give a label file with one row for each anchor")
    return {
        name: {
            anchors.documents[d]: float(level)
            for d, level in zip(anchors.document, values, strict=True)
            if not np.isnan(level)
        }
        for name, values in anchors.scores.items()
    }


def drift(labels: Judgements, fixed: Mapping[str, Mapping[str, float]]) -> list[Drift]:
    """A row for each judge and dimension with at least one anchor among the labels."""
    made = []
    for code, judge in enumerate(labels.judges):
        for name in SCORES:
            levels = fixed.get(name, {})
            shifts = {
                labels.documents[labels.document[row]]: float(labels.scores[name][row])
                - levels[labels.documents[labels.document[row]]]
                for row in np.flatnonzero(labels.judge == code)
                if labels.documents[labels.document[row]] in levels and not np.isnan(labels.scores[name][row])
            }
            if shifts:
                mean = float(np.mean(list(shifts.values())))
                far = sorted(anchor for anchor, shift in shifts.items() if abs(shift) >= FAR_OFF)
                # 0.3 in binary is a little less than the mean of, say, 3 shifts of 1 in 10 anchors
                stop = abs(mean) > MAX_MEAN_SHIFT + 1e-9 or len(far) >= MAX_FAR_OFF
                made.append(Drift(judge, name, len(shifts), mean, far, stop))
    return made
