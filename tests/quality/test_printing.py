"""Promises of what the commands print for people, on a slice of the labels in the repository."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from curation.cli import build
from curation.pipeline.errors import UsageError

EXAMPLES = Path(__file__).parents[2] / "examples" / "quality"
ONE = ["--family", "(?!weborganizer).*=judge"]  # the judge's passes have other names than judge#2
SMALL = ["--word-bits", "12", "--char-bits", "12"]


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The labels of 120 documents, 36 of them judged twice by one family, and the texts."""
    folder = tmp_path_factory.mktemp("slice")
    labels = pq.read_table(EXAMPLES / "labels.parquet")
    names = labels["doc_id"].to_pylist()
    twice = sorted({name for name in names if names.count(name) > 1})
    wanted = pa.array([*twice, *sorted(set(names) - set(twice))[::5][:84]])
    pq.write_table(labels.filter(pc.is_in(labels["doc_id"], wanted)), folder / "labels.parquet")
    return str(folder / "labels.parquet"), str(EXAMPLES / "documents.parquet")


def curate(*arguments: str) -> str:
    done = CliRunner().invoke(build(), ["quality", *arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


@pytest.fixture(scope="module")
def trained(given: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    out = tmp_path_factory.mktemp("trained") / "model"
    return curate("train", given[0], "--documents", given[1], "--out", str(out), *SMALL), out


def test_train_tells_figures_and_the_next_command(trained: tuple[str, Path]) -> None:
    shown, out = trained
    card = json.loads((out / "card.json").read_text())
    assert "120 labelled documents" in shown and card["hash"] in shown
    assert f"{card['metrics']['practicality']['spearman']}" in shown
    assert f"category right {card['metrics']['category']['accuracy']:.3f}" in shown
    assert "curate quality tag" in shown


def test_evaluate_tells_a_row_a_score_and_how_many_were_held_out(given: tuple[str, str], trained: object) -> None:
    _, out = trained  # type: ignore[misc]
    labels = str(EXAMPLES / "labels.parquet")
    shown = curate("evaluate", labels, "--documents", given[1], "--model", str(out), "--quiet")
    assert "504 labelled documents" in shown and "384 │ tagger │ knowledge_depth" in shown
    assert "model: category right 0." in shown and "low confidence" in shown
    assert "the judge with itself, 36 documents: knowledge_depth QWK 0.9" in shown
    with pytest.raises(UsageError, match="measured as it is"):
        curate("evaluate", labels, "--documents", given[1], "--model", str(out), "--split", "random")


def test_agreement_tells_gates_and_its_verdict(given: tuple[str, str], tmp_path: Path) -> None:
    shown = curate("agreement", given[0], "--out", str(tmp_path), "--replicates", "30", *ONE)
    assert "156 judgements of 120 documents by" in shown and "test–retest" in shown
    assert (
        "of 5 measured gates hold." in shown and "Not measured, for want of documents judged so: cross-judge" in shown
    )
    assert (tmp_path / "agreement.html").is_file() and json.loads((tmp_path / "agreement.json").read_text())["gates"]


def test_agreement_of_documents_judged_once_is_not_known(given: tuple[str, str], tmp_path: Path) -> None:
    once = pq.read_table(given[0])
    once = once.take(pa.array(sorted({name: i for i, name in enumerate(once["doc_id"].to_pylist())}.values())))
    pq.write_table(once, tmp_path / "once.parquet")
    shown = curate("agreement", str(tmp_path / "once.parquet"), "--out", str(tmp_path), "--replicates", "5", *ONE)
    assert "No document was judged twice, so agreement is not known." in shown


def test_imported_categories_are_compared_but_not_trained_on(given: tuple[str, str], tmp_path: Path) -> None:
    labels = {row["doc_id"]: row["category"] for row in pq.read_table(given[0]).to_pylist()[::-1]}
    topic = {"software_development": "Software Dev.", "natural_science": "Science & Tech."}
    rows = [{"id": name, "topic": topic[one]} for name, one in labels.items() if one in topic]
    (tmp_path / "topics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = str(tmp_path / "topics.parquet")
    shown = curate("import", "weborganizer_topic", str(tmp_path / "topics.jsonl"), "--out", out)
    assert f"{len(rows)} labels in" in shown and shown.endswith(f"category {len(rows)}")
    shown = curate("agreement", given[0], out, "--out", str(tmp_path / "page"), "--replicates", "5", *ONE)
    found = json.loads((tmp_path / "page" / "agreement.json").read_text())
    cross = next(one for one in found["kinds"] if one["kind"] == "cross-judge")
    assert cross["category"]["pairs"] == len(rows) and cross["category"]["exact"] > 0.9 and not cross["scores"]
    with pytest.raises(UsageError, match=r"topics.parquet:1: knowledge_depth is missing\n.*agreement"):
        curate("train", out, "--documents", given[1], "--out", str(tmp_path / "model"), *SMALL)


def test_validate_tells_which_dimensions_are_needed(given: tuple[str, str], tmp_path: Path) -> None:
    shown = curate(
        "validate", given[0], "--sources", given[1], "--out", str(tmp_path), "--replicates", "10"
    )  # fmt: skip
    made = json.loads((tmp_path / "validation.json").read_text())
    assert made["verdict"][0] in shown and shown.endswith("validation.html")


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--extra", "[1"], "no JSON"),
        (["--extra", "[]"], "no JSON object"),
        (["--extra", '{"max_tokens": 3}'], "cannot be set"),
        (["--temperature", "warm"], "0 to 2, or none"),
        (["--tokens-field", "tokens"], "max_completion_tokens"),
    ],
)
def test_label_refuses_wrong_flags(tmp_path: Path, flags: list[str], told: str) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "1", "text": "a"}\n')
    with pytest.raises(UsageError, match=told):
        curate("label", str(tmp_path / "a.jsonl"), "--out", str(tmp_path / "l.parquet"), "--endpoint",
               "http://localhost:1/v1", "--model", "m", *flags)  # fmt: skip


def test_label_sends_what_its_flags_say(tmp_path: Path) -> None:
    pytest.importorskip("httpx")
    from tests.quality.judge.server import Judge

    (tmp_path / "a.jsonl").write_text('{"id": "1", "text": "How to boil an egg."}\n')
    with Judge() as judge:
        shown = curate(
            "label", str(tmp_path / "a.jsonl"), "--out", str(tmp_path / "l.parquet"), "--endpoint", judge.url,
            "--model", "m", "--temperature", "none", "--reply-tokens", "900", "--tokens-field", "max_completion_tokens",
            "--extra", '{"top_p": 0.5}', "--timeout", "20", "--quiet",
        )  # fmt: skip
        body = judge.seen[0][1]
    assert "1 labels in" in shown
    assert body["max_completion_tokens"] == 900 and body["top_p"] == 0.5 and "temperature" not in body
