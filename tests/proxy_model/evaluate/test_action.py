"""`curate proxy evaluate`: what it prints, writes and refuses, for our models and for Hugging Face's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer

torch = pytest.importorskip("torch")

from curation.pipeline.errors import UsageError  # noqa: E402
from proxy_model.config import preset  # noqa: E402
from proxy_model.evaluate.action import Request, clusters_from, evaluate_command  # noqa: E402
from proxy_model.evaluate.table import header_of, read_table  # noqa: E402
from proxy_model.files import save_model  # noqa: E402
from proxy_model.model import ProxyLM  # noqa: E402
from tests.proxy_model.evaluate.examples import VOCABULARY, hf_model, saved_tokenizer, write_lines  # noqa: E402

RECORDS = [
    *({"benchmark": "foxes", "id": f"{i}", "query": f"Question: who is {i}?\nAnswer:", "choices": ["the fox", "a dog"],
       "gold": i % 2, "subject": "law"} for i in range(8)),
    {"benchmark": "words", "id": "c", "query": "The quick brown", "answer": "fox"},
    {"benchmark": "foxes", "id": "bad", "query": "x", "choices": ["A", "B"], "gold": 0},
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluate")
    saved_tokenizer(folder)
    save_model(ProxyLM(preset("pico", vocab_size=VOCABULARY), 1), folder / "run" / "final")
    write_lines(folder / "items.jsonl", RECORDS)
    return folder


def request(place: Path, **changes: Any) -> Request:
    given = {"model": place / "run", "items": [place / "items.jsonl"], "tokenizer": place / "tokenizer"}
    return Request(**{**given, **changes})


def test_the_table_shows_chance_errors_and_what_was_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = place / "scores.parquet"
    evaluate_command(request(place, out=out))
    shown = capsys.readouterr().out
    assert "foxes" in shown
    assert "(0.5000)" in shown
    assert "±" in shown
    assert "it says nothing of training noise" in shown
    assert "items.jsonl:10: choices are only letters" in shown
    table = read_table(out)
    assert table.num_rows == 17
    assert header_of(table)["files"][0]["refused"] == 1
    assert [one.name for one in place.glob(".*parts")] == []
    evaluate_command(request(place, out=place / "again.parquet"))
    assert (place / "again.parquet").read_bytes() == out.read_bytes()


def test_json_and_strict(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        evaluate_command(request(place, strict=True, limit=4, metrics=("acc", "bpb")), as_json=True)
    assert ended.value.exit_code == 1
    shown = json.loads(capsys.readouterr().out)
    assert [(one["benchmark"], one["metric"], one["items"]) for one in shown["estimates"]] == [
        ("foxes", "acc", 4), ("foxes", "bpb", 4), ("words", "acc", 1), ("words", "bpb", 1),
    ]  # fmt: skip
    assert shown["refused"] == ["items.jsonl:10: choices are only letters: cloze scoring needs their texts"]


def test_a_hugging_face_folder(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    transformers = pytest.importorskip("transformers")
    hf_model("llama").save_pretrained(place / "llama")
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(place / "tokenizer" / "tokenizer.json"), eos_token="<|endoftext|>"
    )
    tokenizer.save_pretrained(place / "llama")
    found = []
    for given in (None, place / "tokenizer"):
        evaluate_command(request(place, model=place / "llama", tokenizer=given, hf=True, mode="lm_eval"), as_json=True)
        found.append(json.loads(capsys.readouterr().out)["estimates"])
    assert found[0] == found[1]


def test_examples_clusters_and_retrieval(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "story.txt").write_text("It rained on the road. " * 300)
    evaluate_command(
        request(place, items=[place / "items.jsonl"], haystack=place / "story.txt", lengths=(2_048,), limit=2),
        as_json=True,
    )
    names = {one["benchmark"] for one in json.loads(capsys.readouterr().out)["estimates"]}
    assert {"retrieval_single_2048", "retrieval_multi_key_2048", "retrieval_multi_value_2048"} < names
    only = write_lines(place / "foxes.jsonl", RECORDS[:8])
    evaluate_command(
        request(place, items=[only], shots=2, pool=only, clusters=clusters_from(["foxes=group"])), as_json=True
    )
    one = json.loads(capsys.readouterr().out)["estimates"][0]
    assert (one["clusters"], one["standard_error"]) == (1, None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metrics": ("acuracy",)}, "no metric is called 'acuracy'"),
        ({"mode": "joint"}, "no mode is called 'joint'"),
        ({"items": []}, "nothing to evaluate"),
        ({"tokenizer": None}, "no tokenizer beside it"),
        ({"model": Path("nowhere")}, "no folder of a model"),
        ({"shots": 2}, "pool of solved items"),
        ({"limit": 0}, "--limit must be 1 or more"),
        ({"device": "cuda"}, "no CUDA device"),
        ({"dtype": "float8"}, "no dtype is called"),
        ({"device": "tpu"}, "no device is called 'tpu'"),
        ({"out": Path("/")}, "is a folder"),
        ({"haystack": Path("nowhere")}, "--haystack nowhere: No such file"),
        ({"haystack": Path("/")}, "--haystack /: Is a directory"),
        ({"hf": True}, "no causal language model"),
        ({"max_length": 5}, "do not fit 5 tokens"),
        ({"out": Path("nowhere/scores.parquet")}, "there is no folder"),
    ],
)  # fmt: skip
def test_a_wrong_request_is_told_before_work_starts(place: Path, changes: dict[str, Any], said: str) -> None:
    if changes.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    if "hf" in changes:
        pytest.importorskip("transformers")
    with pytest.raises(UsageError, match=said):
        evaluate_command(request(place, **changes))


def test_another_tokenizer_than_the_models_is_refused(place: Path) -> None:
    save_model(ProxyLM(preset("pico", vocab_size=VOCABULARY), 1), place / "other", {"tokenizer": "0123456789abcdef"})
    with pytest.raises(UsageError, match=r"is not the tokenizer that .* was trained with"):
        evaluate_command(request(place, model=place / "other"))


def test_clusters_are_written_with_an_equals_sign() -> None:
    assert clusters_from(["mmlu=group"]) == {"mmlu": "group"}
    with pytest.raises(UsageError, match="BENCHMARK=group"):
        clusters_from(["mmlu"])
