"""`curate ab`: every command has an example, and exit codes say whose fault it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from proxy_model.experiment.commands import app

COMMANDS = ["plan", "lock", "run", "status", "report", "screen", "aa", "simulate", "registry"]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example(name: str) -> None:
    shown = CliRunner().invoke(app, ["ab", name, *(["show"] if name == "registry" else []), "--help"])
    assert shown.exit_code == 0 and f"Example: curate ab {name}" in shown.output


def test_commands_import_nothing_heavy() -> None:
    heavy = "{'torch', 'numpy', 'scipy', 'pyarrow'}"
    code = f"import sys, proxy_model.experiment.commands; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_a_wrong_request_ends_with_code_2(tmp_path: Path) -> None:
    (tmp_path / "ab.yaml").write_text("ab: x\n")
    told = subprocess.run(
        [sys.executable, "-m", "curation.cli", "ab", "plan", str(tmp_path / "ab.yaml")], capture_output=True, text=True
    )
    assert told.returncode == 2 and "arms: this key is required" in told.stderr
