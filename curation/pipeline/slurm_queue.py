"""Talking to Slurm: submit an array, see what is still in the queue, say how an element ended.

Commands get lists of arguments, never a shell line.  `sacct` is optional: it only explains.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import orjson

from curation.pipeline.config import SlurmExecutor
from curation.pipeline.errors import CurateError
from curation.pipeline.shards import write_atomic

SCRIPT, SELECTIONS, JOB, LOGS = "run.sh", "selections.txt", "job.json", "logs"
LOG_LINES = 3


@dataclass(frozen=True)
class Job:
    """One submitted array: element i executes the tasks `elements[i]`."""

    id: str
    folder: Path
    elements: list[list[str]]

    def log(self, element: int) -> Path:
        """Where Slurm writes what an element prints."""
        return self.folder / LOGS / f"{element}.out"

    def last_words(self, element: int) -> str:
        """The end of an element's log, and how Slurm says that it ended."""
        try:
            lines = self.log(element).read_text("utf-8", "replace").strip().splitlines()
        except OSError:
            lines = ["it wrote no log"]
        return "\n".join([f"job {self.id}_{element} ended: {ended_how(self.id, element)}", *lines[-LOG_LINES:]])


def submit(folder: Path, plan: Path, elements: list[list[str]], selections: list[str], executor: SlurmExecutor) -> Job:
    """Write the array's script into `folder` and submit it; raises CurateError with what sbatch said.

    selections: for each element the numbers of its tasks in the plan, as `curate worker` takes them.
    """
    (folder / LOGS).mkdir(parents=True)
    write_atomic(folder / SELECTIONS, "".join(f"{line}\n" for line in selections).encode())
    write_atomic(folder / SCRIPT, script(folder, plan, executor).encode())
    command = ["sbatch", *options(folder, len(elements), executor), str(folder / SCRIPT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    id = done.stdout.strip().partition(";")[0]  # `id` or `id;cluster`
    if done.returncode or not id.isdigit():
        raise CurateError(
            f"sbatch refused a job: {(done.stderr or done.stdout).strip()}\n    {shlex.join(command)}",
            "settle the cause and run the same command again; finished tasks are kept",
        )
    job = Job(id, folder, elements)
    write_atomic(folder / JOB, orjson.dumps({"id": id, "elements": elements}, option=orjson.OPT_INDENT_2))
    return job


def script(folder: Path, plan: Path, executor: SlurmExecutor) -> str:
    """What every element runs: its line of the selections, by `curate worker`."""
    worker = [executor.python or sys.executable, "-m", "curation.cli", "worker", str(plan)]
    lines = [
        "#!/bin/bash",
        "set -euo pipefail",
        "export OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1",
        *executor.setup,
        f'tasks=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {shlex.quote(str(folder / SELECTIONS))})',
        # --yes: what needs a confirmation is submitted only once it is given
        f'exec {shlex.join(worker)} "$tasks" --yes',
    ]
    return "\n".join(lines) + "\n"


def options(folder: Path, elements: int, executor: SlurmExecutor) -> list[str]:
    """The arguments of sbatch."""
    limit = "" if executor.max_running is None else f"%{executor.max_running}"
    given: dict[str, str | int | bool | None] = {
        "job-name": "curate",
        "partition": executor.partition,
        "time": executor.time,
        "mem": f"{executor.mem_gb}G",
        "cpus-per-task": 1,
        "requeue": True,
        **executor.options,
        "array": f"0-{elements - 1}{limit}",
        "output": f"{str(folder / LOGS).replace('%', '%%')}/%a.out",
        "open-mode": "append",
        "parsable": True,
    }
    return [
        f"--{name}" if value is True else f"--{name}={value}"
        for name, value in given.items()
        if value is not None and value is not False
    ]


def known_jobs(folder: Path) -> list[Job]:
    """The arrays that earlier runs of the same plan submitted."""
    jobs = []
    for path in sorted(folder.glob(f"*/{JOB}")):
        value = orjson.loads(path.read_bytes())
        jobs.append(Job(value["id"], path.parent, value["elements"]))
    return jobs


def active(jobs: Iterable[Job]) -> set[str] | None:
    """Ids of the arrays with an element that waits or runs; None while squeue does not answer."""
    ids = [job.id for job in jobs]
    if not ids:
        return set()
    command = ["squeue", "--noheader", "--format=%F", f"--jobs={','.join(ids)}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode and "invalid job id" not in done.stderr.lower():  # so it says of jobs that ended long ago
        return None
    return set(done.stdout.split()) & set(ids)


def ended_how(job: str, element: int) -> str:
    """State of an ended element, e.g. OUT_OF_MEMORY, from the accounting where there is one."""
    if shutil.which("sacct") is None:
        return "state unknown (there is no sacct here)"
    command = [
        "sacct",
        "--noheader",
        "--parsable2",
        "--allocations",
        "--format=State,ExitCode",
        f"--jobs={job}_{element}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    state, _, code = done.stdout.strip().partition("\n")[0].partition("|")
    return f"{state or 'state unknown'}" + (f", exit code {code}" if code else "")
