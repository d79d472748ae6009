"""`curate run`, `plan`, `worker` and `status`."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

from curation.commands.output import find_run, print_json, print_line, print_table
from curation.pipeline.config import load
from curation.pipeline.confirm import CONFIRM, downstream, require
from curation.pipeline.errors import TaskFailed, UsageError
from curation.pipeline.execute import execute
from curation.pipeline.plan import Plan, State, build
from curation.pipeline.run import RUN_FILE, run, run_lock
from curation.pipeline.summary import TOTALS


def run_config(
    path: Path,
    *,
    until: str | None,
    overrides: list[str],
    strict: bool,
    yes: bool,
    report: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Run, write the report, print the totals."""
    config = load(path, overrides)
    summary = run(config, until=until, strict=strict, yes=yes, quiet=quiet or as_json)
    folder = Path(config.core.workdir) / config.core.run
    if report:
        from curation.report import write

        write(folder)
    if as_json:
        print_json(summary)
        return
    print_totals(summary, folder)
    print_line()
    print_line(f"run     {folder}")
    if report:
        print_line(f"report  {folder / 'report.html'}")


def print_totals(summary: dict[str, Any], folder: Path) -> None:
    """The run in a few lines: sources, rules, warnings, the sum that must close."""
    rows = [[name, *(counts[key] for key in TOTALS[:4])] for name, counts in summary["sources"].items()]
    totals = summary["totals"]
    rows.append(["all", *(totals[key] for key in TOTALS[:4])])
    print_table(["source", *TOTALS[:4]], rows)
    if summary["removed_by"]:
        print_line()
        print_table(["removed by", "documents"], list(summary["removed_by"].items()))
    if summary["edits"]:
        print_line()
        print_table(["edited by", "changes"], list(summary["edits"].items()))
    if summary["quarantine"]:
        print_line()
        print_table(["quarantined because", "records"], list(summary["quarantine"].items()))
    print_line()
    done, all_tasks = (sum(step[key] for step in summary["steps"]) for key in ("reused", "tasks"))
    print_line(
        f"{totals['records']:,} records = {totals['documents']:,} kept + {totals['removed']:,} removed "
        f"+ {totals['quarantined']:,} quarantined; {summary['wall_s']:,.1f} s, "
        f"{done:,} of {all_tasks:,} tasks were finished before; digest {summary['digest']}"
    )
    for warning in summary["warnings"]:
        print_line(f"warning: {warning}")
    if summary["quarantine"]:
        print_line(f"         see  curate inspect {folder} --quarantine")


def plan_rows(plan: Plan) -> list[dict[str, Any]]:
    """Each task with what is known of it before running."""
    state = State(plan)
    rows = []
    for number, task in enumerate(plan.tasks):
        mark = state.fingerprint(task.name)
        finished = state.finished(task.name)
        verdict = "finished" if finished else "run" if mark else "undecided"
        rows.append({"number": number, "task": task.name, "step": task.step, "state": verdict, "fingerprint": mark})
    return rows


def show_plan(
    path: Path, *, until: str | None, overrides: list[str], list_tasks: bool, write: bool, as_json: bool
) -> None:
    """Tasks per step: finished, to run, or undecided (it depends on a barrier's verdict)."""
    plan = build(load(path, overrides), until=until)
    rows = plan_rows(plan)
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        counts.setdefault(row["step"], Counter())[row["state"]] += 1
    steps = [
        {"step": step, "tasks": some.total(), **{key: some[key] for key in ("finished", "run", "undecided")}}
        for step, some in counts.items()
    ]
    written = None
    if write:
        with run_lock(plan.directory):
            written = str(plan.write(f"plan-{plan.fingerprint[:12]}.json"))
    if as_json:
        print_json({"plan": plan.fingerprint, "file": written, "steps": steps, "tasks": rows})
        return
    print_table(["step", "tasks", "finished", "to run", "undecided"], [list(step.values()) for step in steps])
    if any(step["undecided"] for step in steps):
        print_line("undecided: runs only where the verdict of the step before changes for that shard")
    if list_tasks:
        print_line()
        print_table(
            ["#", "task", "state", "fingerprint"],
            [[r["number"], r["task"], r["state"], r["fingerprint"]] for r in rows],
        )
    if written:
        print_line(f"plan written to {written}: curate worker {written} 0-{len(rows) - 1}")


def work(plan_file: Path, selection: str, *, yes: bool, as_json: bool) -> None:
    """Execute the selected tasks, in plan order; what depends on a result to be confirmed only with `yes`.

    A task that fails does not keep the others from being executed; raises TaskFailed at the end.
    """
    state = State(Plan.read(plan_file))
    names = select(state, selection)
    guarded = {task: downstream(state.plan, task) for task in state.plan.facts.get(CONFIRM, {})}
    done: list[dict[str, Any]] = []
    failures: dict[str, str] = {}
    for name in names:
        if failures and not state.ready(name):
            continue  # waits for one of them
        for task, later in guarded.items():
            if name in later and state.finished(task):
                require(state, task, confirmed=yes)
        try:
            manifest = execute(state, name)
        except TaskFailed as error:
            failures[name] = str(error)
            continue
        done.append({"task": name, "counts": manifest.counts, "wall_s": manifest.wall_s})
        if not as_json:
            print_line(f"{name}: {manifest.wall_s:.2f} s {manifest.counts}")
    if as_json:
        print_json(done)
    if failures:
        raise TaskFailed(
            "\n".join(failures.values()) + f"\n{len(failures)} task(s) failed", "what else could run is done"
        )
    if not as_json and not done:
        print_line("nothing to do: every task that can run now is finished")


def select(state: State, selection: str) -> list[str]:
    """`0-15,20`, task names, or `ready`; raises UsageError for what the plan does not have."""
    tasks = state.plan.tasks
    if selection == "ready":
        return [t.name for t in tasks if not state.finished(t.name) and state.ready(t.name)]
    if selection in state.plan.by_name:
        return [selection]
    numbers: list[int] = []
    for part in selection.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        if not match:
            raise UsageError(f"no task {part!r} in this plan", "use numbers like 0-15,20, a task's name, or `ready`")
        first, last = int(match[1]), int(match[2] or match[1])
        if last >= len(tasks):
            raise UsageError(f"task {last} does not exist", f"the plan has tasks 0-{len(tasks) - 1}")
        if last < first:
            raise UsageError(f"{part!r} counts down", f"write {last}-{first}")
        numbers += range(first, last + 1)
    return [tasks[i].name for i in sorted(set(numbers))]


def show_status(text: str, *, as_json: bool) -> None:
    """Tasks finished per step; the totals where the run is complete."""
    folder = find_run(text)
    plan = Plan.read(folder / "plan.json")
    rows = plan_rows(plan)
    steps: dict[str, Counter[str]] = {}
    for row in rows:
        steps.setdefault(row["step"], Counter())["finished" if row["state"] == "finished" else "open"] += 1
    finished = sum(some["finished"] for some in steps.values())
    complete = finished == len(rows) and (folder / RUN_FILE).is_file()
    table = [{"step": step, "finished": some["finished"], "tasks": some.total()} for step, some in steps.items()]
    if as_json:
        print_json({"run": plan.run, "complete": complete, "finished": finished, "tasks": len(rows), "steps": table})
        return
    print_table(["step", "finished", "tasks"], [list(row.values()) for row in table])
    upto = f" (up to section {plan.until})" if plan.until else ""
    print_line(f"{plan.run}{upto}: {'complete' if complete else f'{finished} of {len(rows)} tasks finished'}")
    if not complete:
        print_line("run the same `curate run` again to go on")
