"""Promises of the Ray executor, on a real cluster of two worker processes on this machine."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from curation.pipeline import executors
from curation.pipeline.config import load
from curation.pipeline.errors import CurateError, TaskFailed, UsageError
from curation.pipeline.execute import perform
from curation.pipeline.plan import State, build
from curation.pipeline.ray_tasks import work_from_json, work_to_json
from curation.pipeline.run import run
from tests.curation.pipeline.test_run import block, folder_bytes

Corpus = Callable[..., Path]
RAY = "executor={kind: ray, workers: 2}"

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")


def go(config: Path, *overrides: str, **options: Any) -> dict[str, Any]:
    return run(load(config, list(overrides)), quiet=True, **options)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """One cluster for all tests here: a run uses the one that its process is connected to."""
    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=100 << 20, log_to_driver=False)
    try:
        yield
    finally:
        ray.shutdown()


def ray_workers(title: str) -> list[int]:
    """Processes of Ray workers that execute a task of this name now."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(f"ray::{title}".encode()):
                found.append(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def test_a_task_survives_its_way_to_a_node(corpus: Corpus) -> None:
    state = State(build(load(corpus(files=1, documents=20))))
    for task in state.plan.tasks:
        work = state.work(task.name)
        assert work_from_json(work_to_json(work)) == work
        perform(work)


def test_without_ray_the_run_is_refused_before_it_starts(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'curate-lm\[ray\]'"):
        go(corpus(files=1), RAY)
    assert not (tmp_path / "runs").exists()


@needs_ray
def test_no_cluster_at_the_address_is_told(corpus: Corpus) -> None:
    with pytest.raises(CurateError, match="no Ray cluster"):
        go(corpus(files=1), "executor={kind: ray, address: auto}")


@needs_ray
@pytest.mark.skipif(sys.platform != "linux", reason="finds the worker in /proc")
def test_the_content_is_that_of_a_local_run_even_when_a_worker_is_killed(
    corpus: Corpus, tmp_path: Path, cluster: None, capsys: pytest.CaptureFixture[str]
) -> None:
    config = corpus(files=3, documents=400)
    expected = go(config, "executor={kind: local, workers: 1}", f"workdir={tmp_path / 'calm'}")
    killed: list[int] = []

    def kill_the_first_that_measures() -> None:
        while not (found := ray_workers("measure/")):
            time.sleep(0.01)
        os.kill(found[0], signal.SIGKILL)
        killed.extend(found[:1])

    thread = threading.Thread(target=kill_the_first_that_measures, daemon=True)
    thread.start()
    summary = go(config, RAY)
    thread.join(1)
    assert killed
    assert "lost by Ray" in capsys.readouterr().err
    assert summary["digest"] == expected["digest"]
    assert folder_bytes(tmp_path / "runs" / "test") == folder_bytes(tmp_path / "calm" / "test")
    assert all(step["reused"] == 0 for step in summary["steps"])


@needs_ray
def test_a_failing_task_is_retried_and_named_and_the_others_are_done(
    corpus: Corpus, cluster: None, capsys: pytest.CaptureFixture[str]
) -> None:
    config = corpus(files=2, documents=20)
    obstacle = block(config, "measure/web/a.jsonl")
    with pytest.raises(TaskFailed, match=r"measure/web/a\.jsonl"):
        go(config, "executor={kind: ray, workers: 2, retries: 1}")
    assert "retry 1/1: measure/web/a.jsonl" in capsys.readouterr().err
    state = State(build(load(config)))
    assert state.finished("content_hash/web/b.jsonl")
    obstacle.unlink()
    assert go(config, RAY)["totals"]["records"] == 42
