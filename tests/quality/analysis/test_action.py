"""From label files to pages: what the commands promise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from curation.pipeline.errors import UsageError
from quality.analysis.action import agreement, validate
from quality.labels.table import write_labels
from tests.quality.analysis.examples import real_labels, row, structured, table


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_bytes(b"".join(orjson.dumps(one) + b"\n" for one in rows))
    return path


def test_label_files_become_two_pages_and_their_json(tmp_path: Path) -> None:
    rows = structured(120, 60)
    write_labels(table(rows[:50]), tmp_path / "a.parquet")
    files = [tmp_path / "a.parquet", lines(tmp_path / "b.jsonl", rows[50:])]
    sources = lines(tmp_path / "s.jsonl", [{"id": f"doc-{d:04}", "from": f"s{d % 3}"} for d in range(120)])
    one = agreement(files, tmp_path / "out", replicates=20)
    two = validate(files, tmp_path / "out", sources=[sources], source_field="from", replicates=20)
    assert one.documents == two.documents == 120
    assert two.sources == 3
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "agreement.html", "agreement.json", "validation.html", "validation.json"
    }  # fmt: skip
    for name in ("agreement", "validation"):
        page = (tmp_path / "out" / f"{name}.html").read_text()
        assert "default-src 'none'" in page
        assert "<script" not in page
        assert orjson.loads((tmp_path / "out" / f"{name}.json").read_bytes())["version"] == 1
    assert two.verdict[0] in (tmp_path / "out" / "validation.html").read_text()


def test_names_from_outside_are_text_on_the_page(tmp_path: Path) -> None:
    bad = "<img src=x onerror=1>"
    rows = [row(bad, "<i>m", 0), row(bad, "<i>m#2", 5)]
    agreement([lines(tmp_path / "l.jsonl", rows)], tmp_path, replicates=5)
    page = (tmp_path / "agreement.html").read_text()
    assert "<img" not in page
    assert "<i>" not in page
    assert "&lt;img" in page


def test_anchors_show_a_judge_that_drifted(tmp_path: Path) -> None:
    judged = lines(tmp_path / "l.jsonl", [row(f"a{i}", "m", 3) for i in range(4)])
    fixed = lines(tmp_path / "a.jsonl", [row(f"a{i}", "fixed", 2) for i in range(4)])
    made = agreement([judged], tmp_path, anchors=fixed, replicates=5)
    assert all(one.stop and one.shift == 1 for one in made.drift)
    assert "A judge has drifted" in (tmp_path / "agreement.html").read_text()
    other = lines(tmp_path / "b.jsonl", [row("elsewhere", "fixed")])
    with pytest.raises(UsageError, match="none of these anchors was judged"):
        agreement([judged], tmp_path, anchors=other, replicates=5)


def test_bad_requests_say_what_is_wrong(tmp_path: Path) -> None:
    file = lines(tmp_path / "l.jsonl", structured(40, 0))
    with pytest.raises(UsageError, match="no label file"):
        agreement([], tmp_path)
    with pytest.raises(UsageError, match="0 resamples"):
        agreement([file], tmp_path, replicates=0)
    with pytest.raises(UsageError, match=r"s\.jsonl:1: no id or no `source`"):
        validate([file], tmp_path, sources=[lines(tmp_path / "s.jsonl", [{"id": "doc-0000"}])])
    twice = lines(tmp_path / "t.jsonl", [{"id": "a", "source": "x"}, {"id": "a", "source": "y"}])
    with pytest.raises(UsageError, match=r"t\.jsonl:2: document 'a' has a second source 'y', not 'x'"):
        validate([file], tmp_path, sources=[twice])


def test_the_projects_own_labels_keep_four_scores(tmp_path: Path) -> None:
    path = real_labels()
    found = validate(
        [path], tmp_path, sources=[path], source_field="source_file", families={"judge-.": "one"}, replicates=40
    )
    assert found.drop_one.kept == ("knowledge_depth", "practicality", "coherence", "conciseness")
    assert all(found.drop_one.kept in one.kept for one in found.variants)
    made = agreement([path], tmp_path, families={"judge-.": "one"}, replicates=40)
    assert {gate.result for gate in made.gates} == {"pass", "not measured"}
