"""The whole way on a small world: lock, runs, looks, verdict; what is refused, and what a kill leaves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from curation.pipeline.errors import UsageError
from proxy_model.experiment.actions import lock_command, progress, report_command, run_command, status_command
from proxy_model.experiment.arms import build_arms, check_arms, read_arms
from proxy_model.experiment.consumption import planned
from proxy_model.experiment.lock import content, noise_key
from proxy_model.experiment.looks import LookRefused, missing, taken
from proxy_model.experiment.noise_actions import aa_command, plan_command
from proxy_model.experiment.registry import append, matching, read, records_of
from proxy_model.experiment.report.record import looks_of
from proxy_model.experiment.runs import RunName, folder_of, read_run
from proxy_model.experiment.settings import load_experiment
from proxy_model.experiment.suite import load_suite
from tests.proxy_model.experiment.lab import ab, in_process, item, make_world, write_items

TIMES = ("created", "cost")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def finished(world: Path) -> Path:
    """An experiment with its verdict."""
    path = ab(world, "planted", runs=3, guardrails=["loss_spikes", "worst_benchmark"])
    with pytest.MonkeyPatch.context() as patch:
        in_process(patch)
        lock(path)
        run(path)
    return path


@pytest.fixture
def copied(finished: Path, request: pytest.FixtureRequest) -> Path:
    """The finished experiment under a name of its own, to be damaged."""
    experiment = load_experiment(finished)
    kept = experiment.folder.with_name("kept")
    shutil.copytree(experiment.folder, kept)
    yaml = finished.read_bytes()
    request.addfinalizer(
        lambda: (shutil.rmtree(experiment.folder), kept.rename(experiment.folder), finished.write_bytes(yaml))
    )
    return finished


def lock(path: Path, *overrides: str, amend: bool = False) -> None:
    lock_command(path, list(overrides), amend=amend, yes=False, quiet=True, as_json=False)


def run(path: Path, *overrides: str) -> None:
    run_command(path, list(overrides), only=None, processes=1, quiet=True, as_json=False)


def report(path: Path, *overrides: str) -> dict[str, Any]:
    report_command(path, list(overrides), as_json=False)
    return verdict_of(path)


def verdict_of(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((load_experiment(path).folder / "verdict.json").read_bytes())
    return found


def test_a_better_mix_is_found_and_the_page_is_written(finished: Path) -> None:
    found = verdict_of(finished)
    assert found["verdict"]["label"] == "superior" and found["verdict"]["estimate"] > 0
    assert found["status"] == "locked" and found["amended"] == []
    assert [one["check"] for one in found["health"] if not one["ok"] and one["stops"]] == []
    assert len(found["runs"]) == 6 and {one["tokens"] for one in found["runs"]} == {found["runs"][0]["tokens"]}
    assert (load_experiment(finished).folder / "report.html").stat().st_size > 1000


def test_every_run_has_seeds_of_its_own(finished: Path) -> None:
    seeds = [tuple(one["seeds"].values()) for one in verdict_of(finished)["runs"]]
    assert len({one for some in seeds for one in some}) == 18


def test_scores_give_the_verdict_again_in_a_few_lines(finished: Path) -> None:
    """Mean of gold probabilities by benchmark, mean of benchmarks, difference of arms' means: no code of ours."""
    import numpy as np
    import pyarrow.parquet as pq

    experiment, means = load_experiment(finished), {}
    for arm in experiment.config.arms:
        values = []
        for number in range(3):
            rows = pq.read_table(folder_of(experiment, RunName(arm, number)) / "scores.parquet").to_pylist()
            items: dict[tuple[str, str], list[dict[str, Any]]] = {}
            for row in rows:
                items.setdefault((row["benchmark"], row["item"]), []).append(row)
            gold: dict[str, list[float]] = {}
            for (benchmark, _), some in items.items():
                powers = np.exp([one["log_likelihood"] / one["bytes"] for one in some])
                gold.setdefault(benchmark, []).append(float(powers[[one["gold"] for one in some]][0] / powers.sum()))
            values.append(np.mean([np.mean(one) for one in gold.values()]))
        means[arm] = np.mean(values)
    assert means["clean"] - means["noisy"] == pytest.approx(verdict_of(finished)["verdict"]["estimate"], rel=1e-12)


def test_an_unplanned_look_is_refused_and_written_down(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ab(world, "early")
    in_process(monkeypatch)
    lock(path)
    run_command(path, [], only="noisy:0", processes=1, quiet=True, as_json=False)
    with pytest.raises(LookRefused, match=r"1:0 runs: the next planned look is at 2:2") as refused:
        report(path)
    assert refused.value.exit_code == 1
    experiment = load_experiment(path)
    assert [(one["state"], one["runs"]) for one in taken(experiment)] == [("refused", {"noisy": 1, "clean": 0})]
    assert not (experiment.folder / "verdict.json").exists()


def test_a_config_with_other_looks_than_the_locked_ones_sees_nothing(copied: Path) -> None:
    """Else `--set runs=2` would be a look at any time, and the verdict of the restored config would not say so."""
    experiment = load_experiment(copied)
    (experiment.folder / "verdict.json").unlink()
    with pytest.raises(LookRefused, match=r"looks at 2:2 runs, locked are looks at 3:3"):
        report(copied, "runs=2")
    assert not (experiment.folder / "verdict.json").exists()
    assert taken(experiment)[-1]["state"] == "refused"


def test_runs_of_another_lock_mark_the_verdict(copied: Path) -> None:
    changed_run(copied, "clean-1", lock="0" * 32)
    found = report(copied)
    assert found["amended"] == ["1 runs were made under another lock (000000000000)"]


def test_a_registry_that_grows_meanwhile_changes_no_plan(copied: Path) -> None:
    experiment = load_experiment(copied, ["registry=true"])
    place, before = experiment.registry, experiment.registry.read_bytes() if experiment.registry.exists() else None
    try:
        append(place, records_of(experiment.folder))
        suite, arms = load_suite(experiment), read_arms(experiment)
        assert content(experiment, arms, suite)["registry"] == []
        assert matching(place, noise_key(experiment, arms, suite))
    finally:
        place.unlink()
        if before is not None:
            place.write_bytes(before)


def test_status_shows_progress_and_no_result(world: Path, finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status_command(finished, [], as_json=False)
    shown = capsys.readouterr().out
    assert "planned looks at 3:3" in shown and "noisy" in shown
    assert not any(word in shown for word in ("norm_prob", "p =", "superior", "estimate"))
    assert [row["finished"] for row in progress(load_experiment(finished))] == [3, 3]


def test_an_ablation_holds_documents_with_all_their_copies(world: Path) -> None:
    path = ab(world, "small", set={"mix.budget": 60_000, "mix.ablation": {"tokens": 16_000}})
    arms = build_arms(load_experiment(path), quiet=True)
    arm = arms["noisy"]
    assert 16_000 * 0.9 < arm.tokens < 16_000 * 1.15 and arm.mix["ablation"]["matched"]
    docs = planned(Path(arm.shards)).copies
    assert docs == pytest.approx({str(n): share for n, share in enumerate(arm.mix["repeats"]["final"]) if share})
    assert check_arms(arms) is None
    with pytest.raises(UsageError, match="some would repeat without being planned"):
        build_arms(load_experiment(path, ["train.tokens=40K"]), quiet=True)


def test_a_lock_after_the_first_run_says_so(copied: Path) -> None:
    (load_experiment(copied).folder / "lock.json").unlink()
    with pytest.raises(UsageError, match="has runs but no lock"):
        lock(copied)
    lock(copied, amend=True)
    assert "locked after the first run" in report(copied)["amended"]


def test_looks_are_taken_as_planned_and_a_decision_ends_the_experiment(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ab(world, "looks", runs=5, sequential={"method": "pocock", "looks": [3, 5]})
    in_process(monkeypatch)
    lock(path)
    run(path)
    experiment, found = load_experiment(path), verdict_of(path)
    assert found["verdict"]["look"] == 0 and found["verdict"]["label"] == "superior"
    assert [(one["state"], one["look"]) for one in taken(experiment)] == [("scheduled", 0)]
    assert read_run(experiment, RunName("clean", 3)) is None  # decided before


def test_an_e_value_may_be_looked_at_after_every_run(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ab(world, "evidence", runs=4, sequential={"method": "e_value", "effect": 4.0})
    in_process(monkeypatch)
    lock(path)
    run(path)
    found, looks = verdict_of(path), taken(load_experiment(path))
    assert [one["runs"] for one in looks] == [{"noisy": k, "clean": k} for k in range(2, 2 + len(looks))]
    assert found["verdict"]["label"] == "superior" and found["verdict"]["e_value"] >= 20


def test_a_lock_with_runs_is_not_overwritten(copied: Path) -> None:
    with pytest.raises(UsageError, match=r"hypothesis.alpha: locked 0.05, now 0.1"):
        lock(copied, "hypothesis={alpha: 0.1}")
    lock(copied, "hypothesis={alpha: 0.1}", amend=True)
    report_command(copied, ["hypothesis={alpha: 0.1}"], as_json=False)
    found = verdict_of(copied)
    assert found["status"] == "amended" and "hypothesis.alpha: locked 0.05, now 0.1" in found["amended"]


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("seed=18", "seeds.noisy: "),
        ("primary.metric=acc_norm", "primary.metric: "),
        ("primary.weights={even: 0.3, odd: 0.7}", "items.weights.even: "),
    ],
)
def test_a_changed_plan_trains_nothing_and_marks_the_verdict(copied: Path, override: str, reason: str) -> None:
    with pytest.raises(UsageError, match=f"not as it was locked(.|\n)*{reason}"):
        run(copied, override)
    report_command(copied, [override], as_json=False)
    assert any(line.startswith(reason) for line in verdict_of(copied)["amended"])


def test_a_changed_item_file_marks_the_verdict(copied: Path, world: Path) -> None:
    before = (world / "items.jsonl").read_bytes()
    try:
        write_items(world / "items.jsonl", [item(i, **({"gold": 1} if i == 4 else {})) for i in range(60)])
        found = report(copied)
    finally:
        (world / "items.jsonl").write_bytes(before)
    assert any(line.startswith("items.hash: ") for line in found["amended"])
    assert any("scored on other items" in line for line in found["amended"])
    assert found["status"] == "amended"


def test_an_edited_lock_is_refused(copied: Path) -> None:
    place = load_experiment(copied).folder / "lock.json"
    place.write_text(place.read_text().replace('"alpha": 0.05', '"alpha": 0.5'))
    with pytest.raises(UsageError, match="was edited: its hash does not fit"):
        report(copied)


def changed_run(path: Path, name: str, **values: Any) -> None:
    place = load_experiment(path).folder / "runs" / name / "run.json"
    place.write_text(json.dumps({**json.loads(place.read_text()), **values}))


def test_arms_with_other_token_budgets_are_refused(copied: Path) -> None:
    changed_run(copied, "clean-1", tokens=999)
    with pytest.raises(UsageError, match="run 1 of clean was trained on 999 tokens"):
        report(copied)


def test_a_run_counted_twice_is_refused(copied: Path) -> None:
    folder = load_experiment(copied).folder / "runs"
    changed_run(copied, "clean-1", run=json.loads((folder / "clean-0" / "run.json").read_text())["run"])
    with pytest.raises(UsageError, match="run 1 of clean is the same run as run 0 of clean"):
        report(copied)
    shutil.copy(folder / "clean-0" / "run.json", folder / "clean-1" / "run.json")
    with pytest.raises(UsageError, match="is run 0 of arm clean"):
        report(copied)


def test_scores_of_another_run_are_refused(copied: Path) -> None:
    folder = load_experiment(copied).folder / "runs"
    shutil.copy(folder / "clean-0" / "scores.parquet", folder / "clean-1" / "scores.parquet")
    with pytest.raises(UsageError, match=r"clean-1/scores.parquet holds scores of run"):
        report(copied)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("lock.json", "[]"),
        ("lock.json", '{"format": 1}'),
        ("arms/clean.json", "{}"),
        ("runs/clean-1/run.json", "[]"),
        ("runs/clean-1/run.json", '{"arm": "clean", "number": 1}'),
        ("runs/clean-1/scores.parquet", "PAR1"),
        ("runs/clean-1/steps.parquet", "PAR1"),
        ("runs/clean-1/config.json", "{}"),
    ],
)
def test_a_damaged_record_is_named(copied: Path, name: str, text: str) -> None:
    (load_experiment(copied).folder / name).write_text(text)
    with pytest.raises(UsageError, match=Path(name).parent.name or name):
        report(copied)


def test_lines_of_looks_that_are_none_are_left_out(copied: Path) -> None:
    experiment = load_experiment(copied)
    before = taken(experiment)
    with (experiment.folder / "looks.jsonl").open("ab") as file:
        file.write(b'3\n[]\n{}\n\xff\n{"time": "cut')
    assert taken(experiment) == before
    report(copied)
    assert looks_of(experiment.folder)[:-1] == before


def test_a_missing_run_is_no_look(copied: Path) -> None:
    (load_experiment(copied).folder / "runs" / "clean-2" / "run.json").unlink()
    with pytest.raises(LookRefused, match="3:2 runs"):
        report(copied)


def test_scores_of_other_items_are_refused(copied: Path) -> None:
    changed_run(copied, "clean-2", items="other")
    with pytest.raises(UsageError, match="different item files"):
        report(copied)


def test_an_excluded_run_is_replaced_by_the_next_number(copied: Path) -> None:
    changed_run(copied, "clean-1", excluded="loss spike at step 3: z = 9.0, more than 6")
    experiment = load_experiment(copied)
    assert missing(experiment, {"noisy": 3, "clean": 3}) == [RunName("clean", 3)]
    with pytest.raises(LookRefused):
        report(copied)


def test_a_killed_run_goes_on_to_the_same_verdict(finished: Path, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kill −9 of a worker after a checkpoint; then everything else here."""
    path = ab(world, "planted", runs=3, guardrails=["loss_spikes", "worst_benchmark"])
    experiment = load_experiment(path)
    kept = experiment.folder.with_name("uninterrupted")
    experiment.folder.rename(kept)
    try:
        lock(path)
        folder = folder_of(experiment, RunName("clean", 0))
        command = [sys.executable, "-m", "proxy_model.experiment.worker", str(path), "clean", "0"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
        until = time.monotonic() + 120
        while not list(folder.glob("checkpoints/*/state.json")) and time.monotonic() < until and process.poll() is None:
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not (folder / "run.json").exists() and list(folder.glob("checkpoints/*/state.json"))
        in_process(monkeypatch)
        run(path)
        made = [json.loads((one / "verdict.json").read_bytes()) for one in (kept, experiment.folder)]
    finally:
        shutil.rmtree(experiment.folder)
        kept.rename(experiment.folder)
    for one in made:
        for entry in (one, *one["runs"]):
            for key in TIMES:
                entry.pop(key, None)
    assert made[0] == made[1]


def test_runs_of_one_arm_give_sigma_and_no_verdict(
    world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = ab(world, "pilot")
    in_process(monkeypatch)
    with pytest.raises(UsageError, match=r"σ_seed(.|\n)*curate ab aa pilot\.yaml --runs 8"):
        plan_command(path, [], sigma=None, budget=None, effect=0.05, max_runs=8, as_json=False)
    aa_command(
        path, [], arm="clean", runs=4, processes=1, store=True, yes=False, quiet=True, as_json=False
    )  # fmt: skip
    assert "no verdict: both halves are the same mix" in capsys.readouterr().out
    experiment = load_experiment(path)
    record = read(experiment.registry)[-1]
    assert record.arm == "clean" and record.df == 3 and record.variance > 0
    lock(path)
    plan_command(path, [], sigma=None, budget=None, effect=0.05, max_runs=8, as_json=False)
    shown = capsys.readouterr().out
    assert "4 A/A runs of clean" in shown and "·σ_seed with 80% power" in shown and "33%" in shown


@pytest.mark.slow
def test_equal_mixes_are_not_told_apart_and_a_killed_command_resumes(world: Path) -> None:
    """A/A of two equal arms in worker processes; the whole command is killed in the middle."""
    path = ab(world, "equal", arms={"a": {"base": "clean.yaml"}, "b": {"base": "clean.yaml"}}, runs=3)
    lock(path)
    command = [sys.executable, "-m", "curation.cli", "ab", "run", str(path), "-q"]
    experiment = load_experiment(path)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not (folder_of(experiment, RunName("b", 0)) / "config.json").exists():
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert subprocess.run(command, stdout=subprocess.DEVNULL).returncode == 0
    assert verdict_of(path)["verdict"]["label"] == "inconclusive"
