"""Plans, simulations and A/A: numbers that a user decides by, against their formulas."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

pytest.importorskip("torch")

from curation.pipeline.errors import UsageError
from proxy_model.experiment.aa import analyse
from proxy_model.experiment.design import design_of, refuse_single_runs
from proxy_model.experiment.noise_actions import plan_command, simulate_command
from proxy_model.experiment.planning import Noise, make_plan, stated
from proxy_model.experiment.scores import ScoreMatrix
from proxy_model.experiment.settings import ExcludeConfig, load_experiment
from proxy_model.experiment.simulation import simulated, truth_of
from proxy_model.experiment.spike_rule import excluded
from proxy_model.experiment.statistics.power import run_mde
from proxy_model.experiment.statistics.registry_prior import Prior
from proxy_model.experiment.suite import load_suite
from tests.proxy_model.experiment.lab import item, write_items
from tests.proxy_model.experiment.test_ab_config import write

KEY = {
    "registry": [],
    "key": {"model": "m", "tokens": 1, "suite": "s", "metric": "norm_prob_byte", "precision": "fp32"},
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    write_items(tmp_path / "items.jsonl", [item(i) for i in range(60)])
    return write(tmp_path, workdir=str(tmp_path / "runs"))


def test_a_plan_says_what_the_configured_runs_can_detect(config: Path) -> None:
    experiment = load_experiment(config, ["primary.units=fixed"])
    noise = Noise(stated(load_suite(experiment), 0.004), "stated", None, None)
    found = make_plan(experiment, noise, effect=0.01)
    assert found.mde_in_sigma == pytest.approx(run_mde((5, 5)), rel=1e-6)
    assert "5 baseline and 5 candidate runs) you can detect 0.006" in found.sentence
    assert found.power > 0.8 and sum(found.best.runs) < 10  # 2.5 σ needs fewer
    assert found.paper.nominal == 0.05 and found.paper.actual == pytest.approx(0.326, abs=0.002)


def test_one_run_per_arm_is_refused_unless_exploratory(config: Path) -> None:
    with pytest.raises(UsageError, match="one run shows no variance between runs"):
        plan_command(config, ["runs=1"], sigma=0.004, budget=None, effect=0.01, max_runs=8, as_json=False)
    experiment = load_experiment(config, ["runs=1"])
    with pytest.raises(UsageError, match="exploratory: true, without a verdict"):
        design_of(experiment, KEY)
    assert design_of(load_experiment(config, ["runs=1", "exploratory=true"]), KEY).alpha == 0.05
    refuse_single_runs([1, 1], Prior(1e-5, 8, 4))
    refuse_single_runs([3, 1], None)


def test_without_sigma_the_pilot_is_named(config: Path) -> None:
    with pytest.raises(UsageError, match=r"curate ab aa ab\.yaml --runs 8(.|\n)*--sigma"):
        plan_command(config, [], sigma=None, budget=None, effect=0.01, max_runs=8, as_json=False)


def test_plan_and_simulation_print_json(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan_command(config, [], sigma=0.004, budget=10, effect=None, max_runs=8, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["runs"] == [5, 5] and found["noise"]["sigma_seed"] == 0.004 and found["best"]["cost"] <= 10
    simulate_command(config, ["runs=3"], sigma=0.004, effect=0.012, replicates=400, as_json=True)
    made = json.loads(capsys.readouterr().out)
    assert made["null"]["rejected"]["hits"] / 400 < 0.1 < made["at"]["rejected"]["hits"] / 400


@pytest.mark.parametrize("effect", [0.0, -0.01, float("nan"), float("inf")])
def test_an_effect_that_is_none_is_refused(config: Path, effect: float) -> None:
    with pytest.raises(UsageError, match="--effect"):
        plan_command(config, [], sigma=0.004, budget=None, effect=effect, max_runs=8, as_json=False)
    with pytest.raises(UsageError, match="--effect"):
        simulate_command(config, [], sigma=0.004, effect=effect, replicates=100, as_json=False)


def test_a_simulation_tests_each_of_several_candidates_at_its_share_of_alpha(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arm = "{set: {mix.preset: proportional}}"
    simulate_command(
        config, [f"arms={{a: {arm}, b: {arm}, c: {arm}}}"], sigma=0.004, effect=None, replicates=100, as_json=False
    )
    assert "planned at most 0.025" in capsys.readouterr().out


def test_a_damaged_pilot_is_named(config: Path) -> None:
    folder = load_experiment(config).folder
    pilot = folder.with_name(f"{folder.name}-aa") / "aa.json"
    pilot.parent.mkdir(parents=True)
    for text in ('{"aa', "[]", "{}"):
        pilot.write_text(text)
        with pytest.raises(UsageError, match=r"aa\.json is damaged"):
            plan_command(config, [], sigma=None, budget=None, effect=0.01, max_runs=8, as_json=False)


def test_a_simulation_keeps_the_level_and_the_naive_test_does_not(config: Path) -> None:
    experiment = load_experiment(config, ["runs=3", "sequential={method: obf, looks: [2, 3]}"])
    parts = stated(load_suite(experiment), 0.02)
    assert truth_of(parts, (3, 3)).components().sigma_seed == pytest.approx(0.02, rel=1e-6)
    found = simulated(parts, (3, 3), design_of(experiment, KEY), effect=None, replicates=1500, seed=1)
    assert found.null.rejected.compatible(0.03, 0.06) and found.null.naive.rate > 0.15
    assert found.looks is not None and found.looks.compatible(0.0, 0.052)


def made_runs(runs: int, items: int, run_sd: float, seed: int) -> ScoreMatrix:
    draw = np.random.default_rng(seed)
    y = 0.4 + draw.normal(0, 0.2, items) + draw.normal(0, 0.05, (runs, items)) + draw.normal(0, run_sd, (runs, 1))
    names = [("A", i) for i in range(runs // 2)] + [("B", i) for i in range(runs - runs // 2)]
    return ScoreMatrix(
        ("A", "B"), tuple(names), ("x",), np.zeros(items, np.int64), tuple(map(str, range(items))),
        np.full(items, 1 / items), y, "norm_prob_byte", items,
    )  # fmt: skip


def test_an_aa_looks_at_every_split_and_measures_sigma() -> None:
    matrix = made_runs(8, 400, 0.01, 3)
    found = analyse(matrix, "random", 0)
    assert found.splits == 35 and found.exact
    assert found.sigma_seed == pytest.approx(float(np.std(matrix.y.mean(1), ddof=1)))
    assert found.components.sigma_seed == pytest.approx(max(found.sigma_seed, found.item_noise))
    assert found.item_noise == pytest.approx(0.05 / 20, rel=0.1)
    means = matrix.y.mean(1)
    assert found.largest == pytest.approx(max(abs(means[list(s)].sum() * 2 - means.sum()) / 4 for s in _halves(8)))


def test_aa_splits_reject_at_about_the_level_over_many_pilots() -> None:
    found = [analyse(made_runs(6, 60, 0.01, seed), "random", 0) for seed in range(150)]
    rate = sum(one.rejected for one in found) / sum(one.splits for one in found)
    assert stats.binom.sf(round(rate * 150), 150, 0.05) > 1e-3


def _halves(runs: int) -> list[tuple[int, ...]]:
    from itertools import combinations

    return [s for s in combinations(range(runs), runs // 2) if 0 in s]


def test_runs_are_excluded_by_their_loss_alone() -> None:
    def steps(**at: float) -> pa.Table:
        losses = [3 + 3 * 0.9**i + 0.02 * (i % 3) for i in range(80)]
        for place, value in at.items():
            losses[int(place[1:])] = value
        return pa.table({"step": range(80), "loss": losses, "skipped": [False] * 80})

    rule = ExcludeConfig()
    assert excluded(steps(), rule) is None
    assert "loss spike at step 60" in str(excluded(steps(s60=9.0), rule))
    assert excluded(steps(s60=9.0), ExcludeConfig(rule="none")) is None
    assert excluded(steps(s10=9.0), rule) is None  # too early to tell
