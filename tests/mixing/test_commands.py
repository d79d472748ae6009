"""Promises of `curate mix …`."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from curation.cli import build
from tests.mixing.runs import Finished

runner = CliRunner()


def called(*arguments: object, ok: bool = True) -> str:
    done = runner.invoke(build(), ["mix", *map(str, arguments)])
    if ok and done.exit_code:
        raise AssertionError(f"{done.output}\n{done.exception!r}")
    if not ok:
        assert done.exit_code, done.output
        return f"{done.output} {done.exception}"
    return str(done.output)


def test_plan_shows_cells_and_what_binds(one: Finished) -> None:
    shown = called("plan", one.folder, "--budget", "14K")
    for told in ("budget 14,000", "λ", "KL 0.25", "effective sample", "floors that bind", "cap", "sums/"):
        assert told in shown
    found = json.loads(called("plan", one.folder, "--budget", "14K", "--json"))
    assert abs(sum(row["planned"] for row in found["cells"]) - 14_000) < 1
    assert found["inventory"]["holdout"]["documents"] > 0


def test_settings_of_the_command_line_come_after_the_runs_own(one: Finished) -> None:
    found = json.loads(called("plan", one.folder, "--set", "preset=proportional", "--set", "caps.high=9", "--json"))
    assert found["lambda"] == 0 and found["budget"] == 12_000
    assert {row["cap"] for row in found["cells"] if row["bucket"] >= 3} == {9.0}


def test_a_sample_is_the_runs_own_mix(one: Finished, tmp_path: Path) -> None:
    shown = called("sample", one.folder, "--out", tmp_path / "mix")
    assert "occurrences" in shown and "pack: {mix:" in shown
    for name in ("mix-00000.parquet", "plan.json", "ablation/mix-00000.parquet"):
        assert (tmp_path / "mix" / name).read_bytes() == (one.folder / "mix" / name).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mix"]  # nothing temporary stays
    assert "exists" in called("sample", one.folder, "--out", tmp_path / "mix", ok=False)


def test_files_of_documents_do_as_well(one: Finished, tmp_path: Path) -> None:
    files = sorted((one.folder / "documents").glob("*.parquet"))
    made = json.loads(called("sample", *files, "--budget", "6K", "--seed", 3, "--out", tmp_path / "mix", "--json"))
    assert abs(made["tokens"] - 6_000) < 200
    found = json.loads(called("show", tmp_path / "mix", "--against", one.folder, "--json"))
    assert found["nested"] and found["share_of_smaller"] == 1.0
    assert "neither" not in called("show", tmp_path / "mix", "--against", one.folder)


def test_show_tells_repeats_and_distances(one: Finished) -> None:
    shown = called("show", one.folder)
    for told in ("share of tokens by number of copies", "matched", "ordinary", "total variation", "documents, matched"):
        assert told in shown
    document = next(row["id"] for row in one.documents.values() if row["split"] == "train" and row["token_count"])
    assert "entry" in called("show", one.folder, document)
    assert json.loads(called("show", one.folder, document, "--json"))["id"] == document


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--budget", "9M"], "the caps allow"),
        (["--set", "kl"], "not key=value"),
        (["--set", "kl=-1"], "mix.kl"),
        (["--set", "ceilings.tails=0.2"], "did you mean 'tales'"),
        (["--set", "floors={sciense: 0.2}"], "no category 'sciense'"),
        (["--set", "presett=tilted"], "mix.presett"),
    ],
)
def test_what_is_wrong_is_told(one: Finished, arguments: list[str], told: str) -> None:
    assert told in called("plan", one.folder, *arguments, ok=False)


def test_no_documents_and_no_budget_are_told(tmp_path: Path, one: Finished) -> None:
    assert "no documents" in called("plan", tmp_path, "--budget", 5, ok=False)
    assert "no budget" in called("plan", one.folder / "documents", ok=False)
    assert "no mix" in called("show", tmp_path, ok=False) or "no run" in called("show", tmp_path, ok=False)


def test_help_is_fast() -> None:
    import subprocess
    import sys

    code = "import mixing.commands, sys; assert not {'numba', 'duckdb', 'pyarrow', 'numpy'} & set(sys.modules)"
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    assert time.perf_counter() - started < 5


def test_regress_proposes_a_mix_that_the_documents_allow(one: Finished, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    lines = ["weight.tales,weight.notes,weight.sums,loss.all"]
    for i in range(24):
        a, b = (i * 7 % 24) / 40, (i * 11 % 24) / 60
        lines.append(f"{a},{b},{1 - a - b},{2 + 0.5 * (a - 0.3) ** 2 + (b - 0.2) ** 2}")
    (tmp_path / "runs.csv").write_text("\n".join(lines))
    shown = called(
        "regress", tmp_path / "runs.csv", "--next", 2, "--within", one.folder, "--out", tmp_path / "next.json"
    )
    found = json.loads((tmp_path / "next.json").read_text())
    assert "Spearman" in shown and found["runs"] == 24 and len(found["next"]) == 2
    assert abs(sum(found["feasible"]["weights"].values()) - 1) < 1e-6 and found["budget"] == 12_000
    assert "--within" in called("regress", tmp_path / "runs.csv", "--budget", "5K", ok=False)
    assert "NAME=VALUE" in called("regress", tmp_path / "runs.csv", "--task", "all", ok=False)
