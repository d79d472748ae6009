"""Writes a benchmark's JSON: what was measured, with which versions, when, by which command."""

from __future__ import annotations

import datetime
import json
import os
import platform
import shlex
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"
SOFTWARE = ("curate-lm", "numpy", "numba", "pyarrow", "duckdb", "FastWARC", "Resiliparse", "trafilatura")


def write_result(name: str, results: Any, peers: dict[str, str] | None = None) -> Path:
    """Write `results/<name>.json`; the command is the one that is running, without machine paths."""
    arguments = [part if part.startswith("-") or "/" not in part else "…" for part in sys.argv[1:]]
    record = {
        "date": datetime.date.today().isoformat(),
        "command": shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *arguments]).replace("'…'", "…"),
        "machine": {"cpu": _cpu(), "cores": os.cpu_count(), "system": platform.system(), "arch": platform.machine()},
        "python": platform.python_version(),
        "versions": {n: v for n in SOFTWARE if (v := _version(n))},
        "peers": peers or {},
        "results": results,
    }
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"written: benchmarks/results/{path.name}")
    return path


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()
