"""WARC → Parquet, the whole chain, against datatrove's FineWeb pipeline on the same archives.

Both sides read the same WARC files, filter URLs by the same lists, extract text, identify the
language with the same lid.176 model, apply Gopher repetition, Gopher quality, C4 without terminal
punctuation and the FineWeb rules, and write kept documents (and, as curate always does, removed
ones with their reason).  Whole processes are timed, user + system CPU of the process and its
children, alternating, one worker each; beside that without what each side spends before the
first page (imports, lists), which does not grow with the input.

    python benchmarks/end_to_end.py --data DIR --peer-python PATH
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from results import write_result

CONFIG = """\
run: bench
workdir: {workdir}
executor: {{kind: local, workers: 1}}
sources:
  web: {{read: warc, paths: [{files}], extract: {extract}}}
clean:
  - url: {{}}
  - language: {{min_score: 0.0}}
  - rules: {{presets: [gopher-repetition, gopher-quality, c4-fineweb, fineweb-code]}}
"""


def measured(command: list[str], environment: dict[str, str]) -> tuple[float, str]:
    """CPU seconds (user + system, children included) of one command, and its stdout."""
    reader, writer = os.pipe()
    child = subprocess.Popen(command, stdout=writer, env=environment)
    os.close(writer)
    with os.fdopen(reader) as handle:
        output = handle.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{command[0]} failed with status {status}")
    return usage.ru_utime + usage.ru_stime, output


def ours(files: list[Path], extract: str) -> tuple[float, dict[str, Any]]:
    """One run of curate in a fresh work directory."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "bench.yaml"
        config.write_text(
            CONFIG.format(workdir=folder, files=", ".join(map(str, files)), extract=extract), encoding="utf-8"
        )
        command = [str(Path(sys.executable).with_name("curate")), "run", str(config), "--json", "--no-report"]
        cpu, output = measured(command, dict(os.environ))
    summary = json.loads(output)
    return cpu, summary


def peer(python: str, files: list[Path], model: Path) -> tuple[float, dict[str, Any]]:
    """One run of datatrove in its own environment and a fresh folder."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(__file__).with_name("end_to_end_peer.py")
        cpu, output = measured([python, str(script), folder, str(model), *map(str, files)], dict(os.environ))
    return cpu, json.loads(output.splitlines()[-1])


def per_page(
    rounds: list[dict[str, float]], summary: dict[str, Any], told: dict[str, Any], task_cpu: float
) -> dict[str, float]:
    """CPU milliseconds per page that each side really processed, and the ratios (of the least favourable round).

    `tasks`: without what is spent before the first page.
    """
    pages = summary["totals"]["records"] - summary["removed_by"].get("warc.record_type", 0)
    peer = min(one["datatrove_cpu_s"] for one in rounds)
    whole = max(one["curate_cpu_s"] for one in rounds)
    peer_tasks = peer - told["start_cpu_s"]
    return {
        "curate_pages": pages,
        "datatrove_pages": told["read"],
        "datatrove_ms": round(peer / told["read"] * 1e3, 2),
        "datatrove_tasks_ms": round(peer_tasks / told["read"] * 1e3, 2),
        "curate_ms": round(whole / pages * 1e3, 2),
        "curate_tasks_ms": round(task_cpu / pages * 1e3, 2),
        "ratio": round(peer / told["read"] / (whole / pages), 2),
        "tasks_ratio": round(peer_tasks / told["read"] / (task_cpu / pages), 2),
        "tasks_ratio_all_pages": round(peer_tasks / task_cpu, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with web/pages-*.warc.gz")
    parser.add_argument("--peer-python", required=True, help="python of an environment with datatrove[processing,io]")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--files", type=int, default=3, help="how many of the archives")
    arguments = parser.parse_args()
    files = sorted((arguments.data / "web").glob("pages-*.warc.gz"))[: arguments.files]
    model = Path(__file__).parents[1] / "curation" / "rules" / "data" / "lid.176.ftz"
    ours(files[:1], "resiliparse")  # machine code is compiled and cached once per installation
    rounds = []
    for _ in range(arguments.rounds):
        our_cpu, summary = ours(files, "resiliparse")
        peer_cpu, told = peer(arguments.peer_python, files, model)
        rounds.append({"curate_cpu_s": round(our_cpu, 2), "datatrove_cpu_s": round(peer_cpu, 2)})
        rounds[-1]["ratio"] = round(peer_cpu / our_cpu, 2)
        print(rounds[-1], flush=True)
    steps = {step["step"]: step["cpu_s"] for step in summary["steps"]}
    html = summary["totals"]["input_bytes"]
    write_result(
        "end_to_end",
        {
            "files": [file.name for file in files],
            "compressed_bytes": html,
            "rounds": rounds,
            "ratio_min": min(one["ratio"] for one in rounds),
            "per_page": per_page(rounds, summary, told, sum(steps.values())),
            "curate": {"totals": summary["totals"], "removed_by": summary["removed_by"], "cpu_s_by_step": steps},
            "datatrove": told,
            "notes": [
                "datatrove extracts with trafilatura (its FineWeb setting), curate with resiliparse: the texts differ",
                "curate measures every statistic and stores removed documents; datatrove stops at the first filter",
                "neither side runs MinHash here; both keep every language",
                "datatrove's reader leaves out pages that it cannot decode, without a count; curate reads every page, "
                "so the figures per page divide by the pages that each side really processed",
                "tasks_ratio: without process start, imports and lists on either side",
                "tasks_ratio_all_pages: the same, not divided by pages",
            ],
        },
        peers={"datatrove": told["version"]},
    )


if __name__ == "__main__":
    main()
