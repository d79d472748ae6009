"""The evaluation page is made from the very predictions that the figures are of."""

import orjson
import pytest

from quality.student.evaluate import Ceiling, CurvePoint, evaluate_split
from quality.student.page import held_out, page_writer
from tests.quality.student.examples import training_set


def test_a_split_writes_its_page(trained, tmp_path):
    model, _ = trained
    ceiling = Ceiling(88, {"knowledge_depth": 0.97, "practicality": 0.92}, 0.95)
    more = training_set(180)
    figures = evaluate_split(more, "model", model=model, resamples=20).tagger
    curve = [CurvePoint(30, figures), CurvePoint(60, figures)]
    writer = page_writer(tmp_path / "model", held_out("model", 5), ceiling, curve)
    evaluate_split(more, "model", model=model, resamples=20, told=writer)
    found = orjson.loads((tmp_path / "model" / "evaluation.json").read_bytes())
    assert found["documents"] == 60
    for one in found["scores"]:
        wanted = figures.scores[one["name"]]
        assert one["student"]["qwk"]["value"] == pytest.approx(wanted.qwk.value)
        assert one["coverage"][0]["covered"]["value"] == pytest.approx(wanted.coverage)
        assert one["ceiling"] == ceiling.qwk[one["name"]]
    assert found["category"]["macro_f1"]["value"] == pytest.approx(figures.category.macro_f1)
    page = (tmp_path / "model" / "evaluation.html").read_text()
    assert "More labels?" in page and "not trained on" in page
