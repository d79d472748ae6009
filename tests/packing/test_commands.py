"""Promises of `curate pack` and `curate shards`: the whole way on files, JSON for scripts, exit codes, clear errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from curation.pipeline.errors import UsageError
from packing.commands import app
from tests.tokenizer.vocabularies import LINES, small_vocabulary
from tokenizer.formats.export import export as save_tokenizer

VERBS = ("info", "verify", "export", "who", "diff", "sample")
EMAIL = "jane.doe@example.org"


def call(*arguments: str, code: int = 0) -> str:
    """What a command prints; its error is raised."""
    done = CliRunner().invoke(app, arguments)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.stdout


def answer(*arguments: str, code: int = 0) -> Any:
    return json.loads(call(*arguments, "--json", code=code))


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `documents/`, `tokenizer/` and the `shards/` packed from them by the command."""
    folder = tmp_path_factory.mktemp("way")
    (folder / "documents").mkdir()
    texts = [
        "".join(LINES[(i + k) % len(LINES)] for k in range(i % 5)) + f"mail {EMAIL}\x1b[31m {i}" for i in range(60)
    ]
    columns = {
        "id": [f"{'ab'[i % 2]}/{i}" for i in range(60)], "text": texts, "source": [f"{'ab'[i % 2]}" for i in range(60)],
        "token_count": [10 + i for i in range(60)],
    }  # fmt: skip
    pq.write_table(pa.table(columns), folder / "documents/0.parquet")
    save_tokenizer(small_vocabulary(), folder / "tokenizer")
    call(
        "pack", str(folder / "documents"), "--tokenizer", str(folder / "tokenizer"), "--out", str(folder / "shards"),
        "--sequence-length", "128", "--seed", "3",
    )  # fmt: skip
    return folder


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_has_help_with_an_example(verb: str) -> None:
    text = call("shards", verb, "--help")
    assert f"shards {verb}" in text and "Example: curate shards" in " ".join(text.split())
    assert "Example: curate pack" in " ".join(call("pack", "--help").split())


def test_packed_shards_are_whole(way: Path) -> None:
    report = answer("shards", "verify", str(way / "shards"))
    assert report["ok"] and report["faults"] == [] and report["checked"]["rows"] > 5
    assert "no fault" in call("shards", "verify", str(way / "shards"))
    known = answer("shards", "info", str(way / "shards"))
    assert known["root"] == report["root"] and known["sequence_length"] == 128
    assert [queue["name"] for queue in known["queues"]] == ["a", "b"]
    assert sum(known["stages"][0]["shares"]) == pytest.approx(1)
    assert known["root"] in call("shards", "info", str(way / "shards"))


def test_a_plan_needs_token_counts_only(way: Path) -> None:
    plans = answer("pack", str(way / "documents"), "--plan", "--sequence-length", "64")
    assert [plans[queue]["documents"] for queue in ("a", "b")] == [30, 30]
    assert plans["a"]["tokens"] == sum(10 + i + 1 for i in range(0, 60, 2))
    pooled = answer("pack", str(way / "documents"), "--plan", "--queues", "pool", "--long", "drop")
    assert pooled["pool"]["documents"] == 60 and pooled["pool"]["sequence_length"] == 2048
    assert "padding" in call("pack", str(way / "documents"), "--plan")


def test_a_config_is_planned_from_its_run(way: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from curation.pipeline.config import load, sections

    if "pack" not in sections():
        pytest.skip("the section `pack:` is not installed")
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "web.yaml"
    config.write_text(
        f"run: web\nsources: {{a: {{read: parquet, paths: ['{way}/documents/*.parquet']}}}}\n"
        f"tokenizer: {{path: '{way}/tokenizer'}}\npack: {{sequence_length: 64, queues: pool}}\n"
    )
    load(config)
    with pytest.raises(UsageError, match="no run at runs/web"):
        call("pack", str(config), "--plan")
    with pytest.raises(UsageError, match="a config says how to pack by itself"):
        call("pack", str(config), "--sequence-length", "64")


def test_damage_gives_exit_code_1_and_names_the_file(way: Path, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(way / "shards", tmp_path / "copy"))
    path = copy / "data/s00000.bin"
    path.write_bytes(path.read_bytes()[:-4])
    assert "data/s00000.bin" in call("shards", "verify", str(copy), code=1)
    assert answer("shards", "verify", str(copy), code=1)["faults"][0]["file"] == "data/s00000.bin"


def test_texts_are_compared(way: Path) -> None:
    report = answer(
        "shards", "verify", str(way / "shards"), "--sample", "20", "--tokenizer", str(way / "tokenizer"),
        "--documents", str(way / "documents"),
    )  # fmt: skip
    assert report["checked"]["documents encoded again"] == 20


def test_export_says_how_to_go_on(way: Path, tmp_path: Path) -> None:
    text = call("shards", "export", str(way / "shards"), "--to", "megatron", "--out", str(tmp_path / "out"), "--link")
    assert "add_extra_token_to_sequence=False" in " ".join(text.split())
    done = answer("shards", "export", str(way / "shards"), "--to", "mds", "--out", str(tmp_path / "mds"))
    assert done["rows"] == answer("shards", "info", str(way / "shards"))["rows"]
    with pytest.raises(UsageError, match="exists already"):
        call("shards", "export", str(way / "shards"), "--to", "mds", "--out", str(tmp_path / "mds"))


def test_who_by_sequence_and_by_step(way: Path) -> None:
    by_number = answer("shards", "who", str(way / "shards"), "--sequence", "5", "--token", "3")
    step = ("--step", "1", "--row", "1", "--global-batch", "4")
    assert answer("shards", "who", str(way / "shards"), *step, "--token", "3") == by_number
    assert by_number["id"] in call("shards", "who", str(way / "shards"), "--sequence", "5", "--token", "3")


def test_diff_is_silent_or_speaks(way: Path, tmp_path: Path) -> None:
    assert answer("shards", "diff", str(way / "shards"), str(way / "shards")) == {"same": True, "differences": []}
    call(
        "pack", str(way / "documents"), "--tokenizer", str(way / "tokenizer"), "--out", str(tmp_path / "other"),
        "--sequence-length", "64",
    )  # fmt: skip
    assert "sequence_length: 128 and 64" in call("shards", "diff", str(way / "shards"), str(tmp_path / "other"), code=1)


def test_samples_are_masked_and_cannot_act(way: Path) -> None:
    arguments = ("shards", "sample", str(way / "shards"), "--tokenizer", str(way / "tokenizer"), "-n", "9")
    text = call(*arguments)
    assert "mail" in text and EMAIL not in text and "\x1b" not in text
    assert all(EMAIL not in one["text"] for one in answer(*arguments))


def test_wrong_requests_are_clear(way: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no manifest\.json"):
        call("shards", "info", str(tmp_path))
    with pytest.raises(UsageError, match="packing needs --tokenizer and --out"):
        call("pack", str(way / "documents"))
    with pytest.raises(UsageError, match="--method: Input should be 'windowed', 'bfd'"):
        call("pack", str(way / "documents"), "--plan", "--method", "best")
    with pytest.raises(UsageError, match="crop throws away what does not fit: say `long: truncate`"):
        call("pack", str(way / "documents"), "--plan", "--method", "crop")
    pq.write_table(pa.table({"id": ["x"], "text": ["y"]}), tmp_path / "x.parquet")
    with pytest.raises(UsageError, match="no column token_count: nothing to plan with"):
        call("pack", str(tmp_path / "x.parquet"), "--plan")


def test_a_plan_of_stages_says_epochs_by_queue_and_class(way: Path) -> None:
    from packing.config import PackConfig
    from packing.corpus_plan import plan_corpus, plan_schedule, schedule_as_json

    stages = [
        {"name": "all", "tokens": 1000, "weights": {"a": 1.0, "b": 3.0}},
        {"name": "long", "sequence_length": 128, "tokens": 400, "lengths": {"medium": 1.0}},
    ]
    config = PackConfig.model_validate({"sequence_length": 64, "length_bounds": [40, 60], "stages": stages})
    told = schedule_as_json(plan_schedule([way / "documents"], config))
    there = sum(10 + i + 1 for i in range(0, 60, 2) if 40 <= 10 + i + 1 <= 60)
    assert told["total"]["a/medium"]["there"] == there
    assert sum(one["wanted"] for one in told["by_stage"]["all"].values()) == pytest.approx(1000, abs=3)
    assert told["total"]["medium"]["wanted"] > 400
    assert {"a", "b", "a, rows of 128", "b, rows of 128"} == set(plan_corpus([way / "documents"], config))
    buckets = PackConfig.model_validate({"sequence_length": 64, "method": "buckets", "smallest_bucket": 8})
    plan = plan_corpus([way / "documents"], buckets)["a"]
    assert plan.method == "buckets" and plan.tokens_truncated > 0
