"""Promises of line dedup, through real runs; every outcome's edits are applied and undone by `run_texts`."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.dedup.line_hashes import TOO_SHORT, line_rows
from curation.pipeline.config import load
from curation.pipeline.errors import ConfigError
from curation.text.cuts_reference import cut_reference
from curation.text.line_units import find_units, units_reference
from tests.curation.dedup.cutting_runs import execute_plan, run_texts, write_config

HEADER = "You are here: Home > Articles > Archive"
FOOTER = "Subscribe to our newsletter for weekly updates."


def page(i: int) -> str:
    return f"{HEADER}\n\nThe text of article number {i} says this.\n\n{FOOTER}\n"


def test_a_line_of_three_documents_stays_where_it_came_first(tmp_path: Path) -> None:
    found = run_texts(tmp_path, [page(0), "Another text.", page(1), page(2)], lines={})
    body = "The text of article number {} says this.\n"
    assert found.kept() == [page(0), "Another text.", body.format(1), body.format(2)]
    assert [e["before"].strip() for e in found.edits["web/2"]] == [HEADER, FOOTER]


def test_two_documents_are_not_three(tmp_path: Path) -> None:
    texts = [page(0), page(1)]
    assert run_texts(tmp_path, texts, lines={}).kept() == texts
    assert run_texts(tmp_path / "2", texts, lines={"min_count": 2}).edits


def test_occurrences_in_one_document_count_once(tmp_path: Path) -> None:
    texts = [f"{HEADER}\n" * 5, f"{HEADER}\nmore", "other"]
    assert run_texts(tmp_path, texts, lines={}).kept() == texts


def test_the_first_document_keeps_one_occurrence(tmp_path: Path) -> None:
    texts = [f"a\n{HEADER}\nb\n{HEADER}\nc\n", *(f"{i}\n{HEADER}\n{i}\n{HEADER}\n{i}\n" for i in range(2))]
    assert run_texts(tmp_path, texts, lines={}).kept() == [f"a\n{HEADER}\nb\nc\n", "0\n0\n0\n", "1\n1\n1\n"]


def test_white_space_and_invisible_characters_make_no_difference_and_case_does(tmp_path: Path) -> None:
    variants = [HEADER, f"  {HEADER}\t", HEADER.replace(" ", "\u00a0 "), HEADER.replace("Home", "Ho\u200bme")]
    texts = [f"{line}\r\ntext {i}" for i, line in enumerate([*variants, HEADER.lower()])]
    found = run_texts(tmp_path, texts, lines={})
    assert found.kept() == [texts[0], "text 1", "text 2", "text 3", texts[4]]


def test_combining_marks_are_compared_as_they_are(tmp_path: Path) -> None:
    composed, decomposed = "Ünïcödé héàdér of the page", "Ünïcödé héàdér of the page".replace("é", "e\u0301")
    texts = [f"{line}\ntext {i}" for i, line in enumerate([composed, composed, composed, decomposed])]
    assert run_texts(tmp_path, texts, lines={}).kept() == [texts[0], "text 1", "text 2", texts[3]]


def test_short_lines_stay(tmp_path: Path) -> None:
    texts = [f"}}\nint main_{i}() {{\n  return 0;\n}}\n" for i in range(4)]
    assert run_texts(tmp_path, texts, lines={}).kept() == texts
    assert run_texts(tmp_path / "1", texts, lines={"min_chars": 1}).kept()[1] == "int main_1() {\n"


def brute_force(texts: list[str], min_count: int, min_chars: int, *, paragraphs: bool) -> list[str | None]:
    """The texts without their repeated units, None where nothing visible is left; every unit counted anew."""
    units = [units_reference(text, paragraphs=paragraphs) for text in texts]
    expected: list[str | None] = []
    for number, text in enumerate(texts):
        ranges = []
        for place, (first, last, form) in enumerate(units[number]):
            having = [i for i, some in enumerate(units) if form in (other for *_, other in some)]
            is_first = having[0] == number and form not in (other for *_, other in units[number][:place])
            if len(form) >= max(min_chars, 1) and len(having) >= min_count and not is_first:
                ranges.append((first, last))
        left, _, blank = cut_reference(text, ranges, at_words=False)
        expected.append(None if blank and ranges else left)
    return expected


@pytest.mark.parametrize(("unit", "min_count", "min_chars"), [("line", 2, 1), ("line", 4, 6), ("paragraph", 2, 3)])
def test_exactly_what_counting_every_line_anew_gives(tmp_path: Path, unit: str, min_count: int, min_chars: int) -> None:
    chance = random.Random(min_count)
    lines = [
        "",
        " ",
        "x",
        "中文",
        "é",
        "\u200b",
        *(f"the line {i}" for i in range(40)),
        *(f"{i} é中" for i in range(40)),
    ]
    breaks = ["\n", "\r\n", "\r", "\u2028", "\n\n", " \n\t"]
    texts = [
        "".join(chance.choice(lines) + chance.choice(breaks) for _ in range(chance.randrange(9)))
        + chance.choice(["", chance.choice(lines)])
        for _ in range(120)
    ]
    found = run_texts(tmp_path, texts, lines={"unit": unit, "min_count": min_count, "min_chars": min_chars})
    expected = brute_force(texts, min_count, min_chars, paragraphs=unit == "paragraph")
    assert found.kept() == expected
    assert None in expected and any(text not in (None, given) for text, given in zip(expected, texts, strict=True))


def test_paragraphs(tmp_path: Path) -> None:
    notice = "This site uses cookies\nto improve your experience."
    texts = [f"text {i}\n\n{notice}\n\nmore of text {i}" for i in range(3)]
    texts.append("This site uses cookies\n\nto improve your experience.")  # two paragraphs, other ones
    found = run_texts(tmp_path, texts, lines={"unit": "paragraph"})
    assert found.kept() == [texts[0], "text 1\n\nmore of text 1", "text 2\n\nmore of text 2", texts[3]]


def test_a_document_without_text_left_is_removed_and_keeps_its_text(tmp_path: Path) -> None:
    found = run_texts(tmp_path, [page(0), page(1), HEADER, f"\u200b\n{HEADER}\n \n{FOOTER}"], lines={})
    assert {id: (r["removed_by"], r["removed_detail"]) for id, r in found.removed.items()} == {
        "web/2": ("dedup.lines_all_removed", "cuts=1"),
        "web/3": ("dedup.lines_all_removed", "cuts=1"),
    }


def test_documents_that_an_earlier_step_removed_do_not_count(tmp_path: Path) -> None:
    texts = [page(0), page(0), page(1)]
    config = write_config(tmp_path, {"web": texts}, {"exact": {}, "lines": {}})
    folder, _ = execute_plan(config)
    assert pq.read_table(folder / "removed")["removed_by"].to_pylist() == ["dedup.exact"]
    assert pq.read_table(folder / "edits").num_rows == 0


def test_a_scope_of_source_counts_within_sources(tmp_path: Path) -> None:
    sources = {"x": [page(0), page(1)], "y": [page(2), page(3), page(4)]}
    found = run_texts(tmp_path, sources, lines={"scope": "source"})
    assert found.kept("x") == sources["x"] and found.kept("y")[0] == sources["y"][0]
    assert found.edits.keys() == {"y/1", "y/2"}


@pytest.mark.parametrize("text", ["", "x", "\n", "\r\n\r\n", HEADER, f"{HEADER}\r{HEADER}", "a" * 1_000_000])
def test_hostile_texts_that_are_all_equal(tmp_path: Path, text: str) -> None:
    found = run_texts(tmp_path, [text] * 4, lines={"min_chars": 1})
    repeated = bool(text.strip())
    assert found.kept()[1:] == ([None] * 3 if repeated else [text] * 3)
    assert found.kept()[0] == (HEADER if text.startswith(HEADER) else text)


def test_a_line_repeated_a_million_times_in_one_document(tmp_path: Path) -> None:
    line = "the line"
    many = f"{line}\n" * 1_000_000
    assert run_texts(tmp_path, [many, "b", "c"], lines={"min_chars": 1}).kept() == [many, "b", "c"]
    found = run_texts(tmp_path / "3", [many, f"{line}\nb", f"{line}\nc"], lines={"min_chars": 1})
    assert found.kept() == [f"{line}\n", "b", "c"]
    assert len(found.edits["web/0"]) == 1


def test_a_new_file_reruns_only_what_it_changes(tmp_path: Path) -> None:
    texts = [f"Only this document has this line {i}." for i in range(6)]
    config = write_config(tmp_path, {"web": texts}, {"lines": {}})
    execute_plan(config)
    (tmp_path / "web" / "c.jsonl").write_text('{"id": "new", "text": "Nothing in here stands anywhere else."}\n')
    ran = [task.partition("/")[0] for task in execute_plan(config)[1]]
    assert {step: ran.count(step) for step in ("line_hashes", "repeated_lines", "line_cuts", "documents")} == {
        "line_hashes": 1, "repeated_lines": 1, "line_cuts": 1, "documents": 1,
    }  # fmt: skip


def test_the_hash_of_a_line_is_pinned() -> None:
    """An on-disk format: xxh3-128 of the normalised line, in halves; other lines have the index of their hash."""
    text = pa.array(["  Fußnote\t 1 \r\nx\n\nFußnote\u200b 1", None, "y"], pa.large_string())
    rows = line_rows(find_units(text, paragraphs=False), 2).to_pylist()
    assert rows[0] == {
        "high": [0xD4B2ADF47AFD2ECF], "low": [0x9BBF15EE45261FE1], "again": [True], "units": [0, TOO_SHORT, 0],
    }  # fmt: skip
    empty = {"high": [], "low": [], "again": []}
    assert rows[1:] == [{**empty, "units": []}, {**empty, "units": [TOO_SHORT]}]


def test_errors_name_the_key(tmp_path: Path) -> None:
    config = write_config(tmp_path, {"web": ["x"]}, {"lines": {}})
    with pytest.raises(ConfigError, match="min_count"):
        load(config, ["dedup.lines.min_count=1"])
    with pytest.raises(ConfigError, match="paragraph"):
        load(config, ["dedup.lines.unit=sentence"])
