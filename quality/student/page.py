"""The evaluation page of one split, from held-out predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from quality.analysis.evaluated import LearningPoint
from quality.analysis.evaluation import evaluate_predictions
from quality.analysis.evaluation_report import write_evaluation
from quality.analysis.resampling import Interval
from quality.student.evaluate import Ceiling, CurvePoint, Told
from quality.student.model import Prediction
from quality.student.training_set import TrainingSet

_NAN = float("nan")


def held_out(split: str, folds: int) -> str:
    """How a split holds documents out, in words."""
    if split == "model":
        return "labelled documents that the model was not trained on"
    what = "documents by the hash of their ids" if split == "random" else "whole sources"
    return f"{folds} folds of {what}, each predicted by a model that did not see it"


def page_writer(folder: Path, how: str, ceiling: Ceiling | None, curve: Sequence[CurvePoint]) -> Told:
    """What `evaluate_split` calls with its predictions: writes the page into `folder`."""
    own = {} if ceiling is None else {**ceiling.qwk, "category": ceiling.category_kappa}

    def write(data: TrainingSet, predictions: dict[str, Prediction]) -> None:
        made = evaluate_predictions(
            "Evaluation of the tagger", how, data, predictions, ceilings=own, learning=learning_points(curve)
        )
        write_evaluation(made, folder)

    return write


def learning_points(curve: Sequence[CurvePoint]) -> list[LearningPoint]:
    """QWK of each score and macro-F1 of the category after training on fewer documents."""
    made = []
    for point in curve:
        for name, one in point.figures.scores.items():
            made.append(LearningPoint(point.documents, f"{name} QWK", one.qwk))
        if point.figures.category is not None:
            found = Interval(point.figures.category.macro_f1, _NAN, _NAN)
            made.append(LearningPoint(point.documents, "category macro-F1", found))
    return made
