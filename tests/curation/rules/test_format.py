"""The format rule: which records become documents, in which layout, and that their text stays text."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from curation.pipeline.errors import UsageError
from curation.rules.format import FORMAT, FORMAT_ITEM, FormatConfig, format_documents
from curation.rules.format_marked import MarkedText, read_marked
from curation.rules.format_records import Structure
from curation.rules.format_templates import Template, parse_templates, render, templates_text
from curation.text.edits import EditedText

QA = {"question": "What is the capital of France?", "answer": "Paris."}
CHOICE = {"question": "Which shines by itself?", "choices": ["Moon", "Sun", "Mars"], "gold": 1}
TALK = {"messages": [{"role": "user", "content": "Hello"}, {"role": "Waiter", "content": "A table for two?"}]}


def run(
    records: list[Any], texts: list[str | None] | None = None, keys: list[int] | None = None, **config: Any
) -> EditedText:
    n = len(records)
    metadata = [None if r is None else r if isinstance(r, str) else orjson.dumps(r).decode() for r in records]
    return format_documents(
        pa.array(texts or ["as it was"] * n, pa.large_string()),
        pa.array(metadata, pa.large_string()),
        pa.array(keys or range(n), pa.uint64()),
        FORMAT_ITEM.edited(FORMAT_ITEM.located(FormatConfig(**config), Path())),
    )


def templates(result: EditedText) -> list[str | None]:
    return [row and row["template"] for row in result.columns["format"].to_pylist()]


@pytest.mark.parametrize(
    ("record", "kind", "parts"),
    [
        (QA, "qa", ["What is the capital of France?", "Paris."]),
        ({"context": "A passage.", "qas": [QA, {"question": "Why?", "answers": {"text": ["So."]}}]}, "qa",
         ["A passage.", "What is the capital of France?", "Paris.", "Why?", "So."]),
        ({"instruction": "Add 2 and 3", "output": 5}, "qa", ["Add 2 and 3", "5"]),
        (CHOICE, "multiple_choice", ["Which shines by itself?", "Sun"]),
        ({"question": "Q?", "choices": {"text": ["x", "y"], "label": ["A", "B"]}, "answerKey": "B"}, "multiple_choice",
         ["Q?", "y"]),
        ({"question": "Q?", "options": ["x", "y"], "answer": "y"}, "multiple_choice", ["Q?", "y"]),
        ({"question": "Q?", "options": ["x", "y"], "answer": "A"}, "multiple_choice", ["Q?", "x"]),
        (TALK, "dialogue", ["Hello", "A table for two?"]),
        ({"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}]}, "dialogue",
         ["Hi", "Ho"]),
    ],
)  # fmt: skip
def test_records_of_many_layouts_become_documents(record: dict[str, Any], kind: str, parts: list[str]) -> None:
    result = run([record] * 40)
    for text, template in zip(result.text.to_pylist(), templates(result), strict=True):
        assert str(template).startswith(kind + ".")
        places = [text.find(part) for part in parts]
        assert min(places) >= 0
        assert "passage-last" in str(template) or places == sorted(places)


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (None, "no metadata"),
        ("[1]", "metadata is no JSON object"),
        ("{", "metadata is no JSON object"),
        ({}, "no fields of any kind"), ({"question": "only"}, "no fields of any kind"),
        ({"question": {"a": 1}, "answer": True}, "no fields of any kind"),
        ({"question": " ", "answer": "x"}, "no fields of any kind"),
        ({"messages": [{"role": "user", "content": "alone"}]}, "no fields of any kind"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "user"}]}, "no fields of any kind"),
        ({"question": "Q", "choices": ["a", "b"], "gold": 7}, "no fields of any kind"),
        ({"question": "Q", "choices": ["a", None], "gold": 0}, "no fields of any kind"),
        ({"question": "Q", "choices": ["a"] * 27, "gold": 0}, "no fields of any kind"),
        ({"question": None, "choices": 3, "messages": "text", "qas": {"0": 1}}, "no fields of any kind"),
    ],
)  # fmt: skip
def test_other_records_are_left_as_they_are_and_say_why(record: Any, why: str) -> None:
    result = run([record])
    assert result.text.to_pylist() == ["as it was"] and len(result.edits[0]) == 0
    assert result.columns["format"].type == FORMAT
    assert result.columns["format"].to_pylist() == [{"template": None, "left": why}]


def test_a_null_text_stays_null() -> None:
    result = run([QA, QA], [None, "x"])
    assert result.text[0].as_py() is None and result.columns["format"][0].as_py() is None
    assert [len(row or []) for row in result.edits.to_pylist()] == [0, 1]


def test_the_edit_is_the_whole_text() -> None:
    result = run([QA], ["früher"])
    after = result.text[0].as_py()
    assert result.edits[0].as_py() == [
        {"rule": "format.qa", "start": 0, "length": 7, "before": "früher", "after": after}
    ]


def test_all_templates_are_used_evenly_and_the_key_alone_chooses() -> None:
    n = 6_000
    for record, kind in ((QA, "qa"), (CHOICE, "multiple_choice"), (TALK, "dialogue")):
        chosen = templates(run([record] * n))
        counts = Counter(chosen)
        known = getattr(parse_templates(templates_text(None)), kind)
        assert set(counts) == {f"{kind}.{one.name}" for one in known}
        assert all(abs(count - n / len(known)) < 5 * (n / len(known)) ** 0.5 for count in counts.values())
        assert templates(run([record] * 50, keys=list(range(100, 150)))) == chosen[100:150]
        assert templates(run([{**record, "note": "other"}] * 9)) == chosen[:9]


def test_the_choice_is_an_on_disk_format() -> None:
    assert templates(run([QA] * 3, keys=[0, 1, 2**64 - 1])) == ["qa.short", "qa.inline", "qa.plain"]


KEYS = ["question", "answer", "choices", "gold", "messages", "role", "content", "qas", "text", "label"]
hostile = st.text(max_size=20) | st.sampled_from(
    ["{answer}", "{0.__class__}", "{context}", "\\1", "\\g<0>", "%s", "{{", "$x"]
)


@given(hostile, hostile)
def test_untrusted_text_is_never_read_as_a_template(question: str, answer: str) -> None:
    structure = Structure("qa", {}, [{"number": "1", "question": question, "answer": answer}])
    template = Template(name="t", blocks=["{context}", "<{items}>"], item="Q {question} A {answer}")
    assert render(structure, template) == f"<Q {question} A {answer}>"


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5),
       lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
           st.sampled_from(KEYS),
           inner, max_size=5), max_leaves=12))  # fmt: skip
def test_no_record_raises(record: Any) -> None:
    clean = orjson.loads(orjson.dumps(record, default=str)) if _encodable(record) else {}
    row = run([clean]).columns["format"][0].as_py()
    assert (row["template"] is None) != (row["left"] is None)


def _encodable(record: Any) -> bool:
    try:
        orjson.dumps(record)
    except orjson.JSONEncodeError:  # lone surrogates, integers beyond 64 bits
        return False
    return True


def test_paths_may_name_the_text_and_nested_fields() -> None:
    result = run(
        [{"deep": {"list": [{"a": "Forty-two."}]}}],
        ["What is the answer?"],
        kinds=["qa"],
        qa={"question": ["@text"], "answer": ["missing", "deep.list.0.a"]},
    )
    text = result.text[0].as_py()
    assert "What is the answer?" in text and "Forty-two." in text


def test_texts_that_mark_their_own_structure_are_read_where_the_config_names_the_labels() -> None:
    qa = {"kind": "qa", "labels": ["Question", "Answer"]}
    talk = {"kind": "dialogue", "labels": ["user", "assistant"]}
    passage = "Passage.\n\nQuestion: Why?\nAnswer: So.\nQuestion: How?\nAnswer: Thus."
    texts: list[str | None] = [passage, "user: Hi\nassistant: Ho", "Question: no answer"]
    assert templates(run([{}] * 3, texts)) == [None] * 3
    result = run([None] * 3, texts, marked=[qa, talk])
    assert [str(name).partition(".")[0] for name in templates(result)] == ["qa", "dialogue", "None"]
    assert read_marked(passage, MarkedText(**qa)) == Structure(  # type: ignore[arg-type]
        "qa",
        {"context": "Passage."},
        [
            {"number": "1", "question": "Why?", "answer": "So."},
            {"number": "2", "question": "How?", "answer": "Thus."},
        ],
    )
    assert read_marked("Answer: So.\nQuestion: Why?", MarkedText(**qa)) is None  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="one for questions"):
        FormatConfig.model_validate({"marked": [{"kind": "qa", "labels": ["a", "b", "c"]}]})


def test_own_templates_come_from_a_file_and_bad_ones_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text("version: 1\nqa:\n  - {name: only, blocks: ['{items}'], item: '{question}={answer}'}\n")
    result = run([QA, TALK], templates=str(path))
    assert result.text.to_pylist() == ["What is the capital of France?=Paris.", "as it was"]
    for wrong in ("qa: [", "version: 1\nqa:\n  - {name: x, blocks: ['{secret}'], item: ''}\n",
                  "version: 1\nother: []\n",
                  "version: 1\nqa:\n  - {name: x, blocks: ['" + "{items}" * 9 + "'], item: ''}\n"):  # fmt: skip
        path.write_text(wrong)
        with pytest.raises(UsageError, match="format templates"):
            run([QA], templates=str(path))
    with pytest.raises(UsageError, match=r"missing\.yaml"):
        run([QA], templates="missing.yaml")


def test_changed_templates_change_what_the_edit_depends_on(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text("version: 1\n")
    before = FORMAT_ITEM.edited(FormatConfig(templates=str(path)))
    path.write_text("version: 2\n")
    assert FORMAT_ITEM.edited(FormatConfig(templates=str(path))) != before
