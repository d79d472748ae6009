"""A student's evaluation from plain arrays: right figures, its page, and no arrays that do not fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pytest

from quality.analysis.evaluated import CategoryArrays, LearningPoint, ScoreArrays, StudentEvaluation
from quality.analysis.evaluation import evaluate_arrays, evaluate_predictions, whole_levels
from quality.analysis.evaluation_report import evaluation_page, write_evaluation
from quality.analysis.metrics import Interval, qwk

CATEGORIES = ("food", "games", "<b>law</b>")


def arrays(n: int = 240, seed: int = 0, **changed: Any) -> tuple[list[ScoreArrays], CategoryArrays, Any]:
    generator = np.random.default_rng(seed)
    group = np.arange(n) % 3
    truth = np.clip(np.round(group + generator.normal(1, 1, n)), 0, 5)
    value = np.clip(truth + generator.normal(0, 0.6, n), 0, 5)
    p = generator.random((n, 3)) + 3 * np.eye(3)[np.where(generator.random(n) < 0.8, group, 0)]
    score = {
        "name": "practicality", "truth": truth, "value": value, "lo": value - 1, "hi": value + 1,
        "p_solid": 1 / (1 + np.exp(-4 * (value - 2.5))), "ceiling": 0.92, "baselines": {"majority": np.full(n, 1.0)},
    }  # fmt: skip
    category = CategoryArrays(CATEGORIES, np.array(CATEGORIES)[group], p / p.sum(1, keepdims=True), 0.95)
    sources = np.array(["web", "books"])[group % 2]
    return [ScoreArrays(**(score | changed))], category, sources


@pytest.fixture(scope="module")
def made() -> StudentEvaluation:
    scores, category, sources = arrays()
    learning = [LearningPoint(n, "macro_f1", Interval(0.1 * n / 100, 0.0, 1.0)) for n in (100, 200, 400)]
    return evaluate_arrays(
        "a <student>", "by hash", scores, category, sources=sources, learning=learning, replicates=40
    )


def test_the_figures_are_the_metrics(made: StudentEvaluation) -> None:
    (given,), _, _ = arrays()
    one = made.scores[0]
    assert one.student.qwk.value == qwk(given.truth, whole_levels(given.value, 6))
    assert np.sum(one.confusion) == made.documents == 240
    assert one.baselines[0].qwk.value == pytest.approx(0)
    assert np.isnan(one.baselines[0].spearman.value)
    assert one.baselines[0].within_category.value == 0
    assert one.coverage[0].covered.value == np.mean(np.abs(np.asarray(given.truth) - given.value) <= 1)
    groups = {"all documents", *(f"category {c}" for c in CATEGORIES), "source web", "source books"}
    assert {row.group for row in one.coverage} == groups
    assert {name for name, _, _ in one.by_category} == set(CATEGORIES)
    assert one.student.within_category.value < one.student.spearman.value  # the category helps the second
    assert made.category is not None
    assert made.category.majority == pytest.approx(1 / 3)


def test_units_are_drawn_whole() -> None:
    scores, category, _ = arrays()
    alone = evaluate_arrays("s", "h", scores, category, replicates=60)
    doubled = [
        ScoreArrays(one.name, np.tile(one.truth, 4), np.tile(one.value, 4)) for one in scores
    ]  # fmt: skip
    blocks = evaluate_arrays("s", "h", doubled, units=np.tile(np.arange(240), 4), replicates=60)
    naive = evaluate_arrays("s", "h", doubled, replicates=60)

    def width(found: StudentEvaluation) -> float:
        return found.scores[0].student.qwk.hi - found.scores[0].student.qwk.lo

    assert width(naive) < 0.75 * width(alone)
    assert width(blocks) == pytest.approx(width(alone), rel=0.4)
    assert blocks.units == 240


def test_a_mean_of_judges_is_a_truth_too() -> None:
    scores, _, _ = arrays(truth=np.tile([0.5, 2, 4.5, 3], 60))
    found = evaluate_arrays("s", "h", scores, replicates=10).scores[0]
    assert found.shares_judged == [0, 0.25, 0.25, 0.25, 0, 0.25]


def test_the_page_is_self_contained_and_escapes_names(made: StudentEvaluation) -> None:
    page = evaluation_page(made)
    assert "a &lt;student&gt;" in page
    assert "<b>law" not in page
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    for heading in ("Against baselines and the judge", "Calibration", "Coverage of the intervals", "More labels?"):
        assert heading in page


def test_files_are_written_and_null_stands_for_what_is_undefined(made: StudentEvaluation, tmp_path: Any) -> None:
    path = write_evaluation(made, tmp_path / "out")
    assert path.read_text().startswith("<!doctype html>")
    found = orjson.loads((tmp_path / "out" / "evaluation.json").read_bytes())
    assert found["scores"][0]["student"]["qwk"]["value"] == made.scores[0].student.qwk.value
    assert found["scores"][0]["baselines"][0]["spearman"]["value"] is None


def test_scores_alone_or_a_category_alone_have_a_page() -> None:
    scores, category, _ = arrays(60, lo=None, hi=None, p_solid=None, ceiling=None, baselines={})
    assert "Category" not in evaluation_page(evaluate_arrays("s", "h", scores, replicates=5)).split("<main>")[0]
    only = evaluate_arrays("s", "h", [], category, replicates=5)
    assert "Macro-F1" in evaluation_page(only)


def test_one_document_and_constant_predictions_do_not_crash() -> None:
    one = evaluate_arrays("s", "h", [ScoreArrays("practicality", [3], [2.9], lo=[2.0], hi=[4.0])], replicates=5)
    assert "practicality" in evaluation_page(one)
    flat = evaluate_arrays("s", "h", [ScoreArrays("practicality", [3, 1, 2], [2, 2, 2])], replicates=5)
    assert "–" in evaluation_page(flat)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"value": np.full(60, np.nan)}, "NaN"),
        ({"truth": np.full(60, 6.0)}, "between 0 and 5"),
        ({"value": np.zeros(59)}, "lengths"),
        ({"hi": np.full(60, -1.0)}, "ends before it begins"),
        ({"p_solid": np.full(60, 1.5)}, "between 0 and 1"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changed: dict[str, Any], message: str) -> None:
    scores, category, _ = arrays(60, **changed)
    with pytest.raises(ValueError, match=message):
        evaluate_arrays("s", "h", scores, category, replicates=5)


def test_categories_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="none of the student's: 'adult'"):
        evaluate_arrays("s", "h", [], CategoryArrays(("food", "games"), ["adult"], [[0.5, 0.5]]), replicates=5)
    with pytest.raises(ValueError, match=r"must be finite and \(1, 2\)"):
        evaluate_arrays("s", "h", [], CategoryArrays(("food", "games"), ["food"], [[1.0]]), replicates=5)
    with pytest.raises(ValueError, match="nothing to evaluate"):
        evaluate_arrays("s", "h", [])


def test_predictions_are_measured_as_they_stand() -> None:
    @dataclass(frozen=True)
    class Fake:
        value: dict[str, Any]
        level: dict[str, Any]
        lo: dict[str, Any]
        hi: dict[str, Any]
        p_solid: dict[str, Any]
        category_p: Any

    @dataclass(frozen=True)
    class Data:
        scores: dict[str, Any]
        levels: int
        names: tuple[str, ...]
        category: Any
        sources: tuple[str, ...]

    truth = np.tile([0, 1, 2, 3, 4, 5.0], 10)
    data = Data({"practicality": truth}, 6, ("food", "games"), np.arange(60) % 2, ("web",) * 60)

    def fake(value: Any, level: Any) -> Fake:
        column = [{"practicality": x} for x in (value, level, value - 1, value + 1, np.clip(value / 5, 0, 1))]
        return Fake(*column, np.eye(2)[np.arange(60) % 2])

    said = {"tagger": fake(truth + 0.6, truth), "length": fake(truth - 0.4, np.full(60, 2))}
    found = evaluate_predictions("s", "h", data, said, ceilings={"practicality": 0.9, "category": 0.8}, replicates=5)
    (one,) = found.scores
    assert one.student.qwk.value == 1  # by its levels, not by rounded values
    assert one.baselines[0].qwk.value == pytest.approx(0)
    assert one.student.mean_absolute_error.value == pytest.approx(0.6)
    assert found.category is not None
    assert (one.ceiling, found.category.ceiling, found.category.accuracy.value) == (0.9, 0.8, 1)
    assert one.between_sources is not None
    assert one.between_sources[0] == pytest.approx(0)
