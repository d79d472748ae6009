"""Patterns: the presets are the published strings, and the class table is the installed library's."""

from __future__ import annotations

import hashlib
import importlib

import numpy as np
import pytest
from tokenizers import Regex, pre_tokenizers

from curation.pipeline.errors import UsageError
from tokenizer.splitting.make_unicode_table import probe, unicode_version
from tokenizer.splitting.patterns import DEFAULT_PATTERN, PATTERNS, UNICODE_TABLE_VERSION, Pattern, pattern_of
from tokenizer.splitting.unicode_table import CODE_POINTS, SURROGATES, UnicodeClass, unicode_classes


def test_o200k_is_tiktokens_string(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tiktoken")
    public = importlib.import_module("tiktoken_ext.openai_public")
    monkeypatch.setattr(public, "load_tiktoken_bpe", lambda *args, **kwargs: {})
    assert PATTERNS["o200k"] == Pattern("o200k", (public.o200k_base()["pat_str"],))


def test_no_character_of_a_preset_changes() -> None:
    """A changed character loses the fast paths of engines and makes another vocabulary."""
    digest = hashlib.sha256("\0".join("\1".join((p.name, *p.stages)) for p in PATTERNS.values()).encode()).hexdigest()
    assert digest[:16] == "fce8c9c9552e8e89"


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=list(PATTERNS))
def test_a_name_and_its_string_are_the_same_pattern(pattern: Pattern) -> None:
    assert pattern_of(pattern.name) == pattern
    if len(pattern.stages) == 1:
        assert pattern_of(pattern.stages[0]) == pattern


def test_a_free_expression_is_a_custom_pattern() -> None:
    assert pattern_of(r"\w+|\W") == Pattern("custom", (r"\w+|\W",))


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"did you mean 'qwen2.5'"):
        pattern_of("qwen2")
    with pytest.raises(UsageError, match="not a regular expression"):
        pattern_of("(unclosed")
    with pytest.raises(UsageError):
        pattern_of("")


def test_the_default_is_a_preset() -> None:
    assert DEFAULT_PATTERN in PATTERNS


def test_the_table_is_what_the_installed_library_says() -> None:
    """Every code point probed again: a new `tokenizers` with other classes must not go unnoticed."""
    probed, table = probe(), unicode_classes()
    different = np.flatnonzero(probed != table)
    assert not len(different), f"U+{different[0]:04X} … differ: run make_unicode_table and set UNICODE_TABLE_VERSION"
    assert UNICODE_TABLE_VERSION.split("/")[0] == unicode_version(probed)


def test_known_characters_have_their_class() -> None:
    table = unicode_classes()
    kinds = {
        "A": "UPPER", "ǅ": "UPPER", "ß": "LOWER", "中": "CASELESS", "ʰ": "CASELESS", "ि": "MARK", "٣": "NUMBER",
        "Ⅷ": "NUMBER", "\u0085": "SPACE", "\u2028": "SPACE", "\xa0": "SPACE", "\u200b": "OTHER", "_": "OTHER",
    }  # fmt: skip
    assert {character: UnicodeClass(table[ord(character)]).name for character in kinds} == kinds
    assert not table[SURROGATES.start : SURROGATES.stop].any()


def test_only_the_long_s_folds_into_a_contraction() -> None:
    """The scanner knows one character beyond ASCII that `(?i:'s|…)` matches; ask the library for all of them."""
    codes = [code for code in range(128, CODE_POINTS) if code not in SURROGATES]
    splitter = pre_tokenizers.Split(Regex("(?i:s|t|re|ve|m|ll|d)"), "removed")
    text = "".join(map(chr, codes))
    unmatched = sum(end - begin for _, (begin, end) in splitter.pre_tokenize_str(text))
    assert len(text) - unmatched == 1
    assert splitter.pre_tokenize_str("ſ") == []
