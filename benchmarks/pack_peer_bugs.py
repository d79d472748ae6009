"""Faults of other packers: does the peer have them, and do we?

    python benchmarks/pack_peer_bugs.py --peer megatron-core=PYTHON --peer mosaicml-streaming=PYTHON …

PYTHON is the interpreter of an environment that has the package (docs/packing-export.md says how to make one; trl
needs `pip install trl datasets torch`).  Each fault is reproduced there with the real library
(tests/packing/peer_bugs.py), and asked of this project in the same run (peer_bugs_ours.py).  Peers that are not named
are not asked, and the result says so.  Writes results/pack_peer_bugs.json.
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

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.packing.peer_bugs import BUGS
from tests.packing.peer_bugs_ours import OURS

ROOT = Path(__file__).parents[1]


def peer(python: str, bug: str, folder: Path) -> dict[str, Any]:
    """What the peer did."""
    command = [python, "-m", "tests.packing.peer_bugs", bug, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]}
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", action="append", default=[], metavar="PACKAGE=PYTHON")
    pythons = dict(one.split("=", 1) for one in parser.parse_args().peer)
    results: dict[str, Any] = {}
    for bug, (package, reproduce) in BUGS.items():
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "peer").mkdir()
            (Path(folder) / "ours").mkdir()
            theirs: Any = "not asked: no environment given"
            if package in pythons:
                theirs = peer(pythons[package], bug, Path(folder) / "peer")
            OURS[bug](Path(folder) / "ours")  # raises where we have it
            results[bug] = {"what": (reproduce.__doc__ or "").strip(), "peer": theirs, "ours": "absent"}
            print(bug, theirs, flush=True)
    asked = [one["peer"] for one in results.values() if isinstance(one["peer"], dict)]
    peers = dict(one["peer"].split() for one in asked if "peer" in one)
    summary = {"reproduced": sum(bool(one.get("faulty")) for one in asked), "asked": len(asked), "bugs": len(BUGS)}
    write_result("pack_peer_bugs", {**summary, **results}, peers)


if __name__ == "__main__":
    main()
