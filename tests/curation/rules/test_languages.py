"""Promises of the thresholds by language: every key exists, values are sane, mistakes are named, decisions follow."""

from __future__ import annotations

import pyarrow as pa
import pytest

from curation.rules import presets
from curation.rules.languages import for_language, load, parse
from curation.rules.thresholds import RuleSet
from curation.text.statistics import measure

PUBLISHED = ["gopher-repetition", "gopher-quality", "fineweb-paper", "fineweb-code"]
CHINESE = (
    "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。\n"
    "人人有资格享有本宣言所载的一切权利和自由，不分种族、肤色、性别、语言、宗教、政治或其他见解。"
)


def test_every_language_of_the_table_resolves_with_the_presets() -> None:
    table = load()
    assert len(table) >= 40 and "en" not in table and "no" in table
    RuleSet.resolve(PUBLISHED, languages=table)


def test_english_stop_words_are_asked_of_no_other_language() -> None:
    assert {code: values["gopher-quality.min_stop_words"] for code, values in load().items()} == dict.fromkeys(
        load(), 0
    )


def test_values_are_shares_or_word_lengths() -> None:
    for values in load().values():
        for key, value in values.items():
            assert 0 <= value <= (100 if "word_length" in key else 1), key


def test_lengths_of_words_mean_nothing_where_a_code_point_is_a_word() -> None:
    assert all(for_language(code)["gopher-quality.min_word_length"] == 0 for code in ("zh", "ja", "th", "lo", "my"))
    assert for_language("de")["gopher-quality.max_word_length"] > 10


def test_a_document_is_decided_by_the_values_of_its_language() -> None:
    texts = pa.array([CHINESE, CHINESE], pa.large_string())
    columns = {"stats": measure(texts), "language": pa.array(["en", "zh"])}
    by, _ = RuleSet.resolve(["gopher-quality"], languages=load()).decide(columns)
    assert by.to_pylist() == ["gopher-quality.min_word_length", None]


def test_a_language_overrides_what_is_alike() -> None:
    table = parse("alike: {gopher-quality.min_words: 40}\nlanguages: {de: {gopher-quality.min_words: 30}, fr: {}}")
    assert {code: dict(values) for code, values in table.items()} == {
        "de": {"gopher-quality.min_words": 30.0},
        "fr": {"gopher-quality.min_words": 40.0},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("languages: {de: {gopher-quality.min_word: 3}}", "did you mean 'gopher-quality.min_words'"),
        ("languages: {de: {gopher-quality.min_words: many}}", "finite number, not 'many'"),
        ("languages: {de: {gopher-quality.min_words: true}}", "finite number"),
        ("languages: {de: {gopher-quality.min_words: .inf}}", "finite number"),
        ("languages: {no: {}}", "bare `no`"),
        ("languages: {German: {}}", "not a language code"),
        ("languages: {de: 3}", "must be a mapping"),
        ("language: {}", "sections"),
        ("[]", "sections"),
    ],
)
def test_mistakes_are_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(text)


def test_an_unknown_language_is_refused_with_a_hint() -> None:
    with pytest.raises(ValueError, match="no thresholds for language 'zz'"):
        for_language("zz")


def test_the_shipped_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        load()["de"]["gopher-quality.min_words"] = 1.0  # type: ignore[index]


def test_the_presets_themselves_stay_english() -> None:
    rows = {row.name: row.value for row in presets.load()["gopher-quality"].thresholds}
    assert rows["min_stop_words"] == 2 and rows["min_word_length"] == 3
