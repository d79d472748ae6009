"""Verdicts: every label where it belongs, refusals instead of guesses, and invariances of the whole chain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from curation.pipeline.errors import UsageError
from proxy_model.experiment import Design, Registry, compare, compare_candidates
from proxy_model.experiment.scores import ScoreMatrix
from proxy_model.experiment.statistics.registry_prior import Noise, NoiseKey
from proxy_model.experiment.statistics.sequential import bounds
from proxy_model.experiment.statistics.simulate import Truth

from .made import TWO, matrix

KEY = NoiseKey("pico", 10**7, "two", "acc", "fp32")
PAST = Registry(tuple(Noise(KEY, 2.5e-5 * f, 4) for f in (0.8, 1.0, 1.1, 0.9, 1.3, 1.0)))


def made(effect: float, runs: tuple[int, int] = (4, 4), seed: int = 0, metric: str = "acc") -> ScoreMatrix:
    return matrix(Truth(runs, TWO, 0.005, effect), seed, metric)


@pytest.mark.parametrize(
    ("effect", "margin", "label"),
    [
        (0.05, None, "superior"),
        (-0.05, None, "inferior"),
        (0.0, None, "inconclusive"),
        (0.0, 0.05, "equivalent"),
        (-0.05, 0.01, "inferior"),
    ],
)
def test_labels(effect: float, margin: float | None, label: str) -> None:
    assert compare(made(effect, seed=3), Design(margin=margin)).label == label


def test_non_inferior_where_only_the_lower_side_is_shown() -> None:
    labels = set()
    for seed in range(8):
        found = compare(made(0.012, seed=seed), Design("non_inferiority", margin=0.015))
        labels.add(found.label)
        if "non_inferior" in found.claims:
            assert found.p <= 0.05
            assert found.bounds[0] >= -0.015
    assert "non_inferior" in labels


def test_a_verdict_says_what_could_have_been_found() -> None:
    found = compare(made(0.0, seed=3), Design())
    assert found.label == "inconclusive"
    assert found.mde_achieved > found.estimate
    assert found.mde_in_sigma == pytest.approx(found.mde_achieved / found.sigma_seed)
    assert found.ci[0] < found.estimate < found.ci[1]
    assert [b.benchmark for b in found.per_benchmark] == ["b0", "b1"]
    assert any("not valid" in line.note for line in found.robustness)
    assert all(b.holm >= b.p for b in found.per_benchmark)


def test_p_bound_and_label_agree_over_many_experiments() -> None:
    for seed in range(30):
        found = compare(made(0.008, seed=seed), Design())
        assert (found.p <= 0.05) == (found.bounds[0] >= 0) == ("superior" in found.claims)


def test_two_sided_halves_the_level_and_doubles_the_p() -> None:
    one, two = (compare(made(0.01, seed=5), Design(two_sided=flag)) for flag in (False, True))
    assert two.level == 0.025
    assert two.p == pytest.approx(2 * one.p, rel=1e-9) or one.p < 0.025  # under .025 the tail rule makes p larger
    assert two.p >= one.p


def test_smaller_is_better_for_bits_per_byte() -> None:
    assert compare(made(-0.05, metric="bpb"), Design()).label == "superior"
    assert compare(made(-0.05, metric="bpb"), Design()).estimate > 0


def test_swapped_arms_swap_the_verdict() -> None:
    there = made(0.05)
    back = there.only("new", "base")
    assert compare(there, Design()).label == "superior"
    assert compare(back, Design()).label == "inferior"
    assert compare(back, Design()).estimate == pytest.approx(-compare(there, Design()).estimate)


def test_worse_is_said_only_where_the_interval_says_it_too() -> None:
    found = [compare(made(-0.008, seed=seed), Design()) for seed in range(60)]
    assert all(one.ci[1] < 0 for one in found if one.label == "inferior")
    assert any(one.label == "inferior" for one in found)
    between = [one for one in found if 0.955 < one.p < 0.97]  # below zero at 5 % in that direction alone
    assert between and all(one.label == "inconclusive" and one.ci[1] > 0 for one in between)


def test_one_run_per_arm_gives_no_verdict_without_a_registry() -> None:
    with pytest.raises(UsageError, match="no verdict"):
        compare(made(0.05, (1, 1)), Design())
    with pytest.raises(UsageError, match="no verdict"):
        compare(made(0.05, (5, 1)), Design())
    with pytest.raises(UsageError, match="no verdict"):
        compare(made(0.05, (1, 1)), Design(key=replace(KEY, tokens=1)), PAST)


def test_one_run_is_tested_against_a_registry_or_a_planned_pool() -> None:
    found = compare(made(0.05, (1, 1)), Design(key=KEY), PAST)
    assert found.label == "superior"
    assert found.df >= 12  # ν₀ = 2 × 6 experiments; item noise, counted in V once more, has more
    assert any("not testable" in line for line in found.assumptions)
    assert found.per_benchmark == ()
    assert compare(made(0.06, (8, 1)), Design(baseline_pool=True)).label == "superior"


def test_a_registry_sharpens_few_runs_and_is_named() -> None:
    plain = compare(made(0.02, (2, 2)), Design())
    helped = compare(made(0.02, (2, 2)), Design(key=KEY), PAST)
    assert helped.mde_achieved < plain.mde_achieved
    assert any("6 earlier experiments" in line for line in helped.assumptions)
    assert any(line.name == "without the registry" for line in helped.robustness)
    unknown = compare(made(0.02, (2, 2)), Design(key=replace(KEY, tokens=1)), PAST)
    assert unknown.p == plain.p
    assert any("was not used" in line for line in unknown.warnings)


def test_only_planned_looks_are_taken_and_each_at_its_level() -> None:
    plan = bounds(((3, 3), (5, 5)), replicates=20_000)
    design = Design(bounds=plan, mde=0.02)
    first = compare(made(0.1, (3, 3)), design)
    assert (first.look, first.final, first.label) == (0, False, "superior")
    assert first.level == plan.levels[0]
    assert first.df == 4
    hopeless = compare(made(-0.05, (3, 3)), design)
    assert hopeless.conditional_power is not None
    assert hopeless.conditional_power < 0.1
    assert compare(made(0.1, (5, 5)), design).final
    with pytest.raises(UsageError, match="unscheduled"):
        compare(made(0.1, (4, 4)), design)


def test_looks_planned_with_another_registry_are_refused() -> None:
    plan = bounds(((3, 3), (5, 5)), replicates=20_000)
    with pytest.raises(UsageError, match="another noise registry"):
        compare(made(0.1, (3, 3)), Design(bounds=plan, key=KEY), PAST)


def test_e_value_mode_decides_by_evidence() -> None:
    assert compare(made(0.1, (5, 5)), Design(e_effect=2.0)).label == "superior"
    found = compare(made(0.0, (5, 5), seed=1), Design(e_effect=2.0))
    assert found.label == "inconclusive"
    assert found.e_value is not None
    assert found.e_value < 20


def test_duplicated_items_of_a_cluster_change_nothing_but_the_count() -> None:
    """A unit is a cluster's mean, so a passage whose items stand there twice is the same unit of the same weight."""
    one = made(0.01)
    assert compare(one, Design()).p == compare(replace(one, items=2 * one.items), Design()).p


def test_several_candidates_are_judged_together() -> None:
    base, better = made(0.0, (6, 4), seed=2), made(0.05, (6, 4), seed=2)
    third = replace(
        base,
        arms=("base", "same", "better"),
        runs=(*(("base", i) for i in range(6)), *(("same", i) for i in range(4)), *(("better", i) for i in range(4))),
        y=np.vstack([base.y, better.y[6:]]),
    )
    verdicts, table = compare_candidates(third, Design())
    assert verdicts["better"].label == "superior"
    assert verdicts["better"].level == 0.025
    assert [c.name for c in table] == ["same", "better"]
    assert all(c.holm >= c.p for c in table)
    with pytest.raises(UsageError, match="two arms"):
        compare(third, Design())


def test_runs_that_are_copies_are_refused() -> None:
    same = made(0.0)
    flat = replace(same, y=np.repeat(same.y[:1], 8, axis=0))
    with pytest.raises(UsageError, match="seeds"):
        compare(flat, Design())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"alpha": 0.7}, "alpha"),
        ({"kind": "equivalence"}, "margin"),
        ({"margin": -1.0}, "above 0"),
        ({"e_effect": -1.0}, "e-value"),
    ],
)
def test_designs_without_sense_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Design(**settings)  # type: ignore[arg-type]
