"""Promises of `decontaminate:`, through real runs: what is cut, removed and only reported, and what the ledger says."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from curation.catalog import open_run
from curation.commands.trace import trace_document
from curation.commands.whatif import compare
from curation.decontaminate.hits import Hit, Kind, _with_answers
from curation.decontaminate.index import VERSION_KEY
from curation.decontaminate.items import LINE_BYTES
from curation.pipeline.config import RunConfig, load
from curation.pipeline.errors import ConfigError, CurateError, UsageError
from curation.pipeline.execute import execute, perform
from curation.pipeline.plan import State, build
from curation.pipeline.run import link_outputs, run
from curation.report.page import page
from tests.curation.conftest import prose

Items = list[dict[str, Any] | str]
ROCKS = {
    "benchmark": "science", "id": "rocks",
    "query": "Question: A student picked up a small rock using a magnet. The rock probably contained\nAnswer:",
    "choices": ["quartz.", "diamond.", "aluminum.", "iron."], "gold": 3,
}  # fmt: skip
LIGHT = {
    "benchmark": "science", "id": "light", "query": "Why does the moon seem to shine at night while stars twinkle?",
    "answer": "It reflects the light that reaches it from the sun, and has no light of its own.",
}  # fmt: skip
ASKED = "A student picked up a small rock using a magnet. The rock probably contained"
BEFORE, AFTER = prose(1).replace("\n", " "), prose(2).replace("\n", " ")


@pytest.fixture
def clean(tmp_path: Path) -> Callable[..., Outcome]:
    def run_config(texts: dict[str, str], items: Items | None = None, **keys: Any) -> Outcome:
        return in_this_process(load(write(tmp_path, texts, items, **keys), []))

    return run_config


def in_this_process(config: RunConfig) -> Outcome:
    """Execute a config's tasks one after the other."""
    state = State(build(config))
    for task in state.plan.tasks:
        execute(state, task.name)
    link_outputs(state)
    return Outcome(state.plan.directory)


class Outcome:
    """A finished run, by document id without the source's name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept, self.removed = (
            {row["id"].partition("/")[2]: row for row in pq.read_table(folder / view).to_pylist()}
            for view in ("documents", "removed")
        )
        self.ledger = pq.read_table(folder / "contamination").to_pylist()
        self.items = pq.read_table(folder / "benchmark_items").to_pylist()
        self.edits = pq.read_table(folder / "edits").to_pylist()

    def row(self, **wanted: Any) -> dict[str, Any]:
        (row,) = (r for r in self.ledger if all(r[key] == value for key, value in wanted.items()))
        return row


def write(folder: Path, texts: dict[str, str], items: Items | None = None, *, files: int = 2, **keys: Any) -> Path:
    """A config over `files` files of documents, and one of items."""
    lines = [json.dumps({"id": id, "text": text}) + "\n" for id, text in texts.items()]
    (folder / "docs").mkdir(exist_ok=True)
    for i in range(files):
        (folder / "docs" / f"{i}.jsonl").write_text("".join(lines[i::files]))
    rows = [one if isinstance(one, str) else json.dumps(one) for one in (items or [ROCKS, LIGHT])]
    with gzip.open(folder / "items.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(rows) + "\n")
    config = {
        "run": "test", "workdir": str(folder / "runs"), "executor": {"workers": 1},
        "sources": {"web": {"read": "jsonl", "paths": ["docs/*.jsonl"], "id": "id", "text": "text"}},
        "decontaminate": {"items": ["items.jsonl.gz"], **keys},
    }  # fmt: skip
    path = folder / "test.yaml"
    path.write_text(json.dumps(config))
    return path


@pytest.mark.parametrize(
    ("inserted", "kind"),
    [
        (ASKED, "question"),
        (f"Question: {ASKED}\nAnswer:", "question"),
        (f"{ASKED}\nA) quartz.\nB) diamond.\nC) aluminum.\nD) iron.", "question_and_choices"),
        (f"{ASKED} iron.", "question_and_answer"),
        (f"Q: {ASKED}\nA: iron.", "question_and_answer"),
        (ASKED.upper().replace(".", ""), "question"),
        ("- " + ASKED.replace(" ", "\n"), "question"),
        (ASKED[:50], "partial"),
    ],
)
def test_a_quoted_question_is_cut_with_what_belongs_to_it(
    clean: Callable[..., Outcome], inserted: str, kind: str
) -> None:
    found = clean({"doc": f"{BEFORE}\n\n{inserted}\n\n{AFTER}"}, files=1)
    row = found.row(item="rocks")
    assert (row["kind"], row["action"], row["benchmark"], row["document_text"]) == (kind, "cut", "science", inserted)
    assert row["item_text"].startswith(ASKED)
    assert (row["start"], row["length"]) == (len(BEFORE) + 2, len(inserted))
    assert row["containment"] == 1 or (kind == "partial" and 0.6 < row["containment"] < 0.7)
    assert found.kept["doc"]["text"] == f"{BEFORE}\n\n{AFTER}"
    (edit,) = found.edits
    assert edit["rule"] == "decontaminate.cut" and inserted in edit["before"]


def test_an_answer_alone_is_reported_and_left(clean: Callable[..., Outcome]) -> None:
    text = f"{BEFORE} The moon: {LIGHT['answer']} {AFTER}"
    found = clean({"doc": text, "short": f"{BEFORE} iron."})
    row = found.row()
    assert (row["item"], row["kind"], row["action"], row["containment"]) == ("light", "answer_only", "reported", 1)
    assert found.kept["doc"]["text"] == text and not found.edits


def test_a_question_too_short_to_be_found_counts_before_its_answer(clean: Callable[..., Outcome]) -> None:
    items: Items = [{"id": "shampoo", "query": "Wash hair", "choices": ["no", LIGHT["answer"]], "gold": 1}]
    found = clean({"a": f"{BEFORE} Wash hair: {LIGHT['answer']}", "b": f"{BEFORE} {LIGHT['answer']}"}, items)
    kinds = {row["id"]: (row["kind"], row["action"], row["benchmark"]) for row in found.ledger}
    assert kinds["web/a"] == ("question_and_answer", "cut", "items")
    assert kinds["web/b"] == ("answer_only", "reported", "items")
    assert found.kept["a"]["text"] == BEFORE


def test_a_question_of_a_few_words_is_reported_unless_its_choices_follow(clean: Callable[..., Outcome]) -> None:
    items: Items = [{"id": "true", "query": "Which of the following is true?", "choices": ["Rain", "Snow"], "gold": 1}]
    quoted = "Which of the following is true?\nA) Rain\nB) Snow"
    found = clean(
        {"a": f"{BEFORE}\n{quoted}\n{AFTER}", "b": f"{BEFORE} Which of the following is true? No. {AFTER}"}, items
    )
    kinds = {row["id"]: (row["kind"], row["action"]) for row in found.ledger}
    assert kinds == {"web/a": ("question_and_choices", "cut"), "web/b": ("short_question", "reported")}
    assert found.kept["a"]["text"] == f"{BEFORE}\n{AFTER}"


def test_documents_that_are_mostly_items_are_removed(clean: Callable[..., Outcome]) -> None:
    found = clean({"doc": f"See: {ASKED}", "fine": f"{BEFORE} {ASKED}"})
    assert list(found.removed) == ["doc"] and found.removed["doc"]["removed_by"] == "decontaminate.mostly_items"
    assert found.removed["doc"]["removed_detail"].startswith("science rocks: 0.9")
    assert found.removed["doc"]["text"] == f"See: {ASKED}", "a removed document keeps its text"
    assert {row["id"]: row["action"] for row in found.ledger} == {"web/doc": "removed", "web/fine": "cut"}


def test_a_document_of_nothing_else_is_removed_at_any_share(clean: Callable[..., Outcome]) -> None:
    found = clean({"doc": f" {ASKED}\n"}, remove_above=1)
    assert found.removed["doc"]["removed_by"] == "decontaminate.mostly_items"


def test_action_remove(clean: Callable[..., Outcome]) -> None:
    found = clean({"doc": f"{BEFORE} {ASKED} {AFTER}", "other": AFTER}, action="remove")
    assert found.removed["doc"]["removed_by"] == "decontaminate.item"
    assert found.removed["doc"]["removed_detail"] == "science rocks" and list(found.kept) == ["other"]


def test_below_the_containment_a_hit_is_reported(clean: Callable[..., Outcome]) -> None:
    found = clean({"doc": f"{BEFORE} {ASKED[:50]} {AFTER}"}, containment=0.9)
    assert found.row()["action"] == "reported" and ASKED[:50] in found.kept["doc"]["text"]


def test_several_items_and_several_places_are_all_cut(clean: Callable[..., Outcome]) -> None:
    text = f"{ASKED}\n{BEFORE}\n{LIGHT['query']}\n{AFTER}\n{ASKED}"
    found = clean({"doc": text})
    assert found.kept["doc"]["text"] == f"{BEFORE}\n{AFTER}"
    assert sorted(row["item"] for row in found.ledger) == ["light", "rocks", "rocks"]


def test_what_a_template_shares_is_not_reported_beside_the_whole_item(clean: Callable[..., Outcome]) -> None:
    frame = "Each of the following five statements is about the order of birds on a long branch. Which one is true?"
    items: Items = [
        {"id": str(i), "query": f"{frame} The {bird} sits left of all the others, near {place}."}
        for i, (bird, place) in enumerate((("owl", "a nest"), ("raven", "the trunk"), ("robin", "its end")))
    ]
    assert clean({"doc": f"{BEFORE} {items[1]['query']} {AFTER}"}, items).row()["item"] == "1"  # type: ignore[index]


def test_documents_removed_before_are_left_alone(tmp_path: Path) -> None:
    text = f"{BEFORE} {ASKED} {AFTER}"
    config = write(tmp_path, {"a": text, "b": text})
    found = in_this_process(load(config, ["dedup={exact: {}}"]))
    assert [row["id"] for row in found.ledger] == ["web/a"]
    assert found.removed["b"]["removed_by"] == "dedup.exact" and found.removed["b"]["text"] == text


def test_bad_lines_and_ids_are_told(clean: Callable[..., Outcome]) -> None:
    items: Items = [
        ROCKS, "{not json", {**ROCKS, "gold": 9}, "", {"id": "nothing"}, "[1]", {**LIGHT, "id": "rocks"}, ROCKS,
        {"benchmark": "words", "id": "one", "query": "Onion"}, {"query": ["a list"]}, {**ROCKS, "id": "x", "gold": "3"},
    ]  # fmt: skip
    found = clean({"doc": BEFORE, "null": ""}, items)
    assert [(row["line"], row["status"]) for row in found.items] == [
        (1, "indexed"), (2, "malformed"), (3, "malformed"), (5, "malformed"), (6, "malformed"), (7, "indexed"),
        (8, "repeated"), (9, "too short"), (10, "malformed"), (11, "malformed"),
    ]  # fmt: skip
    details = {row["line"]: row["detail"] for row in found.items}
    assert "not a place in 'choices'" in details[3] and "items.jsonl.gz:1" in details[7]
    assert [row["item"] for row in found.items if row["line"] in (1, 7)] == ["rocks", "rocks (items.jsonl.gz:7)"]


def test_bad_lines_are_a_warning_of_every_run_that_uses_the_items(tmp_path: Path) -> None:
    config = load(write(tmp_path, {"doc": BEFORE}, [ROCKS, "{", *[{"id": "x", "text": "other"}] * 6]), [])
    for finished in (False, True):
        summary = run(config, quiet=True)
        (warning,) = summary["warnings"]
        assert "7 line(s) are no item" in warning and "items.jsonl.gz:2: no JSON: " in warning, finished
        assert "items.jsonl.gz:3: neither 'query' nor an answer; its fields are: id, text" in warning
        assert "2 more (view benchmark_items)" in warning and "items.jsonl.gz:7" not in warning


def warned(tmp_path: Path, items: Items) -> list[str]:
    state = State(build(load(write(tmp_path, {"doc": BEFORE}, items), [])))
    return execute(state, "benchmark_index").warnings


def test_items_that_could_never_be_found_are_a_warning(tmp_path: Path) -> None:
    assert warned(tmp_path, [ROCKS]) == []
    (warning,) = warned(tmp_path, [{"question": LIGHT["query"], "answer": LIGHT["answer"]}])  # gsm8k has such fields
    assert "items.jsonl.gz: none of its 1 item(s) has a question in 'query'" in warning
    config = load(tmp_path / "test.yaml", ["decontaminate.items=[items.jsonl.gz, empty.jsonl]"])
    (tmp_path / "empty.jsonl").write_text("\n")
    assert "decontaminate.items: empty.jsonl holds no item" in execute(State(build(config)), "benchmark_index").warnings
    (warning,) = warned(tmp_path, [{"query": "Onion"}, {"query": "Two words"}])
    assert "every item is too short to be found: 5 words and 20 bytes" in warning


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ({"query": " ", "answer": "\t", "choices": [" "], "gold": 0}, "neither 'query' nor an answer"),
        ('{"query": "\\ud800"}', "no JSON"),
        ({"query": {"text": "x"}}, "'query' is no text"),
        ({"query": "x", "choices": [1, 2]}, "'choices' is no list of texts"),
        ({"query": "x", "answer": 3}, "'answer' is no text"),
        ({"query": "x", "choices": ["a"], "gold": True}, "not a place"),
        ('"text"', "not a JSON object"),
    ],
)
def test_what_is_no_item_is_told(tmp_path: Path, line: Any, reason: str) -> None:
    (warning,) = warned(tmp_path, [ROCKS, line])
    assert "items.jsonl.gz:2: " in warning and reason in warning


def test_bytes_that_are_no_utf8_are_told(tmp_path: Path) -> None:
    config = load(write(tmp_path, {"doc": BEFORE}), ["decontaminate.items=[latin.jsonl]"])
    latin = json.dumps({"query": "Où est la bibliothèque de la petite ville ?"}, ensure_ascii=False).encode("latin-1")
    (tmp_path / "latin.jsonl").write_bytes(latin + b"\n" + json.dumps(ROCKS).encode() + b"\n")
    (warning,) = execute(State(build(config)), "benchmark_index").warnings
    assert "latin.jsonl:1: no JSON: " in warning and "UTF-8" in warning
    (tmp_path / "wide.jsonl").write_text(json.dumps(ROCKS), encoding="utf-16")
    with pytest.raises(UsageError, match=r"no item in wide\.jsonl"):
        execute(State(build(load(tmp_path / "test.yaml", ["decontaminate.items=[wide.jsonl]"]))), "benchmark_index")


def test_a_line_over_the_limit_is_told(tmp_path: Path) -> None:
    config = load(write(tmp_path, {"doc": BEFORE}), ["decontaminate.items=[long.jsonl]"])
    (tmp_path / "long.jsonl").write_text(json.dumps(ROCKS) + "\n" + "x" * (LINE_BYTES + 1) + "\n" + json.dumps(LIGHT))
    manifest = execute(State(build(config)), "benchmark_index")
    assert manifest.counts["items"] == 2 and manifest.counts["malformed_lines"] == 1
    assert "long.jsonl:2: 16,777,217 bytes, more than 16,777,216" in manifest.warnings[0]


def test_two_files_of_one_name_are_refused_under_their_key(tmp_path: Path) -> None:
    config = write(tmp_path, {"doc": BEFORE})
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "items.jsonl").write_text(json.dumps(ROCKS))
    with pytest.raises(UsageError, match=r"^decontaminate\.items: two files would be called 'items\.jsonl'"):
        build(load(config, ["decontaminate.items=[a/*.jsonl, b/*.jsonl]"]))


def test_a_huge_item_is_found(clean: Callable[..., Outcome]) -> None:
    passage = " ".join(f"{word}{i}" for i, word in enumerate(prose(3).split() * 400))
    items: Items = [{"id": "huge", "query": passage, "choices": [passage[:300_000], "no"], "gold": 1}]
    found = clean({"doc": f"{passage} {BEFORE}", "part": f"{BEFORE} {passage[5_000:6_000]}"}, items)
    assert len(passage) > 100_000 and found.removed["doc"]["removed_by"] == "decontaminate.mostly_items"
    row = found.row(id="web/part")
    assert (row["kind"], row["action"]) == ("partial", "reported") and row["containment"] < 0.05
    assert len(row["item_text"]) < 3_000


def test_an_item_that_a_document_has_many_times_takes_linear_time() -> None:
    """Every answer was held against every question: 40,000 of each took minutes."""
    questions = [Hit(0, Kind.QUESTION, 1.0, 200 * i, 200 * i + 90) for i in range(40_000)]
    answers = [Hit(0, Kind.ANSWER_ONLY, 1.0, hit.stop + 9, hit.stop + 50) for hit in questions[::2]]
    start = time.process_time()
    found = list(_with_answers(questions, answers[::-1]))
    assert time.process_time() - start < 10
    assert [(hit.kind, hit.stop - hit.start) for hit in found[:3]] == [
        (Kind.ANSWER, 140), (Kind.QUESTION, 90), (Kind.ANSWER, 140),
    ]  # fmt: skip


def test_strict_stops_at_a_bad_line(tmp_path: Path) -> None:
    with pytest.raises(CurateError, match="--strict"):
        execute(State(build(load(write(tmp_path, {"doc": BEFORE}, [ROCKS, "{"]), []), strict=True)), "benchmark_index")


def test_files_that_hold_no_item_are_refused(tmp_path: Path) -> None:
    config = write(tmp_path, {"doc": BEFORE}, [ROCKS])
    with pytest.raises(UsageError, match=r"decontaminate\.items: 'absent\.jsonl' matches no file"):
        build(load(config, ["decontaminate.items=[absent.jsonl]"]))
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "bad.jsonl").write_text("{}\n")
    (tmp_path / "cut.jsonl.gz").write_bytes((tmp_path / "items.jsonl.gz").read_bytes()[:-30])
    for name, message in (
        ("empty.jsonl", "no item in empty.jsonl"),
        ("bad.jsonl", "line 1"),
        ("cut.jsonl.gz", "damaged"),
    ):
        with pytest.raises(CurateError, match=message):
            in_this_process(load(config, [f"decontaminate.items=[{name}]"]))
    with pytest.raises(ConfigError, match="ngram"):
        load(config, ["decontaminate.ngrams=12"])


def test_an_index_of_another_version_is_refused(tmp_path: Path) -> None:
    state = State(build(load(write(tmp_path, {"doc": BEFORE}), [])))
    names = [task.name for task in state.plan.tasks]
    for name in names[: names.index("benchmark_index") + 1]:
        execute(state, name)
    path = state.output("benchmark_index", "texts")
    data = path.read_bytes()
    pq.write_table(pq.read_table(path).replace_schema_metadata({VERSION_KEY: b"0.9"}), path)
    work = state.work("contamination/web/0.jsonl")
    with pytest.raises(UsageError, match=r"index version 0\.9, this curate reads 1\.1"):
        perform(work)
    path.write_bytes(data)
    perform(work)


def test_whatif_decides_again_without_reading_texts(tmp_path: Path) -> None:
    config = write(tmp_path, {"a": f"{BEFORE} {ASKED[:50]}", "b": f"{BEFORE} {ASKED}", "c": AFTER})
    in_this_process(load(config, []))
    now = build(load(config, []))
    answer = compare(now, build(load(config, ["decontaminate.action=remove", "decontaminate.containment=0.9"])), 5)
    assert answer["rules"] == {"(kept)": [3, 2], "decontaminate.item": [0, 1]}
    with pytest.raises(UsageError, match="read the texts again"):
        compare(now, build(load(config, ["decontaminate.ngram=9"])), 5)


def test_digests_are_the_same_for_any_worker_count(tmp_path: Path) -> None:
    texts = {f"d{i}": f"{prose(i)}\n{ASKED if i % 3 else LIGHT['query']}\n{prose(i + 1)}" for i in range(12)}
    seen = []
    for workers in (1, 2):
        config = write(tmp_path, texts, files=3)
        summary = run(load(config, [f"workdir={tmp_path / str(workers)}", f"executor.workers={workers}"]), quiet=True)
        seen.append((summary["digest"], summary["edits"]))
    assert seen[0] == seen[1] and seen[0][1] == {"decontaminate.cut": 12}


def test_the_report_and_the_trace_show_both_texts_masked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secret = {
        **LIGHT,
        "id": "<b>mail</b>",
        "query": "Why would anybody write to jane.doe@mail.example.org about the moon?",
    }
    config = write(tmp_path, {"doc": f"{BEFORE} {secret['query']} {AFTER}"}, [ROCKS, secret, "{"])
    run(load(config, []), quiet=True)
    folder = tmp_path / "runs" / "test"
    with open_run(folder) as catalog:
        html = page(catalog)
        plain = page(catalog, samples=False)
        assert catalog.sql("select count(*) as n from contamination").to_pylist() == [{"n": 1}]
    assert html.count("Why would anybody write to") >= 2 and "jane.doe" not in html and "<b>mail" not in html
    assert "items.jsonl.gz" in plain and "could not be read" in plain
    assert "Why would anybody" not in plain and "science" in plain
    trace_document(str(folder), "web/doc", as_json=False)
    shown = capsys.readouterr().out
    assert "contamination" in shown and "question, containment 1.00" in shown and "jane.doe" not in shown
