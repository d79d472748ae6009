"""Promises of the guard rail: a run stops before large losses are final, keeps its results, goes on with --yes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from curation.pipeline.config import load
from curation.pipeline.confirm import NeedsConfirmation
from curation.pipeline.errors import CurateError
from curation.pipeline.plan import State, build
from curation.pipeline.run import run
from tests.curation.commands.test_commands import curate
from tests.curation.dedup.test_minhash import changed, join, prose, write_config


@pytest.fixture
def all_one(tmp_path: Path) -> Path:
    """A source that is one document in 40 versions, and one where nothing is alike."""
    sources = {
        "templates": {f"t{i}": join(changed(prose(1), 1, i)) for i in range(40)},
        "fine": {f"f{i}": join(prose(100 + i)) for i in range(10)},
    }
    return write_config(tmp_path, sources)


def test_a_source_that_is_all_one_document_stops_the_run(all_one: Path, tmp_path: Path) -> None:
    with pytest.raises(NeedsConfirmation) as stopped:
        run(load(all_one, []), quiet=True)
    message = str(stopped.value)
    assert "source templates: dedup removes 39 of its 40 documents (97.5%)" in message
    assert "source fine" not in message
    assert message.count(" is like templates/") == 20
    assert "--yes" in message and "dedup.minhash.max_source_loss" in message and "max_cluster" not in message
    assert stopped.value.exit_code == 1 and isinstance(stopped.value, CurateError)
    state = State(build(load(all_one, [])))
    open_tasks = [task.name for task in state.plan.tasks if not state.finished(task.name)]
    assert open_tasks and all(name.startswith("documents/") for name in open_tasks)
    assert not (tmp_path / "runs" / "test" / "run.json").exists()


def test_yes_goes_on_from_there_and_the_summary_warns(all_one: Path) -> None:
    with pytest.raises(NeedsConfirmation):
        run(load(all_one, []), quiet=True)
    with pytest.raises(NeedsConfirmation):
        run(load(all_one, []), quiet=True)  # asked again, although the barrier is finished
    summary = run(load(all_one, []), quiet=True, yes=True)
    assert summary["totals"]["documents"] == 11
    assert [w for w in summary["warnings"] if "97.5%" in w and "--yes" in w]
    steps = {step["step"]: step for step in summary["steps"]}
    assert all(steps[name]["reused"] == steps[name]["tasks"] for name in ("read", "signatures", "minhash"))


def test_another_limit_computes_nothing_anew(all_one: Path) -> None:
    with pytest.raises(NeedsConfirmation):
        run(load(all_one, []), quiet=True)
    summary = run(load(all_one, ["dedup.minhash.max_source_loss=0.99"]), quiet=True)
    assert {s["step"]: s["reused"] for s in summary["steps"]}["minhash"] == 1
    assert not [w for w in summary["warnings"] if "dedup" in w]
    with pytest.raises(NeedsConfirmation, match="t0 stands for 40 different texts"):
        run(load(all_one, ["dedup.minhash.max_source_loss=1", "dedup.minhash.max_cluster=39"]), quiet=True)


def test_exact_copies_count_as_loss_but_not_as_a_cluster(tmp_path: Path) -> None:
    config = write_config(tmp_path, {f"d{i}": join(prose(1)) for i in range(20)})
    with pytest.raises(NeedsConfirmation, match=r"19 exact copies, 0 near-duplicates") as stopped:
        run(load(config, ["dedup.minhash.max_cluster=2"]), quiet=True)
    assert "web/d1 is a copy of web/d0" in str(stopped.value) and "stands for" not in str(stopped.value)


def test_a_source_of_a_few_documents_is_no_alarm(tmp_path: Path) -> None:
    config = write_config(tmp_path, {f"d{i}": join(prose(1)) for i in range(19)})
    assert run(load(config, []), quiet=True)["totals"]["documents"] == 1


def test_the_command_line_exits_with_1_and_a_worker_asks_too(all_one: Path, tmp_path: Path) -> None:
    assert "go on with --yes" in curate("run", str(all_one), "--quiet", "--no-report", code=1)
    plan = str(tmp_path / "runs" / "test" / "plan.json")
    assert "go on with --yes" in curate("worker", plan, "ready", code=1)
    assert len(json.loads(curate("worker", plan, "ready", "--yes", "--json"))) == 4
