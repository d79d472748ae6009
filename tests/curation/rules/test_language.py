"""The language rule: what is identified, what is removed and why, and which configs are refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest
from pydantic import ValidationError

from curation.rules.language import LanguageConfig, decide, identify, load_model
from tests.curation.text.fasttext_files import SOFTMAX, random_model

GERMAN, FRENCH = "Das Wetter ist heute sehr schön.", "Le chat dort sur le canapé."


def large(values: list[str | None]) -> pa.LargeStringArray:
    return pa.array(values, pa.large_string())


def verdict(
    language: list[str | None], score: list[float | None], keep: list[str] | None, min_score: float
) -> list[tuple[str | None, str | None]]:
    rule, detail = decide(pa.array(language, pa.string()), pa.array(score, pa.float32()), keep, min_score)
    assert rule.type == detail.type == pa.string()
    return list(zip(rule.to_pylist(), detail.to_pylist(), strict=True))


def test_languages_come_without_the_label_prefix_and_null_stays_null() -> None:
    language, score = identify(large([GERMAN, None, FRENCH]), load_model(None))
    assert language.to_pylist() == ["de", None, "fr"]
    assert score.type == pa.float32() and score.is_valid().to_pylist() == [True, False, True]


def test_a_text_without_anything_to_go_by_has_no_language_and_score_0(tmp_path: Path) -> None:
    (tmp_path / "words.bin").write_bytes(random_model(1, SOFTMAX, min_n=0, max_n=0, eos=False).bytes())
    language, score = identify(large(["unheard of", "the", None]), load_model(str(tmp_path / "words.bin")))
    assert language[0].as_py() is None and score[0].as_py() == 0.0
    assert language[1].as_py() is not None and language[2].as_py() is score[2].as_py() is None
    assert verdict([None], [0.0], None, 0.65) == [("language.min_score", "0.00 < 0.65")]
    assert verdict([None], [0.0], ["0"], 0.65) == [("language.keep", "none")]


def test_other_languages_go_first_then_uncertain_ones_and_the_rest_stays() -> None:
    assert verdict(["fr", "en", "en", None, "de"], [0.9, 0.41, 0.9, None, 0.1], ["en", "de"], 0.65) == [
        ("language.keep", "fr"),
        ("language.min_score", "0.41 < 0.65"),
        (None, None),
        (None, None),
        ("language.min_score", "0.10 < 0.65"),
    ]


def test_without_a_list_every_language_stays() -> None:
    assert verdict(["fr", "xx"], [0.7, 0.6], None, 0.65) == [(None, None), ("language.min_score", "0.60 < 0.65")]
    assert verdict([], [], None, 0.65) == []


def test_a_score_just_below_the_threshold_is_shown_with_enough_digits() -> None:
    assert verdict(["en"], [0.64999], None, 0.65) == [("language.min_score", "0.64999 < 0.65")]
    assert verdict(["en"], [0.5], None, 0.5) == [(None, None)]


def test_a_model_is_read_once_until_its_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(random_model(1, SOFTMAX).bytes())
    first = load_model(str(path))
    assert load_model(str(path)) is first
    path.write_bytes(random_model(2, SOFTMAX, dim=7).bytes())
    assert load_model(str(path)).sha256 == hashlib.sha256(path.read_bytes()).hexdigest() != first.sha256


def test_the_bundled_model_is_the_one_of_its_notice() -> None:
    notice = Path("curation/rules/data/LICENSE-lid.176.md")
    text = (Path(__file__).parents[3] / notice).read_text("utf-8")
    assert load_model(None).sha256 in text and "creativecommons.org/licenses/by-sa/3.0" in text


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"keep": ["en", "ger"]}, "lid.176.ftz knows no language `ger`"),
        ({"keep": ["english"]}, "did you mean en"),
        ({"keep": []}, "at least 1 item"),
        ({"min_score": 1.5}, "less than or equal to 1"),
        ({"min_score": "0.65"}, "valid number"),
        ({"languages": ["en"]}, "Extra inputs"),
    ],
)
def test_a_mistaken_config_is_refused(config: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        LanguageConfig(**config)


def test_defaults_keep_every_language_at_the_published_threshold() -> None:
    config = LanguageConfig()
    assert (config.keep, config.min_score, config.model) == (None, 0.65, None)
    with pytest.raises(ValidationError, match="frozen"):
        config.min_score = 0.5  # type: ignore[misc]
