"""Faults of other packers: absent here, and reproduced where the peer is installed (skipped elsewhere)."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from tests.packing.peer_bugs import BUGS
from tests.packing.peer_bugs_ours import OURS


@pytest.mark.parametrize("bug", list(BUGS))
def test_it_is_not_ours(bug: str, tmp_path: Path) -> None:
    OURS[bug](tmp_path)


@pytest.mark.parametrize("bug", list(BUGS))
def test_the_peer_has_it(bug: str, tmp_path: Path) -> None:
    """In a process of its own: one of them crashes the interpreter."""
    try:
        version(BUGS[bug][0])
    except PackageNotFoundError:
        pytest.skip(f"{BUGS[bug][0]} is not installed")
    command = [sys.executable, "-m", "tests.packing.peer_bugs", bug, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["faulty"]
