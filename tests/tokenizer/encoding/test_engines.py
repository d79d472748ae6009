"""Engines are trusted where they give Hugging Face's ids: on fuzz, on runs that kill, beside risk code points."""

from __future__ import annotations

import importlib.util
import itertools
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tokenizer.conftest import FEW_POINTS
from tests.tokenizer.vocabularies import LINES, saved, small_vocabulary
from tokenizer.encoding import canary, risk
from tokenizer.encoding.engines import (
    BUILDERS,
    HUGGING_FACE,
    TIKTOKEN_LONGEST_SPACES,
    WORDS,
    Encode,
    Engine,
    EngineUnavailable,
    Ids,
    build,
    long_spaces,
)
from tokenizer.encoding.risk import RiskyRows, probe_source, risk_points, risky_rows_reference
from tokenizer.encoding.routing import Routed, interleave
from tokenizer.encoding.source import OpenTokenizer, open_tokenizer
from tokenizer.formats.tokenizer_json import tokenizer_json

# Where engines have differed: line ends, blanks of every kind, joiners, marks, digits, title case, contractions.
NASTY = [
    "a\r\n\r\nb\n\rc\x85d\u2028e\u2029f",
    "\u00a0\u00a0x \u00a0y\u3000z\u200bq",
    "👨‍👩‍👧‍👦 👍🏽 ❤️",
    "it'ſ IT'S we'LL 'd’s '' don't",
    "\u0301a\u0301b ǅ Ⅷ ½ ٣٤٥ １２３ ª",
    "\u1acfa \u0c5ca \u088fa",
    "\U000323b0 \U000323b1",
    "<|endoftext|><|im_start|> <|im_e <|reserved_0|>",
    "\0\x01\x7f\ufeff\ufffe\U0010ffff",
]


def column(texts: list[str]) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


@pytest.fixture(scope="session")
def opened(exported: Path) -> OpenTokenizer:
    return open_tokenizer(exported)


@pytest.fixture(scope="session")
def reference(opened: OpenTokenizer) -> Engine:
    return build(HUGGING_FACE, opened.source)


@pytest.fixture(scope="session")
def digests(reference: Engine) -> dict[str, str]:
    return canary.run_digests(reference.encode)


def needed(name: str) -> str:
    if name != WORDS:
        pytest.importorskip(name)
    return name


@pytest.fixture(scope="session")
def routed(opened: OpenTokenizer, reference: Engine) -> Callable[[str], Routed]:
    made: dict[str, Routed] = {}
    probe = probe_source(opened.raw, small_vocabulary().pattern)

    def of(name: str) -> Routed:
        if name not in made:
            engine = build(needed(name), opened.source)
            made[name] = Routed(engine, RiskyRows(few_risk_points(name, probe)), reference.encode)
        return made[name]

    return of


def few_risk_points(name: str, probe: object) -> np.ndarray:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(risk, "PROBED", FEW_POINTS)
        return risk_points(build(name, probe).encode, build(HUGGING_FACE, probe).encode)  # type: ignore[arg-type]


OTHERS = [name for name in BUILDERS if name != HUGGING_FACE]


@pytest.mark.parametrize("name", OTHERS)
def test_ids_are_hugging_faces_on_the_canary_and_on_what_has_gone_wrong_before(
    name: str, routed: Callable[[str], Routed], reference: Engine, opened: OpenTokenizer
) -> None:
    texts = [*NASTY, *LINES, *canary.own_tokens(opened.source), *canary.fuzz_texts(list(opened.special_ids)[:20])]
    assert canary.first_difference(routed(name).encode, reference.encode, texts) is None


@pytest.mark.parametrize("name", OTHERS)
def test_random_texts_too(name: str, routed: Callable[[str], Routed], reference: Engine) -> None:
    subject = routed(name)

    @given(st.lists(st.text() | st.sampled_from(NASTY), max_size=4))
    def check(texts: list[str]) -> None:
        for mine, theirs in zip(subject.encode(column(texts)), reference.encode(column(texts)), strict=True):
            assert mine.dtype == theirs.dtype and np.array_equal(mine, theirs)

    check()


@pytest.mark.parametrize("name", OTHERS)
def test_slices_and_empty_columns_keep_their_rows(
    name: str, routed: Callable[[str], Routed], reference: Engine
) -> None:
    whole = column([*LINES, "", *NASTY, ""])
    for start, length in ((3, 9), (0, 1), (8, 1), (5, 0)):
        part = whole.slice(start, length)
        (ids, ends), (wanted, wanted_ends) = routed(name).encode(part), reference.encode(part)
        assert np.array_equal(ids, wanted) and np.array_equal(ends, wanted_ends) and len(ends) == length + 1


@pytest.mark.parametrize("name", OTHERS)
def test_no_text_gives_a_special_id(name: str, routed: Callable[[str], Routed], opened: OpenTokenizer) -> None:
    ids, _ = routed(name).encode(column([*opened.special_ids, "".join(opened.special_ids)]))
    assert ids.max() < small_vocabulary().vocab_size


@pytest.mark.parametrize("name", [name for name in OTHERS if name != WORDS])  # test_encode opens that one in earnest
def test_a_million_of_anything_harms_no_engine(name: str, exported: Path, digests: dict[str, str]) -> None:
    assert canary.fails_in_child(needed(name), exported, digests) is None


@pytest.mark.parametrize(
    ("script", "reason"),
    [("kill -ABRT $$", "ended its process with status -6 on 1,000,000 blanks"), ("sleep 30", "took more than 1 s")],
)
def test_an_engine_that_ends_or_hangs_its_process_is_refused(
    script: str, reason: str, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\nexec 2>/dev/null\n{script.replace('sleep', 'exec sleep')}\n")
    program.chmod(0o700)
    monkeypatch.setattr(canary.sys, "executable", str(program))
    monkeypatch.setattr(canary, "CHILD_SECONDS", 1)
    assert reason in str(canary.fails_in_child("gigatoken", exported, {"1,000,000 blanks": "0"}))


def test_control_tiktoken_panics_on_a_million_blanks_without_its_guard(opened: OpenTokenizer) -> None:
    engine = build(needed("tiktoken"), opened.source)
    with pytest.raises(BaseException, match="StackOverflow"):
        engine.encode(column([" " * 1_000_000]))


def test_long_runs_of_white_space_are_kept_from_tiktoken() -> None:
    longest = TIKTOKEN_LONGEST_SPACES
    texts = ["a", " " * longest, " " * (longest + 1), "x\u3000" * longest, "\n" * longest + "\u3000", "", "y" * 99_999]
    assert long_spaces(column(texts)).tolist() == [False, False, True, False, True, False, False]


def test_a_difference_is_found_and_shown(reference: Engine) -> None:
    def wrong(texts: pa.LargeStringArray) -> Ids:
        ids, ends = reference.encode(texts)
        return np.where(ids == ids[-1], np.uint32(0), ids), ends

    assert canary.first_difference(wrong, reference.encode, ["a", "é\n"]) == (
        "other ids than Hugging Face's for '\\xe9\\n'"
    )


def changed_at(point: int, reference: Encode) -> Encode:
    """An engine that believes a code point to be an exclamation mark, ids of the character as they were."""

    def encode(texts: pa.LargeStringArray) -> Ids:
        return reference(column([text.replace(chr(point), "!") for text in texts.to_pylist()]))

    return encode


@pytest.mark.parametrize("point", [0xE9, 0x17F, 0x88F, 0x323B0])
def test_probing_finds_the_code_points_that_an_engine_knows_otherwise(
    point: int, opened: OpenTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(risk, "PROBED", FEW_POINTS)
    probe = build(HUGGING_FACE, probe_source(opened.raw, small_vocabulary().pattern)).encode
    assert risk_points(probe, probe).tolist() == []
    assert risk_points(changed_at(point, probe), probe).tolist() == [point]


def test_probes_tell_every_class_of_the_patterns_apart(opened: OpenTokenizer) -> None:
    """One two-byte character of each class the split patterns know: no two have their probe cut alike."""
    source = probe_source(opened.raw, small_vocabulary().pattern)
    assert source.vocabulary is not None
    lengths = [len(token) for token in source.vocabulary.tokens()]
    characters = "Ééª\u0301٣¡\xa0"  # upper, lower, caseless, mark, digit, other, blank
    probed = [build(HUGGING_FACE, source).encode(column([risk.CONTEXTS.format(one)]))[0] for one in characters]
    cuts = {tuple(lengths[token] for token in ids.tolist()) for ids in probed}
    assert len(cuts) == len(characters) == 7


@given(st.lists(st.text(st.sampled_from("aé\u088f\u0c5c\u0c5d€\U000323b0\U000323b1 ")), max_size=8), st.integers(0, 7))
def test_risky_rows_are_those_of_the_reference(texts: list[str], start: int) -> None:
    points = [0x88F, 0xC5C, 0x20AC, 0x323B0]
    part = column(texts).slice(min(start, len(texts)))
    found = RiskyRows(np.array(points, np.int64))(part)
    assert found.tolist() == risky_rows_reference(part.to_pylist(), points)


def test_gigatoken_has_newer_unicode_and_fastokens_another_s_both_are_routed(
    routed: Callable[[str], Routed], reference: Engine
) -> None:
    giga = routed("gigatoken")
    assert 0x88F in giga.risky.points and 0x323B0 in giga.risky.points
    assert giga.rows_for_reference(column(["plain", "\u088fa", "\U000323b0"])).tolist() == [False, True, True]
    assert 0x17F in routed("fastokens").risky.points
    texts = ["a\u088fb", "plain", "it'ſ", *LINES, "\U000323b0x"]
    for name in ("gigatoken", "fastokens"):
        assert canary.first_difference(routed(name).encode, reference.encode, texts) is None


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=9), st.randoms(use_true_random=False))
def test_interleaving_keeps_every_row(rows: list[tuple[bool, int]], draw: random.Random) -> None:
    lists = [[draw.randrange(99) for _ in range(length)] for _, length in rows]

    def ids(which: bool) -> Ids:
        chosen = [one for one, (flag, _) in zip(lists, rows, strict=True) if flag is which]
        ends = np.cumsum([0, *(len(one) for one in chosen)])
        return np.array([i for one in chosen for i in one], np.uint32), ends

    whole, ends = interleave(np.array([flag for flag, _ in rows], np.bool_), ids(False), ids(True))
    assert [whole[a:b].tolist() for a, b in itertools.pairwise(ends)] == lists


def test_an_engine_says_why_it_cannot_serve(opened: OpenTokenizer, tmp_path: Path) -> None:
    foreign = open_tokenizer(saved(tmp_path, normalizer={"type": "NFC"})).source
    with pytest.raises(EngineUnavailable, match="of this project"):
        build(WORDS, foreign)
    if importlib.util.find_spec("tiktoken"):
        with pytest.raises(EngineUnavailable, match="ranks of a tokenizer of this project"):
            build("tiktoken", foreign)
        stages = small_vocabulary("deepseek-v3")
        (tmp_path / "t.json").write_bytes(tokenizer_json(stages))
        with pytest.raises(EngineUnavailable, match="the pattern has 3"):
            build("tiktoken", open_tokenizer(tmp_path / "t.json").source)
    else:
        with pytest.raises(EngineUnavailable, match=r"not installed \(pip install 'curate-lm\[encode\]'\)"):
            build("tiktoken", opened.source)
