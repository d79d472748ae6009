"""Agreement: passes of one family are test–retest, families are cross-judge, and each gate says what it is."""

from __future__ import annotations

import math

import pytest

from curation.pipeline.errors import UsageError
from quality.analysis.agreement import agree, disputes
from quality.analysis.drift import drift, fixed_levels
from quality.analysis.judgements import cross_pairs, judgements, retest_pairs
from quality.labels.combine import combine
from tests.quality.analysis.examples import labels, row, structured, table


def test_passes_of_one_judge_are_retests_and_families_are_compared_by_their_first_pass() -> None:
    made = labels(row("a", "m"), row("a", "m#2"), row("a", "m#3"), row("a", "other"), row("b", "m"), row("b", "other"))
    assert len(retest_pairs(made)) == 3
    pairs = cross_pairs(made)
    named = [{made.judges[made.judge[i]] for i in (a, b)} for a, b in zip(pairs.left, pairs.right, strict=True)]
    assert named == [{"m", "other"}, {"m", "other"}]
    joined = labels(row("a", "x-1"), row("a", "x-2"), families={r"x-\d": "x"})
    assert (len(retest_pairs(joined)), len(cross_pairs(joined))) == (1, 0)


def test_identical_judges_pass_every_gate_that_was_measured() -> None:
    rows = [row(f"d{i}", judge, i % 6, category=("food", "games")[i % 2]) for i in range(100) for judge in ("m", "m#2")]
    made = agree(labels(*rows), replicates=50)
    assert {gate.result for gate in made.gates if gate.kind == "test–retest"} == {"pass"}
    assert {gate.result for gate in made.gates if gate.kind == "cross-judge"} == {"not measured"}
    assert made.kinds[0].scores["practicality"].qwk.value == 1
    near = made.kinds[0].scores["practicality"].within_one
    assert near.value == near.hi == 1
    assert 0.95 < near.lo < 1  # a hundred hits do not prove a share of 1


def test_a_judge_that_guesses_fails() -> None:
    rows = []
    for i in range(60):
        rows += [row(f"d{i}", "m", i % 6), row(f"d{i}", "other", (i * 5 + i // 6) % 6, category="games")]
    made = agree(labels(*rows), replicates=50)
    assert {gate.result for gate in made.gates if gate.kind == "cross-judge"} == {"fail"}
    kappa = next(gate for gate in made.gates if gate.subject == "category" and gate.kind == "cross-judge")
    assert kappa.found.value == 0
    assert kappa.result == "fail"


def test_one_document_or_one_level_for_all_measures_nothing() -> None:
    alone = agree(labels(row("a", "m")), replicates=10)
    assert alone.kinds == []
    assert {gate.result for gate in alone.gates} == {"not measured"}
    same = agree(labels(*(row(f"d{i}", j) for i in range(5) for j in ("m", "m#2"))), replicates=10)
    assert math.isnan(same.kinds[0].scores["practicality"].qwk.value)
    assert same.usage[0].unused == [0, 1, 3, 4, 5]
    assert same.usage[0].entropy == 0


def test_secondary_scores_may_be_missing() -> None:
    rows = [row(f"d{i}", j, i % 6, coherence=None) for i in range(10) for j in ("m", "m#2")]
    made = agree(labels(*rows), replicates=10)
    assert "coherence" not in made.kinds[0].scores
    assert "helpfulness" in made.kinds[0].scores


@pytest.mark.parametrize(
    ("second", "reasons"),
    [
        ({"knowledge_depth": 4}, ["knowledge_depth 2 and 4"]),
        ({"practicality": 3}, []),
        ({"category": "games"}, ["two categories, both sure"]),
        ({"category": "games", "confidence": 0.7}, ["two categories, both sure"]),
        ({"category": "games", "confidence": 0.69}, []),
        ({"category": "games", "confidence": None}, []),
        ({"coherence": 5}, []),
    ],
)
def test_the_queue_for_a_third_judge_is_the_adjudication_rule(second: dict[str, object], reasons: list[str]) -> None:
    rows = [row("a", "m"), row("a", "m#2", **second)]
    found = disputes(labels(*rows))
    assert [one.reasons for one in found] == ([reasons] if reasons else [])
    assert combine([table(rows)])["needs_third_judge"].to_pylist() == [bool(reasons)]


def test_a_third_judgement_settles_a_dispute() -> None:
    assert disputes(labels(row("a", "m", 0), row("a", "m#2", 5), row("a", "other", 3))) == []


def test_drift_stops_on_the_mean_or_on_two_anchors_far_off() -> None:
    fixed = fixed_levels(labels(*(row(f"a{i}", "fixed", 2) for i in range(10))))

    def judged(*levels: int) -> bool:
        found = drift(labels(*(row(f"a{i}", "m", level) for i, level in enumerate(levels))), fixed)
        return next(one for one in found if one.dimension == "practicality").stop

    assert not judged(3, 3, 3, 2, 2, 2, 2, 2, 2, 2)  # 0.3 is not more than 0.3
    assert judged(3, 3, 3, 3, 2, 2, 2, 2, 2, 2)
    assert not judged(4, 2, 2, 2, 2, 2, 2, 2, 2, 2)
    assert judged(4, 0, 2, 2, 2, 2, 2, 2, 2, 2)
    assert drift(labels(row("elsewhere", "m")), fixed) == []
    with pytest.raises(UsageError, match="more than one label"):
        fixed_levels(labels(row("a", "m"), row("a", "m#2")))


def test_labels_that_contradict_each_other_are_refused_and_repeats_count_once() -> None:
    one = table([row("a", "m", 1)])
    assert len(judgements([one, one])) == 1
    with pytest.raises(UsageError, match="two different labels by 'm'"):
        judgements([one, table([row("a", "m", 2)])])
    with pytest.raises(UsageError, match="no labels"):
        judgements([one.slice(0, 0)])


def test_the_order_of_rows_does_not_matter() -> None:
    rows = structured(60, 30)
    assert agree(labels(*rows), replicates=20).json() == agree(labels(*rows[::-1]), replicates=20).json()
