"""Promises of the whole job on documents that break filters elsewhere: each has a stated fate, and the sum closes."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import zstandard

from curation.pipeline.config import load
from curation.pipeline.confirm import NeedsConfirmation
from curation.pipeline.run import run

PROSE = (
    "The committee of the house sat until late in the evening, and the members that had come from the north spoke of "
    "the harvest. Nobody could say with any certainty what the winter would bring to the towns along the river. "
)


def real_prose() -> str:
    """Some pages of a real book, three sentences a line."""
    with open(Path(__file__).parents[2] / "examples/data/books.jsonl.zst", "rb") as file:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), "utf-8").readlines()
    book = max((json.loads(line)["text"] for line in lines if "speeches" in line), key=len)
    sentences = re.split(r"(?<=[.!?]) ", " ".join(book.split()))[:60]
    assert len(sentences) == 60
    return "\n".join(" ".join(sentences[i : i + 3]) for i in range(0, len(sentences), 3))


VARIED = real_prose()
DOCUMENTS = {
    "empty": "",
    "one-word": "word",
    "four-words": "only four words here",
    "digits": "1234567890 " * 200,
    "punctuation": "?!., ;:-- ... ((())) " * 200,
    "japanese": "東京は日本の首都であり、世界最大級の都市圏を形成している。" * 20,
    "thai": "กรุงเทพมหานครเป็นเมืองหลวงและนครที่มีประชากรมากที่สุดของประเทศไทย" * 20,
    "one-character": "x" * 1_000_000,
    "marks": "e" + "\u0301" * 10_000,
    "bidi": "\u202eabc\u202c " * 1000,
    "prose": VARIED,
    "prose-again": VARIED,
    "prose-nearly": VARIED + "\nThis line was added by hand.",
}
PRESETS = ["gopher-repetition", "gopher-quality", "curate-junk", "c4", "refinedweb", "fineweb-paper"]
CLEAN: list[Any] = [
    {"url": {}},
    {"unicode": {}},
    {"language": {"min_score": 0.0}},
    {"rules": {"presets": PRESETS, "languages": "default"}},
    {"pii": {}},
]
DEDUP = {"exact": {}, "minhash": {}}


def write(path: Path, texts: dict[str, str]) -> None:
    path.write_text("".join(json.dumps({"id": id, "text": text}) + "\n" for id, text in texts.items()))


def config(folder: Path, sources: list[str], clean: list[Any], dedup: dict[str, Any], **rest: Any) -> Path:
    value = {
        "run": "hostile", "workdir": str(folder / "runs"), "executor": {"workers": 1}, "clean": clean, "dedup": dedup,
        "sources": {name: {"read": "jsonl", "paths": [f"{name}.jsonl"], "id": "id"} for name in sources},
    }  # fmt: skip
    path = folder / "hostile.yaml"
    path.write_text(json.dumps(value | rest))
    return path


def fates(folder: Path) -> dict[str, str]:
    found = {row["id"]: "kept" for row in pq.read_table(folder / "documents", columns=["id"]).to_pylist()}
    removed = pq.read_table(folder / "removed", columns=["id", "removed_by"]).to_pylist()
    return found | {row["id"]: row["removed_by"] for row in removed}


def test_every_kind_of_document_has_a_fate(tmp_path: Path) -> None:
    write(tmp_path / "s.jsonl", DOCUMENTS)
    lines = '{"id": "surrogate", "text": "lone \\ud800 surrogate"}\n{"id": "null", "text": null}\n'
    with open(tmp_path / "s.jsonl", "a") as file:
        file.write(lines)
    dedup = {"exact": {}, "minhash": {"max_source_loss": 1.0}}
    summary = run(load(config(tmp_path, ["s"], CLEAN, dedup), []), quiet=True)
    assert summary["totals"]["records"] == len(DOCUMENTS) + 2
    found = fates(tmp_path / "runs" / "hostile")
    assert len(found) + summary["totals"]["quarantined"] == len(DOCUMENTS) + 2
    assert found["s/prose-nearly"] == "kept"  # the longest stays
    assert found["s/prose-again"] == "dedup.exact" and found["s/prose"] == "dedup.minhash"
    ledger = pq.read_table(tmp_path / "runs" / "hostile" / "clusters").to_pylist()
    assert {row["removed_id"] for row in ledger if row["kept_id"] == "s/prose-nearly"} == {"s/prose", "s/prose-again"}
    for name in ("empty", "one-word", "four-words", "digits", "punctuation", "one-character", "marks", "bidi"):
        assert found[f"s/{name}"] not in ("kept", None), name


def test_short_documents_are_duplicates_only_when_equal(tmp_path: Path) -> None:
    texts = {f"same-{i}": "three short words" for i in range(50)}
    texts |= {"other": "three short letters", "empty-1": "", "empty-2": " ", "dots-1": "...", "dots-2": "!!!"}
    write(tmp_path / "s.jsonl", texts)
    run(load(config(tmp_path, ["s"], [], {"exact": {}, "minhash": {"max_source_loss": 1.0}}), []), quiet=True)
    kept = {id for id, fate in fates(tmp_path / "runs" / "hostile").items() if fate == "kept"}
    assert kept == {"s/same-0", "s/other", "s/empty-1", "s/dots-1", "s/dots-2"}


def test_a_source_that_is_all_one_document_asks_before_it_goes(tmp_path: Path) -> None:
    write(tmp_path / "one.jsonl", {f"d{i}": VARIED + f" Number {i}." for i in range(20)})
    write(tmp_path / "two.jsonl", {"d": PROSE * 3})
    path = config(tmp_path, ["one", "two"], [], DEDUP)
    with pytest.raises(NeedsConfirmation, match=r"source one: dedup removes 19 of its 20 documents \(95\.0%\)"):
        run(load(path, []), quiet=True)
    assert not (tmp_path / "runs" / "hostile" / "documents").exists()
    summary = run(load(path, []), quiet=True, yes=True)
    assert summary["sources"]["one"]["documents"] == 1
    assert any("confirmed with --yes" in warning for warning in summary["warnings"])


def test_thresholds_that_remove_everything_end_with_a_warning_and_a_whole_ledger(tmp_path: Path) -> None:
    write(tmp_path / "s.jsonl", {"a": VARIED, "b": PROSE})
    rules = {"presets": ["gopher-quality"], "override": {"gopher-quality.min_words": 1_000_000}}
    summary = run(load(config(tmp_path, ["s"], [{"rules": rules}], DEDUP), []), quiet=True)
    assert summary["removed_by"] == {"gopher-quality.min_words": 2}
    assert any("none of its 2 records was kept; 2 by gopher-quality.min_words" in line for line in summary["warnings"])


@pytest.mark.slow
def test_a_document_of_forty_megabytes(tmp_path: Path) -> None:
    """The default limit of a text quarantines it, visibly; with a higher one it passes every step."""
    write(tmp_path / "s.jsonl", {"big": VARIED * (40_000_000 // len(VARIED)), "prose": VARIED})
    path = config(tmp_path, ["s"], CLEAN, DEDUP)
    summary = run(load(path, []), quiet=True)
    assert summary["quarantine"] == {"text_over_limit": 1}
    value = json.loads(path.read_text())
    value["sources"]["s"]["limits"] = {"text_bytes": 64 << 20, "record_bytes": 128 << 20}
    path.write_text(json.dumps(value))
    summary = run(load(path, []), quiet=True)
    assert summary["quarantine"] == {} and summary["totals"]["records"] == 2
