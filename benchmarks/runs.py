"""The main job on real data: figures and promises of `curate run` over web archives and texts.

Measures wall time, CPU, MB/s per core and peak memory per worker of the whole chain; then shows that the
root digest is the same for 1, 2 and 4 workers, on a local Ray cluster (extra `ray`), after `kill -9` at random
moments with resume, and which tasks one more input file reruns.  With rules and exact dedup alone: which
tasks a changed threshold reruns, and that `curate whatif` agrees with a real rerun.

    python benchmarks/runs.py --data DIR
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from results import write_result

CURATE = str(Path(sys.executable).with_name("curate"))

CONFIG = """\
run: {run}
workdir: {workdir}
executor: {{kind: {executor}, workers: {workers}}}
sources:
  web: {{read: warc, paths: [{web}/*.warc.gz], extract: resiliparse}}
  malformed: {{read: warc, paths: [{data}/web/malformed/*], extract: resiliparse}}
  text: {{read: jsonl, paths: [{data}/text/*.jsonl.zst], text: text, id: id}}
clean:
  - url: {{}}
  - language: {{min_score: 0.5}}
  - rules: {{presets: [gopher-repetition, gopher-quality, curate-junk], languages: default}}
"""
WHOLE = """\
  - rules: {{presets: [c4-fineweb, fineweb-paper], sources: [web]}}
  - pii: {{}}
dedup:
  exact: {{}}
  minhash: {{}}
  lines: {{}}
  substring: {{}}
decontaminate: {{items: [{data}/benchmarks/*.jsonl.zst]}}
"""
RULES = """\
dedup:
  exact: {{}}
"""


def call(*arguments: str) -> Any:
    """Run a curate command that prints JSON."""
    done = subprocess.run([CURATE, *arguments, "--json"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"curate {' '.join(arguments)}: {done.stderr}")
    return json.loads(done.stdout)


def config(folder: Path, data: Path, web: Path, run: str, workers: int, chain: str = WHOLE, on: str = "local") -> str:
    """Write one config; returns its path."""
    path = folder / f"{run}-{workers}.yaml"
    workdir = folder / f"runs-{run}-{workers}"
    text = (CONFIG + chain).format(run=run, workdir=workdir, executor=on, workers=workers, data=data, web=web)
    path.write_text(text, encoding="utf-8")
    return str(path)


def killed_and_resumed(path: str, workdir: Path, kills: int, tasks: int) -> tuple[dict[str, Any], list[int]]:
    """Kill the whole process group when a random number of tasks is done, five times, then finish.

    Returns the summary of the run that finished, and how many tasks were done at each kill.
    """
    chance, done_at = random.Random(20261121), []
    for wanted in sorted(chance.sample(range(1, tasks - 1), kills)):
        child = subprocess.Popen(
            [CURATE, "run", path, "--quiet", "--no-report"],
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while len(list(workdir.glob("*/*/_manifest.json"))) < wanted:
            if child.poll() is not None:
                raise SystemExit(f"{path}: ended before {wanted} tasks were done")
            time.sleep(0.02)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        done_at.append(len(list(workdir.glob("*/*/_manifest.json"))))
    return call("run", path, "--no-report"), done_at


def reran(summary: dict[str, Any]) -> dict[str, int]:
    """Tasks really executed, by step."""
    return {step["step"]: step["tasks"] - step["reused"] for step in summary["steps"] if step["tasks"] > step["reused"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with web/ and text/")
    arguments = parser.parse_args()
    data = arguments.data.resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs: dict[int | str, Any] = {
            n: call("run", config(folder, data, data / "web", "workers", n), "--no-report") for n in (1, 2, 4)
        }
        first = runs[1]
        if importlib.util.find_spec("ray") is not None:
            runs["ray"] = call("run", config(folder, data, data / "web", "ray", 2, on="ray"), "--no-report")
        cpu = sum(step["cpu_s"] for step in first["steps"])
        tasks = sum(step["tasks"] for step in first["steps"])
        killed = config(folder, data, data / "web", "killed", 2)
        resumed, kills = killed_and_resumed(killed, folder / "runs-killed-2", kills=5, tasks=tasks)
        path = config(folder, data, data / "web", "rules", 2, RULES)
        decided = call("run", path, "--no-report")
        run_folder = str(folder / "runs-rules-2" / "rules")
        change = "clean.2.rules.override={gopher-quality.min_words: 30, gopher-quality.min_alphabetic_words: 0.7}"
        planned = call("plan", path, "--set", change)
        thresholds = ["gopher-quality.min_words=30", "gopher-quality.min_alphabetic_words=0.7"]
        guess = call("whatif", run_folder, *thresholds)
        changed = call("run", path, "--set", change, "--no-report")
        # one more input file: the same crawl folder with an archive less, then with it again
        web = folder / "web"
        web.mkdir()
        for archive in sorted((data / "web").glob("*.warc.gz"))[:-1]:
            (web / archive.name).symlink_to(archive)
        for archive in web.iterdir():  # copies: links that lead out of the folder are refused
            target = archive.resolve()
            archive.unlink()
            shutil.copy2(target, archive)
        grown = config(folder, data, web, "grown", 2)
        call("run", grown, "--no-report")
        last = sorted((data / "web").glob("*.warc.gz"))[-1]
        shutil.copy2(last, web / last.name)
        after = call("run", grown, "--no-report")
    totals = first["totals"]
    write_result(
        "runs",
        {
            "totals": totals,
            "sources": first["sources"],
            "removed_by": first["removed_by"],
            "edits": first["edits"],
            "edited_documents": first["edited_documents"],
            "quarantine": first["quarantine"],
            "wall_s": {n: run["wall_s"] for n, run in runs.items()},
            "task_cpu_s": round(cpu, 2),
            "text_mb_per_cpu_s": round(totals["text_bytes_in"] / 1e6 / cpu, 2),
            "stored_input_mb_per_cpu_s": round(totals["input_bytes"] / 1e6 / cpu, 2),
            "max_rss_mb": {n: max(step["max_rss_mb"] for step in run["steps"]) for n, run in runs.items()},
            "digest": {n: run["digest"] for n, run in runs.items()},
            "killed": {
                "digest": resumed["digest"],
                "tasks": tasks,
                "done_at_kill": kills,
                "same": resumed["digest"] == first["digest"],
            },
            "changed_threshold": {
                "planned": {s["step"]: {k: s[k] for k in ("finished", "run", "undecided")} for s in planned["steps"]},
                "reran": reran(changed),
                "whatif_kept": guess["rules"]["(kept)"],
                "rerun_kept": [decided["totals"]["documents"], changed["totals"]["documents"]],
                "whatif_equals_rerun": {k: v[1] for k, v in guess["rules"].items() if v[1] and k != "(kept)"}
                == changed["removed_by"]
                and guess["rules"]["(kept)"][1] == changed["totals"]["documents"],
            },
            "one_more_file": {"reran": reran(after)},
            "steps": [{k: s[k] for k in ("step", "tasks", "wall_s", "cpu_s", "max_rss_mb")} for s in first["steps"]],
        },
    )


if __name__ == "__main__":
    main()
