"""Promises of the cache of replies: what is paid is kept, through kills and torn files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

pytest.importorskip("httpx")
pytest.importorskip("tenacity")

from curation.pipeline.errors import UsageError
from tests.quality.judge.running import ROOT, run, write_documents
from tests.quality.judge.server import Judge

CHILD = """
import sys
from pathlib import Path
from quality.judge.action import label
from quality.judge.endpoint import Endpoint
label([Path(sys.argv[2])], Path(sys.argv[3]), Endpoint(base_url=sys.argv[1], model="m"), parallel=6, quiet=True)
"""


def kill_in_the_middle(judge: Judge, documents: Path, out: Path, answers: int) -> set[str]:
    """Run in a child that is killed after so many paid answers; the keys whose replies it had kept."""
    environment = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()} | {"PYTHONPATH": str(ROOT)}
    child = subprocess.Popen([sys.executable, "-c", CHILD, judge.url, str(documents), str(out)], env=environment)
    limit = time.monotonic() + 60
    while judge.paid.total() < answers:
        assert child.poll() is None and time.monotonic() < limit
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    child.wait()
    kept = set()
    for line in (out.with_name(out.name + ".replies") / "replies.jsonl").read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n") and b'"body"' in line:
            kept.add(orjson.loads(line)["key"])
    return kept


@pytest.mark.parametrize("idempotent", [False, True])
def test_kill_9_loses_no_kept_reply_and_pays_none_twice(tmp_path: Path, idempotent: bool) -> None:
    documents, out = write_documents(tmp_path / "d.jsonl", 90), tmp_path / "a.parquet"
    with Judge(delay_s=0.01, idempotent=idempotent) as judge:
        kept: set[str] = set()
        for answers in (20, 50) if idempotent else (50,):
            kept |= kill_in_the_middle(judge, documents, out, answers)
        assert len(kept) >= 50 - 2 * 6
        before = judge.requests.total()
        report = run(judge, documents, out)
        assert report.labels == 90
        assert judge.requests.total() - before == 90 - len(kept)  # exactly those without a kept reply
        assert report.cached == len(kept)
        # a reply that was on its way when the child died is the only one that can be paid again, and it counts
        twice = judge.paid.total() - 90
        assert twice <= report.unsettled <= 2 * 6
        if idempotent:  # a gateway that honours Idempotency-Key charges it once
            assert twice == 0 and max(judge.paid.values()) == 1


def test_a_torn_last_line_costs_only_itself(tmp_path: Path) -> None:
    documents, out = write_documents(tmp_path / "d.jsonl", 6), tmp_path / "a.parquet"
    with Judge() as judge:
        run(judge, documents, out)
        cache = tmp_path / "a.parquet.replies/replies.jsonl"
        cache.write_bytes(cache.read_bytes()[:-30])
        report = run(judge, documents, out)
        assert report.labels == 6 and report.damaged == 1 and judge.requests.total() == 7
        assert run(judge, documents, out).requests == 0


def test_two_runs_cannot_write_to_one_cache(tmp_path: Path) -> None:
    from quality.judge.cache import ReplyCache

    documents = write_documents(tmp_path / "d.jsonl", 1)
    with (
        ReplyCache(tmp_path / "cache"),
        Judge() as judge,
        pytest.raises(UsageError, match="another run"),
    ):
        run(judge, documents, tmp_path / "a.parquet", cache=tmp_path / "cache")
