"""Promises of the Slurm executor, against a Slurm of two scripts that runs arrays on this machine."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curation.pipeline.config import SlurmExecutor, load
from curation.pipeline.errors import ConfigError, CurateError, TaskFailed, UsageError
from curation.pipeline.plan import State, build
from curation.pipeline.run import run
from curation.pipeline.slurm import ranges
from curation.pipeline.slurm_queue import options, script
from tests.curation.pipeline.test_run import block, folder_bytes

Corpus = Callable[..., Path]

SBATCH = """#!{python}
import json, os, pathlib, subprocess, sys, time
state = pathlib.Path(__file__).parents[1] / "state"
given = dict(a.lstrip("-").partition("=")[::2] for a in sys.argv[1:-1])
number = len(list(state.glob("*.json"))) + 1
(state / f"{{number}}.json").write_text(json.dumps(sys.argv[1:]))
first, last = map(int, given["array"].partition("%")[0].split("-"))
if (state / "refuse").exists():
    sys.exit("sbatch: error: invalid partition specified")
(state / f"{{number}}.active").touch()
print(f"{{number}};cluster")
sys.stdout.flush()
if os.fork():
    os._exit(0)
os.setsid()
for descriptor in (1, 2):
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
for i in range(first, last + 1 if not (state / "dry").exists() else first):
    for hold in state.glob("hold"):
        while hold.exists():
            time.sleep(0.02)
    lost = state / f"lose-{{i}}"
    if lost.exists():
        lost.unlink()
        continue
    log = given["output"].replace("%a", str(i)).replace("%%", "%")
    with open(log, "a") as out:
        environment = dict(os.environ, SLURM_ARRAY_TASK_ID=str(i))
        subprocess.run(["bash", sys.argv[-1]], stdout=out, stderr=out, env=environment)
(state / f"{{number}}.active").unlink()
"""

SQUEUE = """#!{python}
import pathlib, sys
state = pathlib.Path(__file__).parents[1] / "state"
given = dict(a.lstrip("-").partition("=")[::2] for a in sys.argv[1:])
ids = [path.stem for path in state.glob("*.active")]
if not ids:
    sys.exit("slurm_load_jobs error: Invalid job id specified")
print("\\n".join(id for id in ids if id in given["jobs"].split(",")))
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the state of a pretended Slurm whose commands are on PATH."""
    bin, state = tmp_path / "slurm" / "bin", tmp_path / "slurm" / "state"
    bin.mkdir(parents=True)
    state.mkdir()
    for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE)):
        (bin / name).write_text(text.format(python=sys.executable))
        (bin / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin}:{os.environ['PATH']}")
    return state


def config_of(corpus: Corpus, **keys: Any) -> Path:
    executor = {"kind": "slurm", "partition": "cpu", "poll_s": 0.1, "tasks_per_job": 2, **keys}
    return corpus(files=3, documents=25, executor=executor)


def go(config: Path, *overrides: str, **options: Any) -> dict[str, Any]:
    return run(load(config, list(overrides)), quiet=True, **options)


def calm(config: Path, folder: Path) -> tuple[str, dict[str, bytes]]:
    """Digest and bytes of the same run by the local executor."""
    summary = go(config, "executor={kind: local, workers: 1}", f"workdir={folder}")
    return summary["digest"], folder_bytes(folder / "test")


def submitted(slurm: Path) -> list[list[str]]:
    return [json.loads(path.read_text()) for path in sorted(slurm.glob("*.json"), key=lambda p: int(p.stem))]


def arrays(slurm: Path) -> list[str]:
    return [next(a for a in command if a.startswith("--array=")) for command in submitted(slurm)]


def test_the_content_is_that_of_a_local_run_even_when_an_element_is_lost(
    corpus: Corpus, tmp_path: Path, slurm: Path
) -> None:
    config = config_of(corpus)
    expected = calm(config, tmp_path / "calm")
    (slurm / "lose-1").touch()
    summary = go(config)
    assert (summary["digest"], folder_bytes(tmp_path / "runs" / "test")) == expected
    # three shards, two in an element, up to the barriers; the lost one again; the barriers; the documents
    assert arrays(slurm) == ["--array=0-1", "--array=0-0", "--array=0-0", "--array=0-0", "--array=0-1"]
    assert all(step["reused"] == 0 for step in summary["steps"])
    assert go(config)["digest"] == summary["digest"]
    assert len(arrays(slurm)) == 5  # nothing is submitted when nothing is left


def test_a_failed_task_is_named_with_its_log_and_the_others_are_done(
    corpus: Corpus, tmp_path: Path, slurm: Path
) -> None:
    config = config_of(corpus, retries=0)
    block(config, "measure/web/a.jsonl")
    with pytest.raises(TaskFailed, match=r"(?s)measure/web/a\.jsonl: job 1_0 ended.*log: .*/logs/0\.out") as failure:
        go(config, until="clean")
    log = Path(str(failure.value).partition("log: ")[2].partition(")")[0])
    assert "measure/web/a.jsonl" in log.read_text()
    state = State(build(load(config)))
    assert state.finished("measure/web/b.jsonl")  # stood in the same job, after it
    assert not state.finished("decide/web/a.jsonl")


@pytest.mark.slow
def test_a_killed_run_finds_its_jobs_in_the_queue_again(corpus: Corpus, tmp_path: Path, slurm: Path) -> None:
    config = config_of(corpus)
    expected = calm(config, tmp_path / "calm")
    (slurm / "hold").touch()
    command = [sys.executable, "-m", "curation.cli", "run", str(config), "--quiet", "--no-report"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    while not list((tmp_path / "runs").glob("test/slurm/*/*/job.json")):  # submitted
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "waiting for Slurm jobs of an earlier run of this plan: 1" in process.stderr.readline()
    (slurm / "hold").unlink()
    process.communicate()
    assert process.returncode == 0
    assert arrays(slurm).count("--array=0-1") == 2  # the first wave was submitted once
    summary = go(config)
    assert (summary["digest"], folder_bytes(tmp_path / "runs" / "test")) == expected


def test_an_array_has_at_most_max_array_elements(corpus: Corpus, slurm: Path) -> None:
    config = config_of(corpus, tasks_per_job=1, max_array=2, max_running=1)
    (slurm / "dry").touch()
    with pytest.raises(TaskFailed, match="it wrote no log"):
        go(config)
    assert arrays(slurm) == ["--array=0-1%1", "--array=0-0%1"] * 2  # three shards; and once more, since they are lost


def test_what_sbatch_refuses_is_told_with_the_command(corpus: Corpus, slurm: Path) -> None:
    (slurm / "refuse").touch()
    with pytest.raises(CurateError, match=r"(?s)invalid partition specified.*sbatch .*--partition=cpu"):
        go(config_of(corpus))


def test_without_slurm_the_run_is_refused_before_it_starts(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="needs the command sbatch and squeue"):
        go(config_of(corpus))
    assert not (tmp_path / "runs").exists()


def test_names_reach_the_shell_only_quoted(tmp_path: Path) -> None:
    evil = tmp_path / "$(touch hacked) '; touch hacked; \" %j"
    executor = SlurmExecutor(kind="slurm", setup=["export READY=1"], python="/opt/my python/bin/python")
    text = script(evil, evil / "plan.json", executor)
    (tmp_path / "run.sh").write_text(text.replace("exec ", "printf '%s\\n' "))
    evil.mkdir()
    (evil / "selections.txt").write_text("0-3\n7\n")
    environment = {"SLURM_ARRAY_TASK_ID": "1", "PATH": os.environ["PATH"]}
    shown = subprocess.run(
        ["bash", str(tmp_path / "run.sh")], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    worker = ["/opt/my python/bin/python", "-m", "curation.cli", "worker", str(evil / "plan.json"), "7", "--yes"]
    assert shown.stdout.splitlines() == worker
    assert not (tmp_path / "hacked").exists()
    assert f"--output={str(evil).replace('%', '%%')}/logs/%a.out" in options(evil, 1, executor)
    assert shlex.split("a") == ["a"]


def test_the_options_of_sbatch(tmp_path: Path) -> None:
    executor = SlurmExecutor(
        kind="slurm", partition="cpu", time="04:00:00", mem_gb=8, options={"account": "lab", "exclusive": True}
    )
    found = options(tmp_path, 1001, executor)
    assert {"--partition=cpu", "--time=04:00:00", "--mem=8G", "--account=lab", "--exclusive", "--array=0-1000"} <= set(
        found
    )


@pytest.mark.parametrize(
    "bad", ["options: {array: 0-9}", "options: {'bad key': 1}", "time: '1; rm'", "tasks_per_job: 0", "partitoin: cpu"]
)
def test_bad_blocks_are_refused(corpus: Corpus, bad: str) -> None:
    with pytest.raises(ConfigError):
        load(corpus(files=1), [f"executor={{kind: slurm, {bad}}}"])


def test_ranges_of_task_numbers() -> None:
    assert ranges([4, 0, 1, 2, 7, 8]) == "0-2,4,7-8"
