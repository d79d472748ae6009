"""The tagger of `quality.student` as a labeler: `default` is the one that ships, a path any other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from curation.pipeline.errors import UsageError
from quality.rubric.rubric import DIMENSIONS
from quality.tagging.labeler import Labels


class StudentLabeler:
    """A loaded model of `quality.student`.

    Raises UsageError for a model that lacks a score dimension or categories: its tags would not fill the columns.
    """

    def __init__(self, spec: str) -> None:
        from quality.student.files import load_model

        self._model = load_model(spec)
        missing = [name for name in DIMENSIONS if name not in self._model.dimensions]
        missing += [] if self._model.categories else ["category"]
        if missing:
            raise UsageError(
                f"{spec}: this model does not score {', '.join(missing)}",
                "train one on labels by the rubric: curate quality train",
            )
        self.name, self.hash = spec, self._model.hash
        self.categories = tuple(self._model.categories)
        self.card: dict[str, Any] = self._model.card

    def label(self, texts: pa.LargeStringArray) -> Labels:
        """See `Labeler`."""
        from quality.student.model import predict

        found = predict(self._model, texts)
        value, lo, hi = (
            np.stack([by_name[name] for name in DIMENSIONS], axis=1) for by_name in (found.value, found.lo, found.hi)
        )
        return Labels(value, lo, hi, found.category_p, found.low_confidence)


def student_labeler(argument: str) -> StudentLabeler:
    """The factory behind `default` and `student:PATH`."""
    return StudentLabeler(argument or "default")
