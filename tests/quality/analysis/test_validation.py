"""Validation: the drop-one rule finds the structure that was put in, and says so when it cannot."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from curation.pipeline.errors import UsageError
from quality.analysis import correlations as c
from quality.analysis.drop_one import subsets
from quality.analysis.findings import Validation
from quality.analysis.judgements import SCORES
from quality.analysis.metrics import spearman, variance_share
from quality.analysis.validation import validate
from tests.quality.analysis.examples import labels, row, structured


@pytest.fixture(scope="module")
def made() -> Validation:
    rows = structured()
    sources = {one["doc_id"]: f"s{one['knowledge_depth'] > 2}" for one in rows[::-1]}
    return validate(labels(*rows), sources, replicates=100)


def test_one_dimension_of_each_bundle_is_kept(made: Validation) -> None:
    kept = set(made.drop_one.kept)
    assert len(kept) == 3
    assert len(kept & {"knowledge_depth", "coherence", "educational_value"}) == 1
    assert len(kept & {"practicality", "helpfulness"}) == 1
    assert "conciseness" in kept
    assert made.drop_one.sizes["3"] > 0.9
    assert sum(made.drop_one.sizes.values()) == pytest.approx(1)


def test_the_papers_set_is_judged_whatever_the_answer(made: Validation) -> None:
    asked = made.drop_one.asked
    assert asked is not None
    assert not asked.admissible
    assert asked.ratios["conciseness"].value < 0.1
    assert asked.ratios["helpfulness"].value > 0.85
    assert "Not all secondary scores may be dropped" in " ".join(made.verdict)


def test_every_way_of_computing_agrees_where_the_structure_is_clear(made: Validation) -> None:
    assert len(made.variants) == 4
    assert all(len(kept) == 3 for one in made.variants for kept in one.kept)


def test_reliability_is_what_was_put_in(made: Validation) -> None:
    # noise 0.35 and rounding (1/12) against a true variance of about 1.4²
    for found in made.reliability.values():
        assert found.lo < found.value < found.hi
        assert found.value == pytest.approx(0.9, abs=0.05)
    depth = next(one for one in made.correlations if (one.first, one.second) == ("knowledge_depth", "coherence"))
    assert depth.corrected.value == pytest.approx(1, abs=0.04)
    assert depth.spearman.value < depth.corrected.value
    assert depth.one_pass == pytest.approx(depth.two_passes, abs=0.08)  # errors are independent here: no halo


def test_a_component_is_a_bundle_so_a_lone_dimension_is_none(made: Validation) -> None:
    assert made.components.kept == 2
    assert made.components.eigenvalues[2] == pytest.approx(1, abs=0.05)
    assert sum(made.components.shares) == pytest.approx(1)


def test_a_source_that_follows_depth_explains_depth_and_not_conciseness(made: Validation) -> None:
    by = {one.dimension: one for one in made.explained}
    deep, short = by["knowledge_depth"].by_source, by["conciseness"].by_source
    assert deep is not None
    assert short is not None
    assert deep.lo > 0.5
    assert short.lo < 0.02
    partial = next(one for one in made.correlations if (one.first, one.second) == ("knowledge_depth", "coherence"))
    assert partial.partial["source"] < partial.spearman.value


def test_without_repeated_judgements_nothing_may_be_dropped() -> None:
    found = validate(labels(*structured(80, 0)), replicates=20)
    assert not found.drop_one.decided
    assert found.drop_one.dropped == ()
    assert found.verdict[0].startswith("Not decided")
    assert found.variants == []


def test_independent_dimensions_must_all_stay() -> None:
    generator = np.random.default_rng(2)
    rows = []
    for i in range(200):
        levels = dict(zip(SCORES, generator.integers(0, 6, len(SCORES)).tolist(), strict=True))
        rows += [row(f"d{i}", "m") | levels] + ([row(f"d{i}", "m#2") | levels] if i < 40 else [])
    found = validate(labels(*rows), replicates=30)
    assert found.drop_one.kept == SCORES
    assert found.verdict[0].startswith("Nothing may be dropped")


def test_few_constant_or_sourceless_labels_are_refused() -> None:
    with pytest.raises(UsageError, match="at least 30 documents"):
        validate(labels(*structured(20, 10)), replicates=5)
    with pytest.raises(UsageError, match="same level of knowledge_depth"):
        validate(labels(*(row(f"d{i}", "m", 2, practicality=i % 6) for i in range(40))), replicates=5)
    with pytest.raises(UsageError, match="1 of 40 documents have no source"):
        validate(labels(*structured(40, 0)), {f"doc-{d:04}": "s" for d in range(39)}, replicates=5)


def test_documents_without_a_score_are_left_out_and_counted() -> None:
    rows = structured(100, 40)
    rows[-1]["coherence"] = None
    found = validate(labels(*rows), replicates=10)
    assert (found.documents, found.left_out) == (99, 1)


def test_the_result_repeats_exactly_and_does_not_know_the_order_of_rows() -> None:
    rows = structured(80, 40)
    assert validate(labels(*rows), replicates=20).json() == validate(labels(*rows[::-1]), replicates=20).json()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(8, 60))
def test_rank_correlations_and_partials_are_those_of_scipy_and_statsmodels(seed: int, n: int) -> None:
    api = pytest.importorskip("statsmodels.api")
    generator = np.random.default_rng(seed)
    levels = generator.integers(0, 6, (n, 3)).astype(float)
    if (np.ptp(levels, axis=0) == 0).any():
        return
    one = c.sample(("a", "b", "c"), levels, np.empty((0, 2, 3)), np.empty(0, np.intp))
    matrix = c.correlation(one.ranks)
    assert matrix[0, 1] == pytest.approx(stats.spearmanr(levels[:, 0], levels[:, 1]).statistic, abs=1e-9)
    assert matrix[0, 1] == pytest.approx(spearman(levels[:, 0], levels[:, 1]), abs=1e-9)
    controls = generator.normal(size=(n, 2))
    design = api.add_constant(controls)
    left = [api.OLS(one.ranks[:, k], design).fit() for k in (0, 1)]
    expected = np.corrcoef(left[0].resid, left[1].resid)[0, 1]
    assert c.partial_correlation(one.ranks, controls)[0, 1] == pytest.approx(expected, abs=1e-7)
    assert c.explained(one.ranks, controls)[0] == pytest.approx(left[0].rsquared_adj, abs=1e-7)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32))
def test_the_variance_between_groups_is_that_of_the_checked_metric(seed: int) -> None:
    generator = np.random.default_rng(seed)
    x, g = generator.normal(size=40), generator.integers(0, 4, 40)
    found = c.between_groups(x, g, seed, 50)
    assert found.value == variance_share(x, g)[1]
    assert c._epsilon(x, g, 4) == pytest.approx(found.value)
    assert found.lo <= found.hi


def test_all_sets_are_tried_smaller_first() -> None:
    sets = subsets(4)
    assert len(sets) == len(set(sets)) == 15
    assert [len(one) for one in sets] == sorted(len(one) for one in sets)
