"""Promises of the command line: quick help, examples, JSON for scripts, exit codes, harmless output."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

HOSTILE = "\x1b[2J\x1b[31mred <script>alert(1)</script> \u202egnihtemos mail me at jane.doe@mail.example.org "
VERBS = ["run", "plan", "worker", "status", "inspect", "whatif", "trace", "sql", "report", "doctor", "schema"]


def curate(*arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "curation.cli", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """(config, run folder) of one small finished run with hostile documents."""
    from tests.curation.conftest import add_file

    folder = tmp_path_factory.mktemp("demo")
    (folder / "data").mkdir()
    for number, name in enumerate("ab"):
        add_file(folder / "data" / f"{name}.jsonl", number, 40)
    with (folder / "data" / "b.jsonl").open("a") as handle:
        handle.write(json.dumps({"text": HOSTILE + "word " * 5, "id": "hostile\x1b[31m"}) + "\n")
        handle.write(json.dumps({"text": "x" * 10_000_000, "id": "long"}) + "\n")
    value = {
        "run": "demo",
        "workdir": str(folder / "runs"),
        "executor": {"workers": 2},
        "sources": {"web": {"read": "jsonl", "paths": ["data/*.jsonl"]}},
        "clean": [
            {"language": {"min_score": 0.1}},
            {"rules": {"presets": ["gopher-quality", "gopher-repetition", "fineweb-code"]}},
        ],
        "dedup": {"exact": {}},
    }
    path = folder / "demo.yaml"
    path.write_text(json.dumps(value))
    curate("run", str(path), "--quiet")
    return str(path), str(folder / "runs" / "demo")


def test_help_imports_nothing_heavy() -> None:
    probe = (
        "import sys; sys.argv=['curate','--help']\n"
        "import curation.cli as c\n"
        "try: c.main()\nexcept SystemExit: pass\n"
        "heavy={'pyarrow','numba','duckdb','pydantic','torch','datatrove','yaml'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True)
    assert time.perf_counter() - started < 5  # a guard against the pathological; the figure is in the README


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_has_help_with_an_example(verb: str) -> None:
    assert f"Example: curate {verb}" in curate(verb, "--help")


def test_unknown_runs_and_files_are_usage_errors(tmp_path: Path) -> None:
    assert "no run at" in curate("status", str(tmp_path / "nothing"), code=2)
    assert "not found" in curate("run", str(tmp_path / "nothing.yaml"), code=2)


def test_status_counts_finished_tasks(demo: tuple[str, str]) -> None:
    status = json.loads(curate("status", demo[1], "--json"))
    assert status["complete"]
    assert status["finished"] == status["tasks"]
    assert json.loads(curate("status", demo[0], "--json")) == status  # a config names its run as well


def test_sql_answers_in_json_and_refuses_what_is_not_a_question(demo: tuple[str, str]) -> None:
    rows = json.loads(curate("sql", demo[1], "select count(*) as n from documents", "--json"))
    assert rows[0]["n"] > 0
    curate("sql", demo[1], "select * from read_csv('/etc/passwd')", code=2)
    curate("sql", demo[1], "drop view documents", code=2)


def test_inspect_shows_the_value_against_the_threshold(demo: tuple[str, str]) -> None:
    rows = json.loads(curate("inspect", demo[1], "--rule", "gopher-quality.min_words", "-n", "3", "--json"))
    assert len(rows) == 3
    assert all(re.fullmatch(r"\d+ < 50", row["removed_detail"]) for row in rows)
    assert "did you mean 'gopher-quality.min_words'" in curate(
        "inspect", demo[1], "--rule", "gopher-quality.min_wrods", code=2
    )


def test_hostile_text_is_shown_harmlessly_and_personal_data_masked(demo: tuple[str, str]) -> None:
    shown = curate("inspect", demo[1], "-n", "100") + curate("trace", demo[1], "web/long")
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "jane.doe" not in shown
    assert len(shown) < 300_000  # the 10 MB line is clipped
    report = (Path(demo[1]) / "report.html").read_text()
    assert "<script>alert" not in report
    assert "jane.doe" not in report
    assert len(report) < 3_000_000


def test_trace_tells_the_fate_of_kept_removed_duplicate_and_quarantined(demo: tuple[str, str]) -> None:
    def outcome(id: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(curate("trace", demo[1], id, "--json"))
        return answer

    removed, copy = (
        json.loads(
            curate("sql", demo[1], f"select id, removed_detail as d from removed where removed_by = '{rule}'", "--json")
        )[0]
        for rule in ("gopher-quality.min_words", "dedup.exact")
    )
    told = outcome(removed["id"])
    assert told["fate"]["by"] == "gopher-quality.min_words"
    assert "removed here" in told["rules"]["gopher-quality.min_words"]
    told = outcome(copy["id"])
    assert told["fate"]["by"] == "dedup.exact"
    assert copy["d"] in told["duplicates"]["copy of"]
    kept = outcome(copy["d"])
    assert kept["outcome"] == "kept"
    assert kept["duplicates"]["duplicate_count"] == 1 + len(kept["duplicates"]["stands for"])
    assert kept["record"]["topic"].startswith("t")
    told = outcome("web/a.jsonl#20")
    assert told["outcome"] == "quarantined"
    assert told["fate"]["reason"]
    assert "did you mean 'web/a.jsonl#" in curate("trace", demo[1], "a.jsonl", code=2)


def test_whatif_agrees_with_a_real_rerun(demo: tuple[str, str], tmp_path: Path) -> None:
    changes = ["gopher-quality.min_words=1", "gopher-quality.max_word_length=6.5", "language.min_score=0.9"]
    guess = json.loads(curate("whatif", demo[1], *changes, "--json"))
    config = json.loads(Path(demo[0]).read_text())
    config["run"] = "again"
    config["clean"][0]["language"]["min_score"] = 0.9
    config["clean"][1]["rules"]["override"] = {"gopher-quality.min_words": 1, "gopher-quality.max_word_length": 6.5}
    path = Path(demo[0]).with_name("again.yaml")
    path.write_text(json.dumps(config))
    real = json.loads(curate("run", str(path), "--json", "--no-report"))
    assert guess["changed"] > 0
    then = {rule: counts[1] for rule, counts in guess["rules"].items() if counts[1]}
    assert then.pop("(kept)") == real["totals"]["documents"]
    assert then == real["removed_by"]


def test_whatif_refuses_what_would_read_texts_again(demo: tuple[str, str]) -> None:
    assert "did you mean 'gopher-quality'" in curate("whatif", demo[1], "gofer-quality.min_words=1", code=2)
    assert "curate run" in curate(
        "whatif", demo[1], "gopher-quality.min_words=1", "--set", "sources.web.text=other", code=2
    )


def test_a_worker_with_nothing_but_the_plan_finishes_the_run(demo: tuple[str, str], tmp_path: Path) -> None:
    config = json.loads(Path(demo[0]).read_text()) | {"workdir": str(tmp_path / "runs")}
    path = Path(demo[0]).with_name("remote.yaml")
    path.write_text(json.dumps(config))
    plan = json.loads(curate("plan", str(path), "--write", "--json"))
    assert {row["state"] for row in plan["tasks"]} == {"run", "undecided"}
    for _ in range(len(plan["tasks"])):
        if not json.loads(curate("worker", plan["file"], "ready", "--json")):
            break
    done = json.loads(curate("run", str(path), "--json", "--no-report"))
    assert all(step["reused"] == step["tasks"] for step in done["steps"])
    original = json.loads((Path(demo[1]) / "run.json").read_text())
    assert done["digest"] == original["digest"]
    assert "the plan has tasks" in curate("worker", plan["file"], "0-9999", code=2)


def test_the_schema_is_json_schema_of_all_sections() -> None:
    schema = json.loads(curate("schema"))
    assert {"run", "sources", "clean", "dedup", "executor"} <= set(schema["properties"])


def test_doctor_says_what_every_extra_enables() -> None:
    answer = {one["extra"]: one for one in json.loads(curate("doctor", "--json"))["extras"]}
    declared = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    extras = {name: some for name, some in declared["optional-dependencies"].items() if name != "dev"}
    assert answer.keys() == extras.keys()
    for name, some in extras.items():
        assert set(answer[name]["installed"]) == {one.partition(">")[0] for one in some}
        assert all(answer[name]["installed"].values()) != bool(answer[name]["install"])
