"""One datatrove `PipelineStep` that ignores its data and runs task number `rank` of a plan.

That is the whole adapter: datatrove's executors (local here) then schedule our tasks,
and every rank only needs the plan file and task names, never our code pickled.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from datatrove.data import DocumentsPipeline
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep

from curation.pipeline.execute import execute_from_file


class PlanTasks(PipelineStep):  # type: ignore[misc]  # datatrove ships no types
    """Rank r of n executes the tasks r, r+n, r+2n …"""

    name = "curate tasks"
    type = "CURATE"

    def __init__(self, plan_file: str, tasks: list[str]) -> None:
        super().__init__()
        self.plan_file, self.tasks = plan_file, tasks

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Execute this rank's tasks; yields no documents."""
        for name in self._mine(rank, world_size):
            with self.track_time():
                manifest = execute_from_file(Path(self.plan_file), name)
            for key, count in manifest.counts.items():
                self.stat_update(key, value=count)
        return
        yield

    def _mine(self, rank: int, world_size: int) -> Iterable[str]:
        return self.tasks[rank::world_size]


def run_wave(plan_file: Path, tasks: list[str], *, workers: int, logs: Path) -> None:
    """Run independent tasks through datatrove's local executor; raises what a rank raised."""
    LocalPipelineExecutor(
        [PlanTasks(str(plan_file), tasks)],
        tasks=len(tasks),
        workers=workers,
        logging_dir=str(logs),
        skip_completed=False,
        start_method="spawn",
    ).run()
