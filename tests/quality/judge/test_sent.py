"""Promises of what is sent and written: keys, personal data, stages, log probabilities."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

pytest.importorskip("httpx")
pytest.importorskip("tenacity")

from curation.pipeline.errors import UsageError
from quality.judge.action import label
from quality.judge.budget import Caps
from quality.judge.documents import Again, First, Second
from quality.judge.endpoint import Endpoint
from quality.labels.table import read_labels
from quality.rubric.rubric import load_rubric
from tests.quality.judge.running import run, write_documents
from tests.quality.judge.server import Judge


def test_the_key_goes_to_the_server_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "sk-very-secret-0123456789"
    documents = write_documents(tmp_path / "d.jsonl", 3)
    with Judge(lambda key, times: "500" if times == 0 else None) as judge:
        with pytest.raises(UsageError, match="CURATE_TEST_KEY is empty"):
            run(judge, documents, tmp_path / "a.parquet", api_key_env="CURATE_TEST_KEY")
        monkeypatch.setenv("CURATE_TEST_KEY", secret)
        with caplog.at_level("DEBUG"):
            report = run(judge, documents, tmp_path / "a.parquet", api_key_env="CURATE_TEST_KEY")
        assert all(headers["Authorization"] == f"Bearer {secret}" for headers, _ in judge.seen)
        judge.fault = lambda key, times: "401"
        with pytest.raises(UsageError) as error:
            run(judge, write_documents(tmp_path / "e.jsonl", 1, prefix="e"), tmp_path / "a.parquet",
                api_key_env="CURATE_TEST_KEY")  # fmt: skip
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert secret not in caplog.text + str(report) + str(error.value) + repr(error.value.__cause__)
    assert not any(secret.encode() in data for data in files)


def test_log_probabilities_give_a_continuous_label_and_do_not_swell_the_cache(tmp_path: Path) -> None:
    documents = write_documents(tmp_path / "d.jsonl", 5)
    with Judge() as judge:
        run(judge, documents, tmp_path / "a.parquet", logprobs=True)
        assert all(body["logprobs"] and body["top_logprobs"] == 20 for _, body in judge.seen)
    for row in read_labels(tmp_path / "a.parquet", load_rubric()).to_pylist():
        level = row["knowledge_depth"]
        assert row["knowledge_depth_expected"] == pytest.approx(0.75 * level + 0.25 * ((level - 1) % 6), rel=1e-5)
    assert (tmp_path / "a.parquet.replies/replies.jsonl").stat().st_size < 5 * 12_000


def test_a_key_is_not_sent_unencrypted_nor_money_spent_without_a_cap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURATE_TEST_KEY", "k")
    documents = write_documents(tmp_path / "d.jsonl", 1)
    far = Endpoint(base_url="http://judge.example/v1", model="m", api_key_env="CURATE_TEST_KEY")
    with pytest.raises(UsageError, match="unencrypted"):
        label([documents], tmp_path / "a.parquet", far, caps=Caps(requests=1))
    with pytest.raises(UsageError, match="nothing limits"):
        label([documents], tmp_path / "a.parquet", Endpoint(base_url="https://judge.example/v1", model="m"))
    with pytest.raises(UsageError, match="user, a password"):
        Endpoint(base_url="https://me:secret@judge.example/v1", model="m")
    for url in ("judge.example/v1", "ftp://x", "http://[::1/v1", "http://x:port/v1", "http://x/\nv1", ""):
        with pytest.raises(UsageError, match="is no address"):
            Endpoint(base_url=url, model="m")


def test_what_is_sent_has_no_personal_data_unless_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_bytes(orjson.dumps({"id": "a", "text": "Write to john.smith@example.org today."}) + b"\n")
    with Judge() as judge:
        run(judge, path, tmp_path / "a.parquet")
        run(judge, path, tmp_path / "b.parquet", mask=False)
        sent = [body["messages"][1]["content"] for _, body in judge.seen]
    assert "john.smith" not in sent[0] and "<email>" in sent[0] and "john.smith@example.org" in sent[1]


def test_empty_texts_are_not_sent_and_bad_documents_are_told(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_bytes(b'{"id": "a", "text": ""}\n{"id": "b", "text": " \\n"}\n{"id": "c", "text": null}\n')
    with Judge() as judge:
        report = run(judge, path, tmp_path / "a.parquet")
        assert report.empty == 3 and judge.requests.total() == 0
        for bad, told in [(b'{"id": "a", "text": "\xff"}', "not UTF-8"), (b'{"id": "a"}', "no `text`")]:
            path.write_bytes(bad + b"\n")
            with pytest.raises(UsageError, match=rf"d.jsonl:1: {told}"):
                run(judge, path, tmp_path / "a.parquet")
        path.write_bytes(b'{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}\n')
        with pytest.raises(UsageError, match="have the id 'a'"):
            run(judge, path, tmp_path / "a.parquet")


def test_two_stages_and_a_repetition(tmp_path: Path) -> None:
    documents, rubric = write_documents(tmp_path / "d.jsonl", 60), load_rubric()
    tags = tmp_path / "tags.jsonl"
    rows = [{"id": f"d{i}", "knowledge_depth": i % 5, "practicality": 2.2, "category": "games"} for i in range(60)]
    tags.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    with Judge() as judge:
        run(judge, documents, tmp_path / "1.parquet", selection=First(12, seed=3))
        first = read_labels(tmp_path / "1.parquet", rubric)
        assert first.num_rows == 12 and sum(first["weight"].to_pylist()) == pytest.approx(60)
        run(judge, documents, tmp_path / "2.parquet", selection=Second(10, first, tags, seed=3))
        both = read_labels(tmp_path / "2.parquet", rubric)
        assert sorted(both["stage"].to_pylist()) == [1] * 12 + [2] * 10
        assert judge.requests.total() == 22  # stage 1 is not asked for again
        run(judge, documents, tmp_path / "again.parquet", selection=Again(first), repeat=2, temperature=0.7)
        again = read_labels(tmp_path / "again.parquet", rubric)
        assert set(again["judge"].to_pylist()) == {"m#2"} and judge.requests.total() == 34
        assert set(again["doc_id"].to_pylist()) == set(first["doc_id"].to_pylist())
