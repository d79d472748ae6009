"""Health checks and guardrails: what they catch, what they let pass, and that they see no scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from proxy_model.experiment.guardrails import difference, guardrails
from proxy_model.experiment.health import Check, health_checks

ARMS = {
    "base": {"sources": {"books": 0.35, "pages": 0.65}, "copies": {"1": 0.5, "2": 0.5}},
    "new": {"sources": {"books": 0.5, "pages": 0.5}, "copies": {"1": 1.0}},
}


def run(arm: str, number: int, **other: Any) -> dict[str, Any]:
    """A run that did what its plan says."""
    plan = ARMS[arm]
    return {
        "arm": arm, "number": number, "excluded": None, "seeds": {"init": 100 * (arm == "new") + number},
        "tokens": 200_704, "steps": 98, "training": "t", "lr_sum": 0.098, "skipped": 0, "spikes": 0,
        "consumed": {name: round(share * 200_000) for name, share in plan["sources"].items()},
        "copies": {name: round(share * 200_000) for name, share in plan["copies"].items()},
        "bpb": {"all": 1.3 + 0.001 * number, "source:books": 1.4 + 0.001 * number},
    } | other  # fmt: skip


def all_runs(**changed: Any) -> list[dict[str, Any]]:
    """Three runs an arm; the keywords change the last."""
    some = [run(arm, k) for arm in ARMS for k in range(3)]
    return [*some[:-1], some[-1] | changed]


def found(runs: list[dict[str, Any]]) -> dict[str, Check]:
    return {one.check: one for one in health_checks({"runs": {"base": 3, "new": 3}}, ARMS, runs)}


def test_a_run_as_planned_passes_every_check() -> None:
    assert all(one.ok for one in found(all_runs()).values())


@pytest.mark.parametrize(
    ("changed", "check", "stops", "said"),
    [
        ({"consumed": {"books": 98_900, "pages": 101_100}}, "token shares", True,
         "new-2 read 49.45 % books, planned 50.00 %"),
        ({"consumed": {"books": 100_000, "pages": 98_000, "code": 2_000}}, "token shares", True, "new-2"),
        ({"copies": {"1": 190_000, "2": 10_000}}, "repetition", False, "1.05 times"),
        ({"tokens": 198_656}, "equal tokens", True, "base-0 200,704, new-2 198,656"),
        ({"steps": 97}, "equal steps", True, "steps"),
        ({"lr_sum": 0.0981}, "equal learning rate", True, "learning rates"),
        ({"training": "u"}, "same training", True, "differs between base-0 and new-2"),
        ({"seeds": {"init": 0}}, "different seeds", True, "new-2 has the seeds of base-0"),
        ({"skipped": 4}, "no skipped steps", False, "new-2 left out 4"),
        ({"excluded": "loss spike at step 9"}, "all planned runs", True, "new has 2 of 3"),
    ],
)  # fmt: skip
def test_each_departure_is_caught_and_told(changed: dict[str, Any], check: str, stops: bool, said: str) -> None:
    one = found(all_runs(**changed))[check]
    assert (one.ok, one.stops) == (False, stops) and said in one.detail


def test_the_limit_of_token_shares_is_half_a_point() -> None:
    assert found(all_runs(consumed={"books": 99_100, "pages": 100_900}))["token shares"].ok


def test_checks_see_no_scores() -> None:
    worse = [one | {"weighted": 0.1 * i, "scores": {"arc": 0.1 * i}} for i, one in enumerate(all_runs())]
    assert found(worse) == found(all_runs())


def test_exclusions_that_fall_on_one_arm_are_told() -> None:
    out = [run("new", k, excluded="loss spike at step 40") for k in range(3, 8)]
    one = found([*all_runs(), *out])["exclusions"]
    assert one.ok and "5 of 8 in new" in one.detail
    more = [run("base", k) for k in range(3, 12)]
    assert not found([*all_runs(), *out, *more])["exclusions"].ok


def test_text_is_held_to_its_margin_by_the_upper_limit() -> None:
    values = {"base": [1.300, 1.301, 1.302], "new": [1.302, 1.303, 1.304]}
    runs = [run(arm, k, bpb={"all": v}) for arm, some in values.items() for k, v in enumerate(some)]
    states = {}
    for margin in (0.005, 0.003, 0.001):
        (one,) = guardrails([{"bpb": "all", "margin": margin}], runs, "base", "new")
        states[margin] = one.state
    assert states == {0.005: "held", 0.003: "unproven", 0.001: "broken"}


def test_every_source_is_held_and_one_can_be_named() -> None:
    names = [one.name for one in guardrails([{"bpb": "source", "margin": 0.1}], all_runs(), "base", "new")]
    assert names == ["bits per byte, source books"]
    (missing,) = guardrails([{"bpb": "code", "margin": 0.1}], all_runs(), "base", "new")
    assert missing.state == "unproven" and not missing.ok


def test_the_limits_are_those_of_the_pooled_t() -> None:
    from scipy import stats

    a, b = np.array([1.0, 1.2, 0.9, 1.1]), np.array([1.3, 1.1, 1.4])
    interval = stats.ttest_ind(b, a).confidence_interval(0.9)
    assert difference(a, b, 0.05)[1:] == pytest.approx((interval.low, interval.high))


def test_spikes_are_compared_by_step_and_lost_benchmarks_by_holm() -> None:
    calm, wild = guardrails(["loss_spikes"], all_runs(), "base", "new")[0], all_runs(spikes=9)
    assert calm.state == "held" and guardrails(["loss_spikes"], wild, "base", "new")[0].state == "broken"
    lines = [{"benchmark": "arc", "estimate": -0.02, "ci": (-0.03, -0.01), "holm": 0.01}]
    assert guardrails(["worst_benchmark"], [], "base", "new", benchmarks=lines)[0].state == "broken"
    assert guardrails(["worst_benchmark"], [], "base", "new", benchmarks=[lines[0] | {"holm": 0.2}])[0].ok


def test_numbers_that_json_has_not_are_null() -> None:
    assert guardrails(["contamination"], [], "base", "new")[0].to_json()["estimate"] is None


def test_an_ablation_that_strays_from_its_mix_is_told_and_stops_nothing() -> None:
    def checks(books: float) -> dict[str, Check]:
        arms = ARMS | {"new": ARMS["new"] | {"mix": {"books": books, "pages": 1 - books}}}
        return {one.check: one for one in health_checks({"runs": {"base": 3, "new": 3}}, arms, all_runs())}

    told = checks(0.4)["ablation follows its mix"]
    assert not told.ok and not told.stops and "its ablation holds 50.00 % books, the mix 40.00 %" in told.detail
    assert checks(0.4)["token shares"].ok
    assert checks(0.496)["ablation follows its mix"].ok
    assert "ablation follows its mix" not in checks(0.5)
