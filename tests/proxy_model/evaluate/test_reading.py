"""Item files: three formats, and every bad line counted with its number."""

from __future__ import annotations

import gzip
from pathlib import Path

import orjson
import pytest
import zstandard

from curation.pipeline.errors import TaskFailed, UsageError
from proxy_model.evaluate.reading import LINE_BYTES, read_items
from tests.proxy_model.evaluate.examples import write_lines

GOOD = {"benchmark": "foxes", "id": "1", "query": "Question: who?\nAnswer:", "choices": ["fox", "dog"], "gold": 1}


def reasons(path: Path, **options: bool) -> dict[int, str]:
    return {one.line: one.reason for one in read_items([path], **options)[0].refused}


def test_each_bad_line_is_told_with_its_number(tmp_path: Path) -> None:
    deep = b'{"id": "d", "query": ' + b"[" * 5_000 + b"]" * 5_000 + b"}"
    bad = {
        "no JSON": b"{nothing",
        "not a JSON object": b"[1, 2]",
        "no gold": {**GOOD, "id": "2", "gold": None},
        "two or more": {**GOOD, "id": "3", "choices": ["fox"], "gold": 0},
        "duplicate id '1'": GOOD,
        "empty choice": {**GOOD, "id": "4", "choices": ["fox", "  "]},
        "only letters": {**GOOD, "id": "5", "choices": ["A", "B", "C"]},
        "no JSON: ": b'{"query": "\xff\xfe"}',
        "no JSON:  ": deep,
        "not the place of a choice": {**GOOD, "id": "6", "gold": "1"},
        "not the place of": {**GOOD, "id": "7", "gold": True},
        "no list of texts": {**GOOD, "id": "8", "choices": ["fox", 3]},
        "neither choices nor an answer; its fields are: id, query": {"id": "9", "query": "what"},
        "gold is 2": {**GOOD, "id": "10", "gold": 2},
        "'weight' is no number": {**GOOD, "id": "11", "weight": "heavy"},
        "bytes, more than": b'{"query": "' + b"x" * LINE_BYTES + b'"}',
        "an id": {**GOOD, "benchmark": "", "id": [1]},
    }
    bad["'id' is no text"] = bad.pop("an id")
    path = write_lines(tmp_path / "items.jsonl", [GOOD, b"", *bad.values(), {**GOOD, "id": "last"}])
    read = read_items([path])[0]
    assert [one.id for one in read.items] == ["1", "last"]
    assert [one.line for one in read.refused] == list(range(3, 3 + len(bad)))
    for one, said in zip(read.refused, bad, strict=True):
        assert said.strip() in one.reason, (said, one)


def test_lettered_choices_can_be_let_through(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "items.jsonl", [GOOD, {**GOOD, "id": "2", "choices": ["A", "B"]}])
    assert reasons(path) == {2: "choices are only letters: cloze scoring needs their texts"}
    assert reasons(path, letters=True) == {}


def test_compressed_files_give_the_same_items(tmp_path: Path) -> None:
    plain = write_lines(tmp_path / "items.jsonl", [GOOD])
    for name, data in (
        ("z.jsonl.zst", zstandard.compress(plain.read_bytes())),
        ("g.gz", gzip.compress(plain.read_bytes())),
    ):
        (tmp_path / name).write_bytes(data)
        assert read_items([tmp_path / name])[0].items == read_items([plain])[0].items
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes() * 50)[:-20])
    with pytest.raises(TaskFailed, match="damaged at byte"):
        read_items([tmp_path / "cut.jsonl.gz"])


def test_a_file_without_items_or_that_is_absent_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no item in 1 lines; first: bad\.jsonl:1: no JSON"):
        read_items([write_lines(tmp_path / "bad.jsonl", [b"{"])])
    with pytest.raises(UsageError, match="No such file"):
        read_items([tmp_path / "none.jsonl"])
    with pytest.raises(UsageError, match="is a folder"):
        read_items([tmp_path])


def test_an_id_is_unique_over_files(tmp_path: Path) -> None:
    first, second = (write_lines(tmp_path / f"{n}.jsonl", [GOOD, {**GOOD, "id": n}]) for n in "ab")
    assert [len(one.refused) for one in read_items([first, second])] == [0, 1]


def test_own_format_of_each_kind(tmp_path: Path) -> None:
    xcopa = {"benchmark": "xcopa", "gold": 0}
    records = [
        {**GOOD, "subject": "law"},
        {"id": "w", "contexts": ["He", "She"], "continuation": "slept.", "query": "_", "gold": 1},
        {"id": "c", "query": "The quick brown", "answer": "fox"},
        {"id": "p", "query": "A passage.\nQuestion: who?\nAnswer:", "choices": ["a fox", "a dog"], "gold": 0},
        {"id": "q", "query": "A passage.\nQuestion: what?\nAnswer:", "choices": ["a fox", "a dog"], "gold": 0},
        {"id": "s", "query": "ends in space ", "choices": ["a fox", "a dog"], "gold": 0},
        {**xcopa, "id": "x", "query": "他笑了。", "relation": "cause", "lang": "zh", "choices": ["甲", "乙"]},
        {**xcopa, "id": "y", "query": "Ha riso.", "relation": "effect", "lang": "it", "choices": ["Lui A", "Lui B"]},
    ]  # fmt: skip
    items = {one.id: one for one in read_items([write_lines(tmp_path / "set.jsonl", records)])[0].items}
    assert items["1"].group == "law"
    assert (items["w"].kind, items["w"].pair(1), items["w"].gold) == ("context_choice", ("She", " slept."), 1)
    assert (items["c"].kind, items["c"].pair(0), items["c"].benchmark) == ("cloze", ("The quick brown", " fox"), "set")
    assert items["p"].cluster == items["q"].cluster != items["s"].cluster
    assert items["s"].joining == ""
    assert items["x"].pair(0) == ("他笑了因为", "甲")
    assert items["y"].pair(0) == ("Ha riso quindi", " lui A")


def olmes(document: int, number: int, context: str, continuation: str, label: object) -> dict:
    return {
        "request_type": "loglikelihood", "doc": {}, "request": {"context": context, "continuation": continuation},
        "idx": number, "task_name": "arc", "doc_id": document, "native_id": f"n{document}", "label": label,
    }  # fmt: skip


def test_olmes_requests(tmp_path: Path) -> None:
    records = [
        olmes(0, 1, "Q", " dog", 0), olmes(0, 0, "Q", " fox", 0),
        olmes(1, 0, "He", " slept", 1), olmes(1, 1, "She", " slept", 1),
        olmes(2, 0, "P", " one answer", ["one answer"]),
        olmes(3, 0, "P", " fox", None), olmes(3, 1, "P", " dog", None),
        olmes(1_000_000, 0, "Answer:", " fox", 0),
    ]  # fmt: skip
    path = tmp_path / "requests.jsonl.gz"
    path.write_bytes(gzip.compress(b"".join(orjson.dumps(one) + b"\n" for one in records)))
    read = read_items([path])[0]
    assert [(one.kind, one.gold, one.options) for one in read.items] == [
        ("multiple_choice", 0, 2), ("context_choice", 1, 2), ("cloze", 0, 1),
    ]  # fmt: skip
    assert [read.items[0].pair(i) for i in range(2)] == [("Q", " fox"), ("Q", " dog")]
    assert read.items[0].choices == ("fox", "dog")
    assert read.unconditional == 1
    assert [(one.line, one.reason) for one in read.refused] == [(6, "no gold")]


def test_samples_of_lm_evaluation_harness(tmp_path: Path) -> None:
    written = {"gen_args_0": {"arg_0": "Q:", "arg_1": " fox"}, "gen_args_1": {"arg_0": "Q:", "arg_1": " dog"}}
    schema = {"gen_args_0": {"arg_0": "He", "arg_1": " slept."}, "gen_args_1": {"arg_0": "She", "arg_1": " slept."}}
    records = [
        {"doc_id": 0, "doc": {}, "target": "1", "arguments": written, "resps": []},
        {"doc_id": 1, "doc": {}, "target": "dog", "arguments": written, "resps": []},
        {"doc_id": 2, "doc": {"answer": "2"}, "target": "slept.", "arguments": schema, "resps": []},
        {"doc_id": 3, "doc": {}, "target": " fox", "arguments": [["The quick", " fox"]], "resps": []},
        {"doc_id": 4, "doc": {}, "target": "?", "arguments": {"gen_args_0": {"arg_0": "x", "arg_1": {"until": []}}}},
        {"doc_id": 5, "doc": {}, "target": "bear", "arguments": written},
    ]
    path = write_lines(tmp_path / "samples_arc_easy_2026-01-02T03-04-05.678.jsonl", records)
    read = read_items([path])[0]
    assert [(one.benchmark, one.kind, one.gold) for one in read.items] == [
        ("arc_easy", "multiple_choice", 1), ("arc_easy", "multiple_choice", 1), ("arc_easy", "context_choice", 1),
        ("arc_easy", "cloze", 0),
    ]  # fmt: skip
    assert {one.line: one.reason for one in read.refused} == {
        5: "a request that is no log-likelihood: context and continuation expected",
        6: "no gold",
    }
