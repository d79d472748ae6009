"""What `curate quality train` and `curate quality evaluate` do."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from curation.pipeline.errors import UsageError
from quality.student.training_set import TrainingSet, read_training_set

Note = Callable[[str], None]
METRICS = (("documents", "metrics"), ("sources", "metrics_unseen_sources"))  # on the card
RARE = 5  # examples; below, a category is listed on the card


def _silent(text: str) -> None:
    pass


@dataclass(frozen=True)
class Trained:
    """A model that was written."""

    folder: str
    hash: str
    documents: int
    card: dict[str, Any] = field(repr=False)

    def json(self) -> bytes:
        return orjson.dumps({"folder": self.folder, "hash": self.hash, "documents": self.documents, "card": self.card})


@dataclass(frozen=True)
class Evaluated:
    """`splits`: SplitFigures by name; `ceiling`: the judge's repeatability or None; `curve`: CurvePoints."""

    documents: int
    splits: dict[str, Any]
    ceiling: Any
    curve: list[Any]

    def json(self) -> bytes:
        from quality.student.measure import rounded

        return orjson.dumps(rounded(self), option=orjson.OPT_INDENT_2)


def train(
    labels: Sequence[Path], documents: Sequence[Path], out: Path, *, rubric: str = "v1",
    calibrate: str = "documents", word_bits: int = 20, char_bits: int = 18, note: Note = _silent,
) -> Trained:  # fmt: skip
    """Train on label files and the files that hold the texts, write the model to the folder `out`.

    calibrate: what is held out to find intervals and the trust in categories, `documents` (for texts like the labelled
    ones) or `sources` (for any).  The same inputs give the same bytes on every machine.  UsageError as
    `read_training_set` and `fit`.
    """
    from quality.features.space import FeatureSpace
    from quality.student.files import save_model
    from quality.student.fit import FitOptions, fit
    from quality.student.measure import measure

    data = read_training_set(labels, documents, rubric)
    note(f"{len(data.ids)} labelled documents")
    _check_calibrate(calibrate)
    try:
        options = FitOptions(space=FeatureSpace(word_bits, char_bits), calibrate=calibrate)
    except ValueError as error:
        raise UsageError(str(error)) from None
    model, held_out = fit(data, options)
    figures = {kind: measure(data, found) for kind, found in held_out.items()}
    card = _card(data, rubric, labels, documents, options, figures)
    model = replace(model, card=card)
    save_model(model, out)
    note(f"written: {out}")
    return Trained(str(out), model.hash, len(data.ids), card)


def evaluate(
    model: str | None, labels: Sequence[Path], documents: Sequence[Path], *,
    splits: Sequence[str] = ("random", "source"), rubric: str = "v1", calibrate: str = "documents",
    folds: int = 5, curve: bool = False, out: Path | None = None, pages: Path | None = None,
    note: Note = _silent,
) -> Evaluated:  # fmt: skip
    """Figures on labels: training repeated with folds held out, or (`splits=("model",)`) a model as it is.

    out: a JSON file of the figures.  pages: a folder that gets SPLIT/evaluation.html and .json.
    """
    from curation.pipeline.shards import write_atomic
    from quality.labels.table import read_labels
    from quality.rubric.rubric import load_rubric
    from quality.student.evaluate import evaluate_split, learning_curve, repeatability
    from quality.student.files import load_model
    from quality.student.fit import FitOptions
    from quality.student.page import held_out, page_writer

    if not 2 <= folds <= 20:
        raise UsageError(f"{folds} folds", "choose 2 to 20")
    _check_calibrate(calibrate)
    options = FitOptions(calibrate=calibrate)
    data = read_training_set(labels, documents, rubric)
    loaded = None if model is None else load_model(model)
    by = load_rubric(rubric)
    ceiling = repeatability([read_labels(path, by) for path in labels])
    points = learning_curve(data, options, folds=folds, note=note) if curve else []
    made = {}
    for name in splits:
        told = None if pages is None else page_writer(pages / name, held_out(name, folds), ceiling, points)
        made[name] = evaluate_split(data, name, model=loaded, options=options, folds=folds, note=note, told=told)
    found = Evaluated(len(data.ids), made, ceiling, points)
    if out is not None:
        write_atomic(out, found.json() + b"\n")
    return found


def _check_calibrate(given: str) -> None:
    if given not in ("documents", "sources"):
        raise UsageError(f"calibrate is {given!r}", "choose documents or sources")


def _card(
    data: TrainingSet, rubric: str, labels: Sequence[Path], documents: Sequence[Path],
    options: Any, figures: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """No date, host or version of a library: the same data give the same card."""
    from quality.rubric.rubric import load_rubric
    from quality.student.measure import rounded

    by = load_rubric(rubric)
    counts = Counter(data.names[i] for i in data.category.tolist())
    return {
        "name": "tier 0: hashed n-grams and style, convex heads",
        "rubric": {"version": by.version, "hash": by.hash},
        "data": {
            "documents": len(data.ids),
            "labels": {path.name: _sha256(path) for path in labels},
            "texts": {path.name: _sha256(path) for path in documents},
            "sources": dict(sorted(Counter(data.sources).items())),
            "licences": dict(sorted(Counter(data.licences).items())),
            "categories": {name: counts.get(name, 0) for name in data.names},
        },
        "options": {
            "fewest": options.fewest, "ridge": options.ridge, "logistic": options.logistic, "stack": options.stack,
            "folds": options.folds, "coverage": options.coverage, "seed": options.seed,
            "calibrate": options.calibrate,
        },
        **{name: _metrics(options.folds, kind, rounded(figures[kind], 3)) for kind, name in METRICS if kind in figures},
        "limits": [
            f"no example: {', '.join(n for n in data.names if not counts.get(n)) or 'none'}",
            f"fewer than {RARE} examples: {', '.join(n for n in data.names if 0 < counts.get(n, 0) < RARE) or 'none'}",
            f"`metrics` are of documents from the sources above; elsewhere they are lower{_far(figures)}",
            "for texts of other kinds and languages: label some of your own and train (docs/quality-student.md)",
            "labels are one language model's judgements, so the figures say how well it is imitated",
        ],
    }  # fmt: skip


def _metrics(folds: int, kind: str, told: dict[str, Any]) -> dict[str, Any]:
    return {
        "split": f"{folds} folds of {'documents' if kind == 'documents' else 'whole sources'}, each predicted by a "
        "model that did not see it",
        "low_confidence": told["low_confidence"],
        **{name: _flat(values) for name, values in told["scores"].items()},
        "category": _flat(told["category"] or {}),
    }


def _far(figures: dict[str, Any]) -> str:
    return " (`metrics_unseen_sources`: whole sources held out)" if "sources" in figures else ""


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    """Intervals [value, lo, hi] as value and a separate entry."""
    out: dict[str, Any] = {}
    for name, value in values.items():
        out[name] = value[0] if isinstance(value, list) else value
        if isinstance(value, list):
            out[f"{name}_95"] = value[1:]
    return out


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
