"""Evaluation: held-out figures beside baselines and the judge's own repeatability."""

import numpy as np
import pyarrow as pa
import pytest

from curation.pipeline.errors import UsageError
from quality.student.baselines import BASELINES
from quality.student.evaluate import adopt, evaluate_split, learning_curve, repeatability
from quality.student.measure import rounded
from tests.quality.student.examples import training_set


@pytest.mark.parametrize("split", ["random", "source"])
def test_the_tagger_beats_its_baselines_where_words_tell(data, options, split):
    found = evaluate_split(data, split, options=options, folds=3, resamples=40)
    assert set(found.baselines) == set(BASELINES) and found.tagger.n == len(data.ids)
    for name, score in found.tagger.scores.items():
        assert score.spearman.lo > found.baselines["length"].scores[name].spearman.value
        assert score.qwk.value > 0.7 and score.within_one > 0.9 and 0.8 < score.coverage <= 1
    assert found.tagger.category.macro_f1 > found.baselines["majority"].category.macro_f1
    assert found.baselines["majority"].scores["practicality"].qwk.value == pytest.approx(0, abs=0.1)
    rounded(found)  # JSON values, NaN as null


def test_random_labels_show_no_skill(options):
    """The figures are of held-out documents: nothing can be learnt, so nothing may be found."""
    from dataclasses import replace

    data = training_set()
    rng = np.random.default_rng(1)
    noise = replace(
        data, scores={name: rng.permutation(y) for name, y in data.scores.items()},
        category=rng.permutation(data.category),
    )  # fmt: skip
    found = evaluate_split(noise, "random", options=options, folds=3, resamples=40).tagger
    assert all(abs(score.spearman.value) < 0.25 for score in found.scores.values())
    assert found.category.accuracy < 0.5


def test_a_model_is_measured_only_on_documents_it_has_not_seen(trained, data):
    model, _ = trained
    with pytest.raises(UsageError, match="trained on 120 of these 120"):
        evaluate_split(data, "model", model=model)
    with pytest.raises(UsageError, match="needs a model"):
        evaluate_split(data, "model")
    more = training_set(180)  # ids made-0120 … made-0179 are new
    assert evaluate_split(more, "model", model=model).tagger.n == 60


def test_one_source_cannot_be_held_out(data, options):
    from dataclasses import replace

    with pytest.raises(UsageError, match="one source"):
        evaluate_split(replace(data, sources=("a",) * len(data.ids)), "source", options=options)
    with pytest.raises(UsageError, match="no split"):
        evaluate_split(data, "alphabetical", options=options)


def test_the_learning_curve_rises_on_nested_samples(options):
    points = learning_curve(training_set(250), options, resamples=20)
    assert [point.documents for point in points] == [50, 100, 200]
    first, last = (point.figures.scores["knowledge_depth"].rmse for point in (points[0], points[-1]))
    assert last < first and len({point.figures.n for point in points}) == 1


def labels_of(judge, levels):
    return pa.table(
        {
            "doc_id": [f"d{i}" for i in range(len(levels))], "judge": [judge] * len(levels), "knowledge_depth": levels,
            "practicality": levels, "category": ["law_crime", "food"] * (len(levels) // 2),
        }
    )  # fmt: skip


def test_repeatability_is_the_agreement_of_two_judgements():
    levels = [i % 6 for i in range(40)]
    same = repeatability([labels_of("a", levels), labels_of("a#2", levels)])
    assert same.documents == 40 and same.qwk["knowledge_depth"] == 1 and same.category_kappa == 1
    assert repeatability([labels_of("a", levels)]) is None
    off = repeatability([labels_of("a", levels), labels_of("a#2", [min(x + 1, 5) for x in levels])])
    assert 0.7 < off.qwk["practicality"] < 1


def test_a_dearer_tagger_is_adopted_only_for_a_gain_that_is_large_and_certain():
    rng = np.random.default_rng(0)
    truth, groups = rng.normal(size=400), np.repeat(np.arange(8), 50)
    weak, strong = truth + 1.5 * rng.normal(size=400), truth + 0.4 * rng.normal(size=400)
    better = adopt(weak, strong, truth, groups, n=200)
    assert better.adopted and better.gain > 0.03 and better.lo > 0
    assert not adopt(strong, strong, truth, groups, n=200).adopted
    assert not adopt(strong, weak, truth, groups, n=200).adopted
    assert not adopt(weak[:16], weak[:16] + 0.5 * rng.normal(size=16), truth[:16], groups[:16], n=200).adopted
