"""Promises of the labelling run, against a real HTTP server: caps hold, faults are survived."""

from __future__ import annotations

import json
import re
import time
from decimal import Decimal
from pathlib import Path

import orjson
import pytest

pytest.importorskip("httpx")
pytest.importorskip("tenacity")

from curation.pipeline.errors import CurateError, UsageError
from quality.judge.budget import Caps
from quality.labels.table import read_labels, text_hash
from quality.rubric.rubric import load_rubric
from tests.quality.judge.running import run, write_documents
from tests.quality.judge.server import Judge, by_rates

# of the acceptance row: busy and broken answers are asked again as they are, the others are invalid replies
BUSY = {"429 now": 0.06, "500": 0.03, "503": 0.03, "cut": 0.01}
INVALID = {"truncated": 0.03, "length": 0.03, "prose": 0.02, "twice": 0.02, "wrong schema": 0.03, "no json": 0.01}
RATES = {**BUSY, **INVALID, "fenced": 0.05}


def test_labels_come_in_the_documents_order_with_all_columns(tmp_path: Path) -> None:
    documents = write_documents(tmp_path / "d.jsonl", 30)
    with Judge() as judge:
        report = run(judge, documents, tmp_path / "labels.parquet")
        assert report.labels == 30 and report.requests == 30 and judge.most_running <= 8
    table = read_labels(tmp_path / "labels.parquet", load_rubric())
    assert table["doc_id"].to_pylist() == [f"d{i}" for i in range(30)]
    first = table.to_pylist()[0]
    text = orjson.loads(documents.read_bytes().splitlines()[0])["text"]
    assert first["text_hash"] == text_hash(text) and first["chars"] == len(text)
    assert first["judge"] == "m" and first["evidence"].startswith("because") and json.loads(first["raw"])


def test_the_table_is_the_same_for_any_number_of_threads(tmp_path: Path) -> None:
    documents = write_documents(tmp_path / "d.jsonl", 40)
    for parallel in (1, 16):
        with Judge(by_rates(RATES)) as judge:
            run(judge, documents, tmp_path / f"{parallel}.parquet", parallel=parallel)
    one, many = (read_labels(tmp_path / f"{n}.parquet", load_rubric()).to_pylist() for n in (1, 16))
    assert one == many


def test_a_second_run_asks_for_nothing(tmp_path: Path) -> None:
    documents = write_documents(tmp_path / "d.jsonl", 10)
    with Judge() as judge:
        run(judge, documents, tmp_path / "a.parquet")
        before = (tmp_path / "a.parquet").read_bytes()
        report = run(judge, documents, tmp_path / "a.parquet")
        assert judge.requests.total() == 10 and report.requests == 0 and report.cached == 10
    assert (tmp_path / "a.parquet").read_bytes() == before


def test_equal_documents_are_paid_once(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_bytes(b"".join(orjson.dumps({"id": str(i), "text": "the same"}) + b"\n" for i in range(9)))
    with Judge(delay_s=0.02) as judge:
        assert run(judge, path, tmp_path / "a.parquet").labels == 9
        assert judge.requests.total() == 1


def check_faults(tmp_path: Path, count: int) -> None:
    documents = write_documents(tmp_path / "d.jsonl", count)
    with Judge(by_rates(RATES)) as judge:
        report = run(judge, documents, tmp_path / "a.parquet", parallel=16)
        assert report.labels >= 0.995 * count, report
        assert report.labels + sum(report.failed.values()) == count
        assert all(judge.faults[kind] for kind in RATES), judge.faults
        # what the server answered in full came to the cache once; a cut answer is the only one paid in vain
        kept = [orjson.loads(line) for line in (tmp_path / "a.parquet.replies/replies.jsonl").read_bytes().splitlines()]
        assert sum("body" in line for line in kept) == judge.paid.total() - judge.faults["cut"]
        again = run(judge, documents, tmp_path / "a.parquet", parallel=16)
        assert again.requests == 0 and again.labels == report.labels


def test_of_400_documents_995_in_1000_get_a_label_under_injected_faults(tmp_path: Path) -> None:
    check_faults(tmp_path, 400)


@pytest.mark.slow
def test_of_2000_documents_995_in_1000_get_a_label_under_injected_faults(tmp_path: Path) -> None:
    check_faults(tmp_path, 2_000)


@pytest.mark.parametrize(
    ("fault", "reason", "requests"),
    [
        ("stubborn", "the same reply twice", 2),
        ("truncated", "the same reply twice|no JSON", 3),
        ("length", "finish_reason", 3),
        ("wrong schema", "knowledge_depth is", 3),
        ("400", "refused: .*400", 1),
    ],
)
def test_a_document_that_gets_no_valid_reply_is_told(tmp_path: Path, fault: str, reason: str, requests: int) -> None:
    documents = write_documents(tmp_path / "d.jsonl", 1)
    with Judge(lambda key, times: fault) as judge:
        report = run(judge, documents, tmp_path / "a.parquet")
        assert report.labels == 0 and judge.requests.total() <= requests
    failure = json.loads(Path(report.failures).read_text())
    assert re.search(reason, failure["reason"])
    assert read_labels(tmp_path / "a.parquet", load_rubric()).num_rows == 0


def test_a_retry_has_other_sampling(tmp_path: Path) -> None:
    documents = write_documents(tmp_path / "d.jsonl", 1)
    with Judge(lambda key, times: "length") as judge:
        run(judge, documents, tmp_path / "a.parquet")
        assert [body["temperature"] for _, body in judge.seen] == [0.0, 0.5, 0.9]


def test_retry_after_holds_for_all_threads(tmp_path: Path) -> None:
    documents = write_documents(tmp_path / "d.jsonl", 6)
    times: list[float] = []

    def fault(key: str, before: int) -> str | None:
        times.append(time.monotonic())
        return "429" if len(times) == 1 else None

    with Judge(fault) as judge:
        assert run(judge, documents, tmp_path / "a.parquet", parallel=1).labels == 6
    assert times[1] - times[0] >= 1.0


def test_a_slow_answer_is_given_up_and_counts_as_paid(tmp_path: Path) -> None:
    documents = write_documents(tmp_path / "d.jsonl", 1)
    with Judge(lambda key, times: "slow" if times == 0 else None) as judge:
        report = run(judge, documents, tmp_path / "a.parquet", timeout_s=0.3)
        time.sleep(1.4)  # the server finishes the answer nobody waits for
        assert report.labels == 1 and report.requests == 2 and report.tokens >= judge.tokens


@pytest.mark.parametrize("status", ["401", "404", "301"])
def test_a_wrong_endpoint_ends_the_run_at_once(tmp_path: Path, status: str) -> None:
    documents = write_documents(tmp_path / "d.jsonl", 50)
    with Judge(lambda key, times: status) as judge:
        with pytest.raises(UsageError, match=status):
            run(judge, documents, tmp_path / "a.parquet", parallel=2)
        assert judge.requests.total() <= 6


def test_an_endpoint_that_keeps_failing_ends_the_run(tmp_path: Path) -> None:
    documents = write_documents(tmp_path / "d.jsonl", 100)
    with Judge(lambda key, times: "503") as judge, pytest.raises(CurateError, match="in a row failed"):
        run(judge, documents, tmp_path / "a.parquet")
    with Judge(lambda key, times: "stubborn") as judge:
        with pytest.raises(CurateError, match="in a row failed"):
            run(judge, documents, tmp_path / "a.parquet")
        assert judge.paid.total() <= 2 * (40 + 2 * 8)


PRICES = {"price_in": Decimal("0.50"), "price_out": Decimal(2)}


@pytest.mark.parametrize(
    "caps",
    [Caps(requests=37), Caps(tokens=60_000), Caps(money=Decimal("0.03"), **PRICES)],
    ids=["requests", "tokens", "money"],
)
def test_spending_never_goes_over_a_cap_with_16_threads(tmp_path: Path, caps: Caps) -> None:
    documents = write_documents(tmp_path / "d.jsonl", 120)
    with Judge(by_rates({"429 now": 0.05, "length": 0.1, "cut": 0.03}), delay_s=0.002) as judge:
        report = run(judge, documents, tmp_path / "a.parquet", parallel=16, caps=caps)
        assert report.cap and report.not_reached and report.labels > 3
        for _ in range(2):  # a new run does not start the count anew
            run(judge, documents, tmp_path / "a.parquet", parallel=16, caps=caps)
        spent = caps.cost(judge.tokens, 0).pico  # the server's own count, all at the price of input
        assert judge.requests.total() <= (caps.requests or 10**9)
        assert judge.tokens <= (caps.tokens or 10**9)
        assert caps.money is None or Decimal(spent) / 10**12 <= caps.money


def test_a_raised_cap_goes_on_where_the_run_stopped(tmp_path: Path) -> None:
    documents = write_documents(tmp_path / "d.jsonl", 20)
    with Judge() as judge:
        assert run(judge, documents, tmp_path / "a.parquet", caps=Caps(requests=8)).labels == 8
        assert run(judge, documents, tmp_path / "a.parquet", caps=Caps(requests=20)).labels == 20
        assert judge.requests.total() == 20


def test_the_estimate_comes_before_any_request_and_a_dry_run_sends_none(tmp_path: Path) -> None:
    documents = write_documents(tmp_path / "d.jsonl", 5)
    with Judge() as judge:
        told: list[int] = []
        report = run(
            judge, documents, tmp_path / "a.parquet", caps=Caps(**PRICES), dry_run=True,
            note=lambda text: told.append(judge.requests.total()),
        )  # fmt: skip
        assert told == [0] and judge.requests.total() == 0 and list(tmp_path.iterdir()) == [documents]
        assert report.estimate.requests == 5 and report.estimate.money and report.estimate.money > 0
        paid = run(judge, documents, tmp_path / "a.parquet", caps=Caps(**PRICES), note=lambda t: told.append(0))
        assert told == [0, 0]
        assert report.estimate.money / 3 < Decimal(paid.money) <= report.estimate.most_money
