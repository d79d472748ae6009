"""Promises of mixture regression: it ranks unseen mixes, says how sure it is, and proposes only what can be had."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation.pipeline.errors import UsageError
from mixing.inventory.cells import Cells
from mixing.plan import Infeasible, PlanConfig
from mixing.regression import models, search
from mixing.regression.action import Limits, print_regression, regress
from mixing.regression.choose import cross_validate, folds_of, spearman
from mixing.regression.exponential import fit_exponential
from mixing.regression.fitted import Regression, fit
from mixing.regression.models import GaussianProcess, usable
from mixing.regression.propose import projector, propose
from tests.mixing.regression.synthetic import SOURCES, law, some_runs, write_csv

pytest.importorskip("sklearn")


@pytest.fixture(scope="module", autouse=True)
def few_trees() -> Iterator[None]:
    """Time: trees and projections are most of it, and few are enough for these runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(models.TREES, "max_iter", 40)
        patch.setattr(search, "PROJECTED", 64)
        yield


@pytest.fixture(scope="module")
def fitted(few_trees: None) -> Regression:
    return fit(some_runs(48))


def cells(tokens: int = 1_000_000) -> Cells:
    n = len(SOURCES)
    return Cells(
        SOURCES, ("x",) * n, np.full(n, 2, np.int8), np.full(n, tokens), np.full(n, 1_000), np.zeros(n), np.full(n, 9)
    )


def test_unseen_mixes_are_ranked(fitted: Regression) -> None:
    unseen = some_runs(200, seed=1)
    truth = law(unseen.weights)
    assert spearman(fitted.target(unseen.weights), truth.mean(1)) > 0.95
    for task in range(truth.shape[1]):
        assert spearman(fitted.losses(unseen.weights)[:, task], truth[:, task]) > 0.95


def test_intervals_hold_what_they_say(fitted: Regression) -> None:
    unseen = some_runs(400, seed=2)
    low, high = fitted.interval(unseen.weights)
    observed = unseen.losses.mean(1)
    assert 0.8 <= ((low <= observed) & (observed <= high)).mean() <= 0.99
    low, high = fitted.task_intervals(unseen.weights)
    assert 0.8 <= ((low <= unseen.losses) & (unseen.losses <= high)).mean() <= 0.97


def test_no_run_is_predicted_by_a_model_that_saw_it() -> None:
    runs = some_runs(20)
    runs = type(runs)(runs.sources, ("prose",), runs.weights, runs.losses[:, :1])
    seen: list[Any] = []

    class Watched:
        def __init__(self, weights: Any) -> None:
            self.weights = weights

        def predict(self, weights: Any) -> Any:
            seen.append(bool((weights[:, None] == self.weights).all(2).any()))
            return np.arange(len(weights), dtype=float)

    cross_validate(runs, {"watched": lambda weights, losses: Watched(weights), "gp": GaussianProcess})
    assert seen == [False] * 10


def test_folds_follow_the_mix_and_not_its_row() -> None:
    weights = some_runs(30).weights
    weights[7] = weights[3]  # one mix run twice
    fold = folds_of(weights, 17)
    assert fold[7] == fold[3]
    turned = folds_of(weights[::-1], 17)
    assert np.array_equal(turned[::-1], fold)
    assert set(np.bincount(fold)) <= {2, 3, 4}


def test_the_best_model_of_each_task_is_taken_and_all_scores_stand_there(fitted: Regression) -> None:
    scores = fitted.validated.scores
    assert set(scores) == {"exponential", "ridge", "gp", "trees"}
    for task, chosen in enumerate(fitted.validated.chosen):
        assert scores[chosen][task] == max(one[task] for one in scores.values())


def test_a_task_of_weight_0_is_no_part_of_the_target() -> None:
    runs = some_runs(24)
    one = fit(runs, {"prose": 2.0, "talk": 0.0})
    assert one.runs.tasks == ("prose",)
    assert np.array_equal(one.target(runs.weights), one.losses(runs.weights)[:, 0])
    for wrong, message in (
        ({"prosa": 1.0}, "did you mean"),
        ({"prose": 0.0}, "weight 0"),
        ({"prose": -1.0}, "at least 0"),
    ):
        with pytest.raises(UsageError, match=message):
            fit(runs, wrong)


def test_a_task_that_never_changes_harms_nothing() -> None:
    runs = some_runs(24)
    runs.losses[:, 1] = 3.0
    found = fit(runs)
    assert np.allclose(found.losses(runs.weights)[:, 1], 3.0, atol=1e-3)
    assert np.isfinite(found.interval(runs.weights)).all()


def test_the_exponential_law_finds_its_own() -> None:
    runs = some_runs(40)
    t = np.array([-2.0, 0.5, 0.0, -0.5, 1.0])
    losses = 1.5 + 0.8 * np.exp(runs.weights @ t)
    found = fit_exponential(runs.weights, losses)
    assert np.abs(found.predict(runs.weights) - losses).max() < 0.01


def test_models_with_more_parameters_than_runs_are_left_out() -> None:
    assert set(usable(5, 11)) == {"exponential", "ridge", "gp", "trees"}
    assert set(usable(5, 10)) == {"exponential", "gp", "trees"}
    assert set(usable(5, 6)) == {"gp", "trees"}


def test_the_proposal_is_near_the_true_best_and_better_than_any_run(fitted: Regression) -> None:
    made = propose(fitted)
    everywhere = np.random.Generator(np.random.PCG64(5)).dirichlet(np.ones(5), 20_000)
    truth = float(law(made.best.weights[None]).mean())
    assert truth < law(fitted.runs.weights).mean(1).min()
    assert truth < law(everywhere).mean(1).min() + 0.02
    assert made.best.low < made.best.predicted < made.best.high
    assert np.isclose(made.best.weights.sum(), 1)
    assert (made.best.weights <= fitted.runs.weights.max(0) + 1e-9).all()


def test_a_feasible_proposal_keeps_caps(fitted: Regression) -> None:
    project = projector(SOURCES, cells(), 9_000_000, PlanConfig(caps=(2, 2, 2, 2, 2), floors=0.0))
    made = propose(fitted, project)
    assert made.feasible is not None and made.gap is not None
    assert (made.feasible.weights * 9_000_000 <= 2_000_000 * (1 + 1e-9)).all()
    assert made.gap >= 0
    assert all((one.weights * 9_000_000 <= 2_000_000 * (1 + 1e-9)).all() for one in made.next)
    with pytest.raises(Infeasible):
        propose(fitted, projector(SOURCES, cells(), 11_000_000, PlanConfig(caps=(2, 2, 2, 2, 2))))


def test_next_runs_are_uncertain_ones_and_no_two_alike(fitted: Regression) -> None:
    made = propose(fitted, following=5).next
    assert len(made) == 5
    width = [one.high - one.low for one in made]
    low, high = fitted.interval(fitted.runs.weights)
    assert width[0] > np.median(high - low)
    assert min(np.abs(a.weights - b.weights).sum() for i, a in enumerate(made) for b in made[:i]) > 0.05


def test_names_of_runs_and_documents_must_agree() -> None:
    for sources, message in (
        ((*SOURCES[:-1], "wab"), "did you mean"),
        (SOURCES[:-1], "'web' that no run used"),
    ):
        with pytest.raises(UsageError, match=message):
            projector(sources, cells(), 1_000, PlanConfig())
    short = tuple(one[0] for one in SOURCES)
    projector(short, cells(), 1_000, PlanConfig(), dict(zip(short, SOURCES, strict=True)))


def test_the_whole_is_repeatable_and_printable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_csv(tmp_path / "runs.csv", some_runs(24))
    limits = Limits(cells(), 3_000_000, PlanConfig())
    first = regress([path], tasks={"prose": 1.0}, limits=limits, following=3)
    assert first == regress([path], tasks={"prose": 1.0}, limits=limits, following=3)
    print_regression(first)
    text = capsys.readouterr().out
    assert all(word in text for word in ("best feasible", "caps and floors at 3,000,000 tokens", "next runs", "gp"))


def test_rows_in_another_order_give_the_same_choice(tmp_path: Path) -> None:
    runs = some_runs(24)
    a = fit(runs, {"talk": 1.0}).target_scores
    b = fit(runs.take(np.arange(24)[::-1]), {"talk": 1.0}).target_scores
    assert a == pytest.approx(b, abs=1e-6)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r"curate-lm\[regress\]"):
        regress([tmp_path / "runs.csv"])
