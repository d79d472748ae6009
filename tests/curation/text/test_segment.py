"""Promises of the segmenter: spaCy-like words for English, one word a code point where no spaces are written."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from curation.text.arrow import text_buffers
from curation.text.character_classes import CharacterClass, class_table, unicode_version
from curation.text.hashing import hash_word_reference
from curation.text.segment import load_tables, new_workspace, segment_document
from curation.text.segment_reference import segment

# Expected words: those of spaCy 3.8's English tokenizer, except in the last four (docs/segmenter.md).
EXAMPLES = {
    "The quick brown fox.": "The|quick|brown|fox|.",
    "don't can't it's cannot": "do|n't|ca|n't|it|'s|can|not",
    "f(x): (8) great:)": "f(x|):|(|8)|great|:)",
    "Mr. Smith of the U.S.A. (e.g., here).": "Mr.|Smith|of|the|U.S.A.|(|e.g.|,|here|)|.",
    "well-known foo/bar x=y 3-4 a--b": "well|-|known|foo|/|bar|x|=|y|3|-|4|a|--|b",
    "see http://foo.com/a/b, or a@b.org": "see|http://foo.com/a/b|,|or|a@b.org",
    "word.Word end... --- 5km $5 US$5 10:1": "word|.|Word|end|...|---|5|km|$|5|US$|5|10:1",
    "'quoted' John's “so”": "'|quoted|'|John|'s|“|so|”",
    "中文字，好": "中|文|字|，|好",
    "กำ": "ก|ำ",
    "のに x": "の|に|x",
    "語\u0301a": "語\u0301|a",
}


def kernel_words(text: str) -> list[tuple[int, int]]:
    offsets, buffer = text_buffers(pa.array([text], pa.large_string()))
    work = new_workspace(len(buffer) + 1)
    segment_document(buffer, offsets[0], offsets[1], load_tables(), work)
    n = work.counts[0]
    return list(zip(work.word_hash[:n].tolist(), work.word_length[:n].tolist(), strict=True))


@pytest.mark.parametrize(("text", "words"), EXAMPLES.items())
def test_words(text: str, words: str) -> None:
    assert [text[start:end] for start, end in segment(text)] == words.split("|")
    assert kernel_words(text) == [(hash_word_reference(word), len(word)) for word in words.split("|")]


def test_words_cover_everything_but_white_space() -> None:
    text = "One (two), three... \u3000four\x1cfive-six\n"
    covered = "".join(text[start:end] for start, end in segment(text))
    assert covered == "".join(text.split())


def test_character_classes_are_pinned() -> None:
    assert unicode_version() == "18.0.0"
    table = class_table()
    counts = {flag.name: int(np.count_nonzero(table & np.uint32(flag))) for flag in CharacterClass}
    assert (counts["DIGIT"], counts["LINE_BREAK"], counts["SPACE"]) == (10, 10, 29)
    assert table[ord("a")] & CharacterClass.LETTER and not table[ord("1")] & CharacterClass.LETTER
