"""Promises of the bridge: datatrove's blocks in the `clean:` list, our parts in datatrove's pipelines."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
from hypothesis import given
from hypothesis import strategies as st

import curation.datatrove as bridge
from curation.datatrove import (
    CleanFilter,
    DedupClusters,
    DedupFilter,
    DedupSignatures,
    LanguageIdFilter,
    PiiMasker,
    RuleFilter,
    UrlFilter,
)
from curation.datatrove.find_block import versions
from curation.datatrove.item import DATATROVE, READS
from curation.datatrove.text_diff import log_difference
from curation.pipeline.config import load
from curation.pipeline.errors import ConfigError, TaskFailed, UsageError
from curation.pipeline.run import run
from curation.text.edit_rows import EditRows
from curation.text.edits import EditedText
from tests.curation.conftest import prose
from tests.curation.text.editing import check_log

Corpus = Callable[..., Path]
OWN = "tests.curation.datatrove_blocks"
FILTERS = "datatrove.pipeline.filters"


def go(config: Path, *overrides: str) -> dict[str, Any]:
    return run(load(config, list(overrides)), quiet=True)


def asked(block: str, texts: list[str | None], **arguments: Any) -> tuple[EditedText, list[str | None], list[Any]]:
    """(what the item's edit gives, removed_by, removed_detail) for these texts."""
    part = {"block": block, "arguments": arguments}
    n = len(texts)
    columns = {name: pa.nulls(n, pa.string()) for name in READS}
    columns["id"] = pa.array([f"web/{i}" for i in range(n)])
    columns["url"] = pa.array([f"https://example.org/{i}" for i in range(n)])
    assert DATATROVE.edit is not None and DATATROVE.decide is not None
    column = pa.array(texts, pa.large_string())
    edited = DATATROVE.edit(column, columns, part)
    check_log(column, edited)
    assert [(name, values.type) for name, values in edited.columns.items()] == [
        (field.name, field.type) for field in DATATROVE.columns(part)
    ]
    rule, detail = DATATROVE.decide({**columns, **edited.columns}, block)
    return edited, rule.to_pylist(), detail.to_pylist()


# --- blocks as items


def test_a_filter_removes_with_its_reason_and_what_it_notes_is_kept() -> None:
    texts = ["fine", "named thing", "a sentence", "silent", None]
    edited, rules, details = asked(f"{OWN}.Judge", texts)
    prefix = "datatrove.Judge."
    assert rules == [None, f"{prefix}bad_name", f"{prefix}other", f"{prefix}dropped", None]
    assert details == [None, "bad_name", "This document has 10 characters.", "dropped", None]
    notes = edited.columns["datatrove_Judge_metadata"].to_pylist()
    assert [note and json.loads(note) for note in notes] == [
        *({"url_seen": f"https://example.org/{i}"} for i in range(4)),
        None,
    ]


def test_a_step_of_ones_own_may_change_texts_and_let_documents_go() -> None:
    edited, rules, _ = asked(f"{OWN}.Forgetful", ["one", "forget it", "two", "forget", None])
    assert edited.text.to_pylist() == ["ONE", "forget it", "TWO", "forget", None]
    assert rules == [None, "datatrove.Forgetful.dropped", None, "datatrove.Forgetful.dropped", None]
    assert json.loads(edited.columns["datatrove_Forgetful_metadata"][0].as_py()) == {"url": None}  # it took it away


def test_a_formatter_edits_and_every_edit_is_logged() -> None:
    texts = ["Write to jane@doe.net now.\nA second line.\nAnd bob@doe.net", "nothing here"]
    edited, rules, _ = asked("datatrove.pipeline.formatters.PIIFormatter", texts, email_replacement="<e>")
    assert edited.text.to_pylist() == ["Write to <e> now.\nA second line.\nAnd <e>", "nothing here"]
    assert [(e["before"], e["after"]) for e in edited.edits[0].as_py()] == [
        ("jane@doe.net", "<e>"),
        ("bob@doe.net", "<e>"),
    ]
    assert rules == [None, None]


@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_block_that_raises_names_the_record(batch_size: int) -> None:
    place = "record 'web/2'" if batch_size == 1 else "the 2 records from 'web/2' on"
    with pytest.raises(TaskFailed, match=f"Judge raised ValueError at {place}: I do not like this"):
        asked(f"{OWN}.Judge", ["a", "b", "BOOM", "c"], batch_size=batch_size)


def test_a_block_that_gives_no_text_is_refused() -> None:
    with pytest.raises(TaskFailed, match="record 'web/0' what is no text"):
        asked(f"{OWN}.Broken", ["a"])


def test_a_block_may_give_documents_in_any_order_each_once() -> None:
    texts = [f"text {i}" for i in range(5)]
    edited, rules, _ = asked(f"{OWN}.Unordered", texts)
    assert edited.text.to_pylist() == texts and rules == [None] * 5
    with pytest.raises(TaskFailed, match="'web/0' that it was not given, or gave one twice"):
        asked(f"{OWN}.Unordered", texts, times=2)


def test_a_block_does_not_change_ids() -> None:
    with pytest.raises(TaskFailed, match="made 'new web/0' of the id of record 'web/0'"):
        asked(f"{OWN}.Renamer", ["a", "b"])
    with pytest.raises(TaskFailed, match="a document 'new web/0' that it was not given"):
        asked(f"{OWN}.Renamer", ["a", "b"], new=True)


def test_a_block_forgets_between_row_groups() -> None:
    """Its answers are a function of the row group, whoever works on it."""
    block, arguments = "datatrove.pipeline.formatters.PIIFormatter", {"email_replacement": ["<1>", "<2>"]}
    for _ in range(2):
        assert asked(block, ["a@doe.net", "b@doe.net"], **arguments)[0].text.to_pylist() == ["<1>", "<2>"]


def entry(**values: Any) -> str:
    return f"clean=[{{datatrove: {json.dumps(values)}}}]"


def test_the_run_is_the_same_for_any_worker_count_and_nothing_is_lost(corpus: Corpus, tmp_path: Path) -> None:
    config = corpus(files=2, documents=20)
    items = [
        {"rules": {"presets": ["gopher-quality"]}},
        {"datatrove": {"block": f"{FILTERS}.LambdaFilter", "filter_function": {"import": f"{OWN}.says_fifteen"}}},
        {"datatrove": {"block": "datatrove.pipeline.formatters.SymbolLinesFormatter"}},
        {"datatrove": {"block": f"{OWN}.Judge", "word": "zebra"}},
    ]
    seen = []
    for workers in (1, 2):
        folder = tmp_path / f"w{workers}"
        summary = go(config, f"clean={json.dumps(items)}", f"workdir={folder}", f"executor={{workers: {workers}}}")
        seen.append(summary["digest"])
    assert seen[0] == seen[1]
    totals = summary["totals"]
    assert totals["records"] == totals["documents"] + totals["removed"] + totals["quarantined"] == 42
    assert summary["removed_by"]["datatrove.LambdaFilter.dropped"] == 1
    kept = pq.read_table(tmp_path / "w2/test/documents")
    assert set(kept["datatrove_Judge"].to_pylist()) == {None}
    assert json.loads(kept["datatrove_Judge_metadata"][0].as_py()) == {"url_seen": None}


def test_a_failing_record_fails_its_task_and_is_named(corpus: Corpus) -> None:
    config = corpus(files=1, documents=20, executor={"kind": "local", "workers": 1, "retries": 0})
    with pytest.raises(TaskFailed, match=r"Judge raised ValueError at record 'web/a.jsonl#\d+'"):
        go(config, entry(block=f"{OWN}.Judge", word="number 15 "))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"block": "datatrove.pipeline.filters.LambdaFiltr"}, "did you mean 'LambdaFilter'"),
        ({"block": "datatrove.pipeline.filter.LambdaFilter"}, "did you mean 'filters'"),
        ({"block": "LambdaFilter"}, "did you mean 'datatrove.pipeline.filters.LambdaFilter'"),
        ({"block": "no_such_package.Filter"}, "no module 'no_such_package'"),
        ({"block": "os.system"}, "no subclass of datatrove.pipeline.base.PipelineStep"),
        ({"block": "subprocess.Popen"}, "no subclass of datatrove.pipeline.base.PipelineStep"),
        ({"block": "datatrove.pipeline.filters.base_filter.BaseFilter"}, "abstract class"),
        ({"block": "datatrove.pipeline.readers.JsonlReader", "data_folder": "x"}, "read by `sources:`"),
        ({"block": "datatrove.pipeline.writers.JsonlWriter", "output_folder": "x"}, "written by curate"),
        ({"block": "datatrove.pipeline.dedup.MinhashDedupSignature", "output_folder": "x"}, "see `dedup:`"),
        ({"block": "datatrove.pipeline.extractors.Trafilatura"}, "extracted by `sources:`"),
        ({"block": f"{OWN}.Judge", "wrod": "a"}, "did you mean 'word'"),
        ({"block": f"{FILTERS}.LambdaFilter"}, "missing a required argument: 'filter_function'"),
        ({"block": f"{FILTERS}.RegexFilter", "regex_exp": "a", "exclusion_writer": "x"}, "kept in `removed/`"),
        ({"block": f"{FILTERS}.SamplerFilter", "rate": 0.5}, "give it a `seed`"),
    ],
)
def test_a_wrong_block_is_refused_before_the_run(corpus: Corpus, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace(".", r"\.").replace("(", r"\(")):
        load(corpus(files=1), [entry(**values)])


def test_what_the_constructor_refuses_is_told_before_the_run(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"RegexFilter: .*unterminated"):
        go(corpus(files=1), entry(block=f"{FILTERS}.RegexFilter", regex_exp="(["))
    assert not (tmp_path / "runs").exists()


@pytest.mark.skipif(find_spec("spacy") is not None, reason="spaCy is installed")
def test_a_missing_library_is_told_before_the_run(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"GopherQualityFilter: .*spacy"):
        go(corpus(files=1), entry(block=f"{FILTERS}.GopherQualityFilter"))
    assert not (tmp_path / "runs").exists()


def test_changed_code_or_files_of_a_block_make_another_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "own_block_for_versions.py"
    code = f"from {OWN} import Judge\nclass Mine(Judge):\n    pass\n"
    module.write_text(code)
    words = tmp_path / "words.txt"
    words.write_text("a")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = [versions("own_block_for_versions.Mine", {"word": str(words)})]
    module.write_text(code + "# changed\n")
    found.append(versions("own_block_for_versions.Mine", {"word": str(words)}))
    words.write_text("bb")
    found.append(versions("own_block_for_versions.Mine", {"word": str(words)}))
    assert found[0] != found[1] != found[2]
    assert "datatrove" in found[0] and f"code.{OWN}" in found[0]


LINES = st.lists(st.sampled_from(["one\n", "two\r\n", "é\n", "two words\n", "", "x", "\u2028"]), max_size=8).map(
    "".join
)


@given(LINES, LINES)
def test_a_difference_is_told_by_edits_that_turn_one_text_into_the_other(before: str, after: str) -> None:
    log = EditRows()
    if before != after:
        log_difference(log, "r", before, after)
    log.next_document()
    column = pa.array([before], pa.large_string())
    check_log(column, EditedText(pa.array([after], pa.large_string()), log.to_array()))


# --- our parts as blocks


@pytest.mark.parametrize("name", bridge.__all__)
def test_every_block_is_found_and_documented(name: str) -> None:
    assert getattr(bridge, name).__doc__


def documents(texts: list[str | None], **metadata: Any) -> list[Document]:
    return [Document(text=text, id=f"web/{i}", metadata=dict(metadata)) for i, text in enumerate(texts)]  # type: ignore[arg-type]


def test_a_rule_filter_tells_the_rule_and_the_value() -> None:
    batch = documents([prose(1), "too short", None, ""])
    results = RuleFilter(["gopher-quality"]).filter_batch(batch)
    assert results[:2] == [True, (False, "gopher-quality.min_words")]
    assert batch[1].metadata == {"removed_detail": "2 < 50"}
    assert [RuleFilter(["gopher-quality"]).filter(one) for one in documents([prose(1), "too short"])] == results[:2]


def test_language_url_and_personal_data() -> None:
    batch = documents([prose(1), "Dies ist ein deutscher Satz, der hier steht."], url="https://example.org/")
    assert LanguageIdFilter(["en"], min_score=0.5).filter_batch(batch) == [True, (False, "language.keep")]
    assert [one.metadata["language"] for one in batch] == ["en", "de"]
    assert UrlFilter(block=["example.org"]).filter_batch(batch[:1]) == [(False, "url.domain")]
    (masked,) = documents(["Write to jane.doe@example.com."])
    assert PiiMasker(["email"]).filter_batch([masked]) == [True]
    assert masked.text == "Write to <email>."


def test_wrong_entries_are_refused_when_the_block_is_made() -> None:
    with pytest.raises(UsageError, match="did you mean 'gopher-quality'"):
        RuleFilter(["gopher-qualty"])
    with pytest.raises(UsageError, match="no meaning"):
        CleanFilter([{"pii": {"sources": ["web"]}}])
    with pytest.raises(UsageError, match="a folder is one scope"):
        DedupSignatures("x", {"exact": {"scope": "source"}})


def write_jsonl(folder: Path, files: int = 3, each: int = 30) -> None:
    folder.mkdir()
    for f in range(files):
        rows = []
        for i in range(each):
            text = prose(100 * f + i)
            if i % 10 == 3:
                text = "Much too short."
            elif i % 7 == 5:
                text = prose(5)
            elif i % 7 == 6:
                text = prose(100 * f + i - 6) + "\nOne more line makes it a near copy."
            rows.append({"id": f"{f}-{i:03}", "text": text})
        (folder / f"{f}.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))


def pipeline(tmp_path: Path, name: str, tasks: int, *steps: Any) -> None:
    folder = str(tmp_path / "logs" / name)
    LocalPipelineExecutor(list(steps), tasks=tasks, workers=1, logging_dir=folder).run()


def by_id(folder: Path) -> dict[str, dict[str, Any]]:
    rows = [json.loads(line) for path in folder.glob("*.jsonl") for line in path.read_text().splitlines()]
    assert len({row["id"] for row in rows}) == len(rows)
    return {row["id"]: row for row in rows}


CLEAN = [
    {"language": {"keep": ["en"], "min_score": 0.5}},
    {"rules": {"presets": ["gopher-quality", "c4"], "override": {"gopher-quality.min_words": 30}}},
    {"pii": {}},
]
DEDUP: dict[str, Any] = {"exact": {}, "minhash": {"max_source_loss": 1.0}}


def test_a_pipeline_of_datatrove_gives_what_curate_run_gives(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "in")
    config = tmp_path / "web.yaml"
    sources = {"web": {"read": "jsonl", "paths": ["in/*.jsonl"], "id": "id"}}
    values = {"run": "r", "workdir": str(tmp_path / "runs"), "sources": sources, "clean": CLEAN, "dedup": DEDUP}
    config.write_text(json.dumps(values))
    summary = go(config)
    expected = {
        row["id"].removeprefix("web/"): (row["text"], row["duplicate_count"])
        for row in pq.read_table(tmp_path / "runs/r/documents").to_pylist()
    }

    read, clean = JsonlReader(str(tmp_path / "in")), JsonlReader(str(tmp_path / "clean"))
    removed = JsonlWriter(str(tmp_path / "removed"), "cleaned-${rank}.jsonl", compression=None)
    writer = JsonlWriter(str(tmp_path / "clean"), compression=None)
    pipeline(tmp_path, "clean", 3, read, CleanFilter(CLEAN, removed), writer)
    folder = str(tmp_path / "dedup")
    pipeline(tmp_path, "signatures", 3, clean, DedupSignatures(folder, DEDUP))
    pipeline(tmp_path, "clusters", 1, DedupClusters(folder, DEDUP))
    removed = JsonlWriter(str(tmp_path / "removed"), "duplicates-${rank}.jsonl", compression=None)
    writer = JsonlWriter(str(tmp_path / "unique"), compression=None)
    pipeline(tmp_path, "filter", 2, clean, DedupFilter(folder, removed), writer)  # another number of tasks

    kept = by_id(tmp_path / "unique")
    assert {id: (row["text"], row["metadata"]["duplicate_count"]) for id, row in kept.items()} == expected
    reasons = [row["metadata"]["filter_reason"] for row in by_id(tmp_path / "removed").values()]
    assert {rule: reasons.count(rule) for rule in set(reasons)} == summary["removed_by"]
    assert {"dedup.exact", "dedup.minhash"} <= set(reasons)
    ledger = pq.read_table(tmp_path / "dedup/clusters/minhash.parquet")
    assert set(ledger["removed_id"].to_pylist()).isdisjoint(kept) and set(ledger["kept_id"].to_pylist()) <= set(kept)


def sign(tmp_path: Path, texts: list[str], rank: int = 0, world_size: int = 1, ids: str = "d") -> str:
    folder = str(tmp_path / "dedup")
    some = [Document(text=text, id=f"{ids}{rank}-{i}") for i, text in enumerate(texts)]
    DedupSignatures(folder).run(iter(some), rank, world_size)  # type: ignore[arg-type]
    return folder


def test_the_stages_refuse_what_would_keep_duplicates_silently(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no signatures"):
        DedupClusters(str(tmp_path / "dedup")).run()
    folder = sign(tmp_path, [prose(1), prose(1)], 1, 2)
    with pytest.raises(UsageError, match="rank 0 of DedupSignatures has not finished"):
        DedupClusters(folder).run()
    sign(tmp_path, [], 0, 2)
    with pytest.raises(UsageError, match="no verdicts"):
        DedupFilter(folder).filter(Document(text="", id="d1-0"))
    with pytest.raises(UsageError, match="tasks=1"):
        DedupClusters(folder).run(None, 0, 2)
    with pytest.raises(UsageError, match="made with another `dedup`"):
        DedupClusters(folder, {"minhash": {"preset": "dclm-93x15"}}).run()
    DedupClusters(folder, confirmed=True).run()
    assert DedupFilter(folder).filter(Document(text="", id="d1-0")) is True
    assert DedupFilter(folder).filter(Document(text="", id="d1-1")) == (False, "dedup.exact")
    with pytest.raises(UsageError, match="document 'other' was not among"):
        DedupFilter(folder).filter(Document(text="", id="other"))


def test_documents_with_one_id_are_refused(tmp_path: Path) -> None:
    some = [Document(text=prose(i), id="same") for i in range(2)]
    DedupSignatures(str(tmp_path / "dedup")).run(iter(some))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="two documents have the id 'same'"):
        DedupClusters(str(tmp_path / "dedup")).run()


def test_no_text_stays_in_the_folder(tmp_path: Path) -> None:
    folder = Path(sign(tmp_path, [prose(1), prose(2)]))
    stored = list(folder.rglob("*.parquet"))
    assert stored and not list(folder.glob(".*"))
    for path in stored:
        table = pq.read_table(path)
        assert "text" not in table.column_names or table["text"].null_count == len(table)


def test_the_example_runs(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "examples" / "datatrove_pipeline.py"
    runpy.run_path(str(example))["main"](str(tmp_path))
    assert 0 < len(by_id(tmp_path / "unique")) <= len(by_id(tmp_path / "clean"))
