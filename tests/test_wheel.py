"""Promises of the distribution: the wheel holds every package and data file, and works outside the tree."""

from __future__ import annotations

import fnmatch
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOP = ("curation", "mixing", "packing", "proxy_model", "quality", "tokenizer")


def project() -> dict[str, object]:
    value: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    return value


def test_every_package_is_listed() -> None:
    found = {".".join(p.parent.relative_to(ROOT).parts) for top in TOP for p in (ROOT / top).rglob("__init__.py")}
    assert set(project()["packages"]) == found  # type: ignore[call-overload]


def test_every_data_file_is_listed() -> None:
    patterns = [
        "/".join([*package.split("."), pattern])
        for package, some in project()["package-data"].items()  # type: ignore[attr-defined]
        for pattern in some
    ]
    tracked = subprocess.run(["git", "ls-files", *TOP], cwd=ROOT, capture_output=True, text=True, check=False)
    files = (path for top in TOP for path in (ROOT / top).rglob("*") if path.is_file())
    names = tracked.stdout.split() or [str(path.relative_to(ROOT)) for path in files]
    data = [n for n in names if not n.endswith(".py") and "__pycache__" not in n]
    assert data
    assert [n for n in data if not any(fnmatch.fnmatch(n, p) for p in patterns)] == []


def test_the_notice_tells_the_true_hashes_of_bundled_files() -> None:
    import hashlib

    notice = (ROOT / "NOTICE").read_text()
    bundled = [
        *ROOT.glob("curation/rules/data/*"),
        *ROOT.glob("curation/text/data/*.tsv"),
        *ROOT.glob("tokenizer/data/*"),
        *ROOT.glob("quality/data/*/*"),
    ]
    own = {"presets.yaml", "LICENSE-lid.176.md"}  # thresholds of papers, and a notice
    assert len(bundled) > len(own)
    for path in bundled:
        if path.name not in own:
            assert hashlib.sha256(path.read_bytes()).hexdigest() in notice, path


@pytest.mark.slow
def test_a_built_wheel_runs_outside_the_tree(tmp_path: Path) -> None:
    """Builds, installs into a fresh environment (needs a package index), runs the example elsewhere."""
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(ROOT)], check=True)
    wheel = next(tmp_path.glob("*.whl"))
    names = zipfile.ZipFile(wheel).namelist()
    assert "curation/rules/data/lid.176.ftz" in names and "tokenizer/data/unicode_classes.tsv" in names
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", str(wheel)], check=True)
    shutil.copytree(ROOT / "examples", tmp_path / "job" / "examples")
    command = [tmp_path / "env" / "bin" / "curate", "run", "examples/web.yaml", "--quiet"]
    done = subprocess.run(command, cwd=tmp_path / "job", capture_output=True, text=True, check=True)
    assert "674 records = " in done.stdout
    assert (tmp_path / "job" / "runs" / "web-demo" / "report.html").stat().st_size > 100_000
