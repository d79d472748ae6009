"""The Slurm executor: job arrays whose elements call `curate worker PLAN TASKS`.

What follows a barrier is known only when the barrier is done, so work goes out in waves: every shard's
chain of tasks up to the next barrier, then the barrier, and so on.  Nothing is pickled; names reach a
shell only quoted.  What is done is what has a manifest, so a job that is lost, preempted or left behind
by a killed `curate run` costs nothing: the next one finds its jobs in the queue again, or their results.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from curation.pipeline import slurm_queue
from curation.pipeline.config import SlurmExecutor
from curation.pipeline.errors import CurateError
from curation.pipeline.plan import State
from curation.pipeline.progress import Progress
from curation.pipeline.slurm_queue import Job
from curation.pipeline.task_queue import Outcome

SETTLING = 5  # looks at a shared file system after a job has ended without its results
PATIENCE = 40  # looks at a queue that does not answer


def run_slurm(state: State, names: list[str], executor: SlurmExecutor, progress: Progress) -> Outcome:
    """Run tasks as waves of job arrays; raises CurateError when Slurm refuses a job or no longer answers."""
    submission = _Submission(state, executor, progress, [name for name in names if not state.finished(name)])
    submission.adopt()
    while chains := list(submission.next_wave()):
        submission.wait(submission.submit(chains))
    return submission.outcome


@dataclass
class _Submission:
    state: State
    executor: SlurmExecutor
    progress: Progress
    names: list[str]  # in the order of the plan
    outcome: Outcome = field(default_factory=Outcome)
    attempts: Counter[str] = field(default_factory=Counter)
    submitted: set[str] = field(default_factory=set)
    unreported: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.unreported = set(self.names)
        plan = self.state.plan
        self.folder = plan.directory / "slurm" / plan.fingerprint[:12]
        # a copy of its own: `curate run` with another config overwrites plan.json while jobs still wait
        self.plan_file = plan.write(f"plan-{plan.fingerprint[:12]}{'-strict' if plan.strict else ''}.json")
        self.numbers = {task.name: number for number, task in enumerate(plan.tasks)}

    def adopt(self) -> None:
        """Wait for arrays of the same plan that a killed run left in the queue."""
        known = slurm_queue.known_jobs(self.folder)
        still = slurm_queue.active(known) or set()
        if still:
            self.progress.note(f"waiting for Slurm jobs of an earlier run of this plan: {', '.join(sorted(still))}")
            for job in (adopted := [job for job in known if job.id in still]):
                self.submitted.update(*job.elements)
            self._until_gone(adopted)

    def next_wave(self) -> Iterator[list[str]]:
        """Chains of open tasks that depend on nothing outside their chain, in the order of the plan.

        A barrier is a chain of its own: what waits for it is the work of many.
        """
        chain_of: dict[str, list[str]] = {}
        chains: list[list[str]] = []
        stuck: set[str] = set(self.outcome.failures)
        for name in self.names:
            if self._finished(name):
                continue
            task = self.state.plan.by_name[name]
            waits_for = [one for one in task.dependencies() if not self._finished(one)]
            if name in stuck or stuck.intersection(waits_for):
                stuck.add(name)
            elif not waits_for:
                chains.append([name])
                if len(task.inputs.get("read", ())) <= 1:
                    chain_of[name] = chains[-1]
            elif len(task.inputs.get("read", ())) == 1:
                wanted = {id(chain_of.get(one)): chain_of.get(one) for one in waits_for}
                chain = wanted.popitem()[1]
                if chain is not None and not wanted:
                    chain.append(name)
                    chain_of[name] = chain
        yield from chains

    def submit(self, chains: list[list[str]]) -> list[Job]:
        """Arrays for a wave.  A chain with a failed attempt gets an element of its own."""
        fresh = [chain for chain in chains if not self.attempts[chain[0]]]
        pieces = _pieces(fresh, self.executor.tasks_per_job)
        elements = [[name for chain in some for name in chain] for some in pieces]
        elements += [chain for chain in chains if self.attempts[chain[0]]]
        jobs = []
        for some in _pieces(elements, self.executor.max_array):
            folder = self.folder / f"{time.time_ns()}"
            self.submitted.update(*some)
            selections = [ranges(self.numbers[name] for name in element) for element in some]
            jobs.append(slurm_queue.submit(folder, self.plan_file, some, selections, self.executor))
            self.progress.note(f"submitted Slurm job {jobs[-1].id}: {len(some)} element(s), logs in {folder}/logs")
        return jobs

    def wait(self, jobs: list[Job]) -> None:
        """Until the arrays are gone from the queue; what has no manifest then is a failed attempt."""
        self._until_gone(jobs)
        for job in jobs:
            for number, element in enumerate(job.elements):
                self._settle(job, number, element)

    def _until_gone(self, jobs: list[Job]) -> None:
        silent = 0
        try:
            while jobs:
                time.sleep(self.executor.poll_s)
                still = slurm_queue.active(jobs)
                silent = 0 if still is not None else silent + 1
                if silent > PATIENCE:
                    raise CurateError("squeue does not answer any more", "run the same command again: the jobs go on")
                for name in self.names:
                    self._finished(name)
                jobs = [job for job in jobs if still is None or job.id in still]
        except KeyboardInterrupt:
            ids = " ".join(job.id for job in jobs)
            self.progress.note(f"Slurm jobs go on; the same command waits for them, `scancel {ids}` ends them")
            raise

    def _settle(self, job: Job, number: int, element: Sequence[str]) -> None:
        for _ in range(SETTLING):
            undone = [name for name in element if not self._finished(name)]
            if not undone:
                return
            time.sleep(min(self.executor.poll_s, 2.0))
        first = [name for name in undone if self.state.ready(name)]  # the others wait for these
        for name in first:
            self.attempts[name] += 1
            log = job.log(number)
            message = f"{name}: {job.last_words(number)}\n(log: {log})"
            if self.attempts[name] <= self.executor.retries:
                self.progress.note(f"retry {self.attempts[name]}/{self.executor.retries}: {message}")
            else:
                self.progress.note(f"failed: {message}")
                self.outcome.failures[name] = message

    def _finished(self, name: str) -> bool:
        finished = self.state.finished(name)
        if finished and name in self.unreported:
            self.unreported.remove(name)
            self.progress.task_done(name)
            if name in self.submitted:
                self.outcome.ran.add(name)
        return finished


def ranges(numbers: Iterable[int]) -> str:
    """`0-2,7` for 0, 1, 2, 7, as `curate worker` takes them."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in found)


def _pieces(some: list[list[str]], size: int) -> Iterator[list[list[str]]]:
    for start in range(0, len(some), size):
        yield some[start : start + size]
