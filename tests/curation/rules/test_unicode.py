"""The Unicode rule: what is repaired, what stays, how it is logged, what a hostile text costs."""

from __future__ import annotations

import time
import unicodedata
from pathlib import Path

import ftfy
import ftfy.badness
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.pipeline.errors import UsageError
from curation.rules import unicode
from curation.rules.unicode import COUNTS, LINE_CHARACTERS, UNICODE, UnicodeConfig, repair
from curation.text.edits import EDITS, EditedText

MOJIBAKE = "schÃ¶n â€œzitiertâ€\x9d"


def one(text: str | None, fix: bool = True, normalize: bool = True) -> EditedText:
    return repair(pa.array([text], pa.large_string()), fix, normalize)


def repaired(text: str, fix: bool = True, normalize: bool = True) -> str:
    return str(one(text, fix, normalize).text[0].as_py())


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("schÃ¶n", "schön"),
        ("itâ€™s", "it’s"),
        ("a\x00b\x08c\x7f", "abc"),
        ("\ufefftext", "text"),
        ("cafe\u0301", "café"),
        ("\u212b", "Å"),
        ("\x1b[31mred\x1b[0m", "red"),
    ],
)
def test_damage_is_repaired(text: str, after: str) -> None:
    assert repaired(text) == after


@pytest.mark.parametrize(
    "text",
    [
        "“curly” ‘quotes’ … –", "ﬁgure", "Ｆｕｌｌ　ｗｉｄｔｈ", "&amp; &lt;b&gt;",
        "a\r\nb\tc\fd", "naïve façade", "日本語 العربية हिन्दी", "",
    ],
)  # fmt: skip
def test_what_changes_only_the_look_stays(text: str) -> None:
    assert repaired(text) == unicodedata.normalize("NFC", text)


def test_each_part_can_be_left_out() -> None:
    text = f"{MOJIBAKE} cafe\u0301"
    assert repaired(text, fix=False) == unicodedata.normalize("NFC", text)
    assert unicodedata.normalize("NFC", repaired(text, normalize=False)) == repaired(text)
    untouched = one(text, fix=False, normalize=False)
    assert untouched.text[0].as_py() == text and len(untouched.edits[0]) == 0


def test_every_changed_line_is_one_edit_cut_to_what_differs() -> None:
    text = "ä first\nschÃ¶n line\nplain\ncafe\u0301 twice\n"
    result = one(text)
    assert result.edits.type == EDITS
    assert result.edits[0].as_py() == [
        {"rule": "unicode.fix", "start": 12, "length": 4, "before": "Ã¶", "after": "ö"},
        {"rule": "unicode.normalize", "start": 32, "length": 3, "before": "e\u0301", "after": "é"},
    ]
    assert result.columns["unicode"].to_pylist() == [{"fixed_lines": 1, "normalized_lines": 1, "skipped_lines": 0}]


def test_null_stays_null_and_clean_texts_have_no_edits() -> None:
    result = repair(pa.array([None, "clean", "auch schön"], pa.large_string()), True, True)
    assert result.text.to_pylist() == [None, "clean", "auch schön"]
    assert [len(row or []) for row in result.edits.to_pylist()] == [0, 0, 0]
    assert result.columns["unicode"].type == COUNTS and result.columns["unicode"].null_count == 1
    assert len(repair(pa.array([], pa.large_string()), True, True).edits) == 0


PIECES = [MOJIBAKE, "Ã©", "â€™", "e\u0301", "\x00", "\n", " ", "é", "日", "œ", "Â ", "°", "word", "\u0301", "\x85"]
any_text = st.lists(st.sampled_from(PIECES) | st.text(max_size=6), max_size=10).map("".join)
any_text = any_text.map(lambda text: text.encode("utf-8", "ignore").decode())


@given(any_text)
def test_it_is_ftfy_and_nfc_line_by_line(text: str) -> None:
    config = ftfy.TextFixerConfig(
        unescape_html=False, uncurl_quotes=False, fix_latin_ligatures=False, fix_character_width=False,
        fix_line_breaks=False, normalization=None,
    )  # fmt: skip
    lines = [unicodedata.normalize("NFC", ftfy.fix_text(line, config)) for line in text.split("\n")]
    assert repaired(text) == "\n".join(lines)


@given(any_text)
def test_edits_rebuild_the_new_text_and_do_not_overlap(text: str) -> None:
    result = one(text)
    data, end, parts = text.encode(), 0, []
    for edit in result.edits[0].as_py():
        assert edit["start"] >= end
        parts += [data[end : edit["start"]], edit["after"].encode()]
        end = edit["start"] + edit["length"]
        assert data[edit["start"] : end].decode() == edit["before"] != edit["after"]
    assert b"".join([*parts, data[end:]]).decode() == result.text[0].as_py()


@given(st.text(st.characters(max_codepoint=0x2FFF, exclude_categories=["Cs"]), max_size=8), st.sampled_from(" aZ.1\n$"))
def test_the_quick_look_sees_all_that_ftfy_takes_for_mojibake(letters: str, between: str) -> None:
    for text in (letters, between + between.join(letters) + between):
        assert unicode._maybe_bad(text) or not ftfy.badness.is_bad(text)


def test_lines_beyond_the_limits_stay_and_are_counted() -> None:
    long = "Ã©" * (LINE_CHARACTERS // 2 + 1)
    stacked = "Ã© a" + "\u0301\u0323" * 20
    result = one(f"{long}\n{stacked}\nÃ©t")
    assert result.text[0].as_py() == f"{long}\n{stacked}\nét"
    assert result.columns["unicode"].to_pylist() == [{"fixed_lines": 1, "normalized_lines": 0, "skipped_lines": 2}]


@pytest.mark.parametrize("unit", ["\u0301\u0323", "Ã©", "é", "a\x00\n", "Ã©t\n", "e\u0301\n", "\n", "日本"])
def test_it_takes_linear_time(unit: str) -> None:
    def cost(length: int) -> float:
        started = time.process_time()
        one(unit * (length // len(unit)))
        return time.process_time() - started

    cost(2_000)
    small = max(min(cost(5_000) for _ in range(3)), 2e-3)
    assert min(cost(40_000) for _ in range(2)) < 8 * 3 * small


def test_a_missing_extra_is_refused_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unicode, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'curate-lm\[ftfy\]'"):
        UNICODE.located(UnicodeConfig(), Path())
    assert UNICODE.located(UnicodeConfig(fix=False), Path()).fix is False


def test_the_versions_that_can_change_a_text_are_part_of_the_fingerprint() -> None:
    assert set(UNICODE.versions(UNICODE.edited(UnicodeConfig()))) == {"unicode", "ftfy"}
    assert set(UNICODE.versions(UNICODE.edited(UnicodeConfig(fix=False)))) == {"unicode"}
