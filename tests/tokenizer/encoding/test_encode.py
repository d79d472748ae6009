"""Texts become Hugging Face's ids whatever the engine, the chunks and the strings in them; no check is silent."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from curation.pipeline.errors import UsageError
from tests.tokenizer.vocabularies import LINES, saved, small_vocabulary
from tokenizer.encoding import canary, engines, verdicts
from tokenizer.encoding import encode as encode_module
from tokenizer.encoding.encode import Encoder, encode_reference, open_encoder
from tokenizer.encoding.engines import HUGGING_FACE, WORDS, Encode, EngineUnavailable, Ids
from tokenizer.encoding.source import Source

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim_prefix|>"]
PIECES = st.text() | st.sampled_from([*SPECIAL, *LINES, "<|endof", "text|>", "<|", "|>", "<|im_start|", "\r\n", "'ſ"])
TEXTS = st.lists(PIECES, max_size=6).map("".join)


@pytest.fixture
def encoder(exported: Path, few_probes: None) -> Encoder:
    return open_encoder(exported, WORDS)


def rows(ids: Ids) -> list[list[int]]:
    return [ids[0][a:b].tolist() for a, b in zip(ids[1], ids[1][1:], strict=False)]


@pytest.fixture(scope="module")
def words(exported: Path, session_cache: Path) -> Encoder:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(session_cache))
        patch.setattr(canary, "FUZZ_TEXTS", 2_000)
        return open_encoder(exported, WORDS)


@given(st.lists(TEXTS | st.none(), max_size=5))
def test_ids_are_the_references_and_null_gives_none(exported: Path, words: Encoder, texts: list[str | None]) -> None:
    ids = words.encode(pa.array(texts, pa.large_string()))
    assert rows(ids) == encode_reference(exported, [text or "" for text in texts])
    assert ids[0].dtype == np.uint32 and ids[1].dtype == np.int64
    assert words.token_counts(pa.array(texts, pa.string())).tolist() == np.diff(ids[1]).tolist()


@given(TEXTS)
def test_every_text_comes_back_byte_for_byte(words: Encoder, text: str) -> None:
    tokens = small_vocabulary().tokens()
    ids, _ = words.encode(pa.array([text]))
    assert b"".join(tokens[i] for i in ids.tolist()) == text.encode()


def test_every_code_point_and_every_byte_value_comes_back(words: Encoder) -> None:
    points = [*range(0x11000), *range(0x1F000, 0x1F100), *range(0x10FF00, 0x110000)]
    text = "".join(chr(point) for point in points if not 0xD800 <= point < 0xE000)
    tokens = small_vocabulary().tokens()
    assert b"".join(tokens[i] for i in words.encode(pa.array([text]))[0].tolist()) == text.encode()
    assert sorted(token for token in tokens if len(token) == 1) == [bytes([byte]) for byte in range(256)]


@given(TEXTS, st.sets(st.sampled_from(SPECIAL)))
def test_allowed_special_strings_become_what_hugging_face_makes_of_them(
    words: Encoder, text: str, allowed: set[str]
) -> None:
    raw = Tokenizer.from_str(words_json(tuple(sorted(allowed))))
    encoded = words.encode_counted(pa.array(["x", text, None]), allow_special=allowed)
    assert rows((encoded.ids, encoded.offsets)) == [raw.encode("x").ids, raw.encode(text).ids, []]
    left = text
    for name in allowed:
        left = left.replace(name, "\0")
    assert encoded.special_text.tolist() == [0, sum(left.count(name) for name in small_vocabulary().special_ids), 0]


def words_json(allowed: tuple[str, ...]) -> str:
    """The tokenizer with the allowed specials only, as `tokenizers` itself would treat them."""
    from tokenizer.formats.tokenizer_json import tokenizer_json

    raw = json.loads(tokenizer_json(small_vocabulary()))
    raw["added_tokens"] = [token for token in raw["added_tokens"] if token["content"] in allowed]
    names = {token["content"]: token["id"] for token in raw["added_tokens"]}
    raw["model"]["vocab"].update(names)  # so that ids stay where they are
    return json.dumps(raw)


def test_without_permission_special_strings_are_text(words: Encoder) -> None:
    texts = [*small_vocabulary().special_ids, "<|im_start|><|im_end|>", "a<|endoftext|>b", "<|endoftext|"]
    encoded = words.encode_counted(pa.array(texts))
    assert encoded.ids.max() < small_vocabulary().vocab_size
    assert encoded.special_text.tolist() == [1] * len(small_vocabulary().special_ids) + [2, 1, 0]


def test_all_may_be_allowed_and_an_unknown_one_is_refused(words: Encoder) -> None:
    ids, _ = words.encode(pa.array(["<|im_end|><|reserved_0|>"]), allow_special="all")
    assert ids.tolist() == [words.special_ids["<|im_end|>"], words.special_ids["<|reserved_0|>"]]
    with pytest.raises(UsageError, match=r"no special token '<\|eos\|>'"):
        words.encode(pa.array(["x"]), allow_special=["<|eos|>"])
    with pytest.raises(UsageError, match="give a list of special tokens"):
        words.encode(pa.array(["x"]), allow_special="<|im_end|>")


def test_where_specials_overlap_the_longest_wins(tmp_path: Path, few_probes: None) -> None:
    from tokenizer.formats.export import export

    directory = export(small_vocabulary(specials=("<a>", "<a><b>", "]x")), tmp_path / "t")
    encoder = open_encoder(directory, HUGGING_FACE)
    whole = Tokenizer.from_file(str(directory / "tokenizer.json"))
    for text in ("<a><b>", "<a><a><b>]x", "<a>]x<b>", "]]x"):
        assert encoder.encode(pa.array([text]), allow_special="all")[0].tolist() == whole.encode(text).ids


@pytest.mark.parametrize("size", [1, 40, 1000])
def test_chunks_never_change_ids(words: Encoder, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = pa.array(["", *LINES, None, "a<|endoftext|>b" * 5, "", *LINES, " " * 500, ""])
    whole = words.encode_counted(texts, allow_special=["<|endoftext|>"])
    monkeypatch.setattr(encode_module, "CHUNK_BYTES", size)
    parts = words.encode_counted(texts, allow_special=["<|endoftext|>"])
    for name in ("ids", "offsets", "special_text", "by_reference"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name))
        assert getattr(whole, name).dtype == getattr(parts, name).dtype


def test_any_string_column_will_do_and_nothing_else(words: Encoder) -> None:
    wanted = rows(words.encode(pa.array(LINES, pa.large_string())))
    assert rows(words.encode(pa.array(LINES, pa.string()))) == wanted
    assert rows(words.encode(pa.array(LINES).slice(3, 2))) == wanted[3:5]
    ids, offsets = words.encode(pa.array([], pa.large_string()))
    assert (len(ids), offsets.tolist()) == (0, [0])
    with pytest.raises(UsageError, match="must be a string or large_string array, not int64"):
        words.encode(pa.array([1]))
    broken = pa.array([b"ok", b"\xff\xfe"]).cast(pa.binary()).view(pa.string())
    with pytest.raises(UsageError, match="not valid UTF-8"):
        words.encode(broken)


def test_long_documents_are_whole(exported: Path, words: Encoder) -> None:
    text = "".join(LINES) * 600  # some 400 kB
    assert rows(words.encode(pa.array([text]))) == encode_reference(exported, [text])


def fake(name: str, release: str, monkeypatch: pytest.MonkeyPatch, wrap: Callable[[Encode], Encode]) -> None:
    """An engine of that name and version, made from Hugging Face's."""

    def made(source: Source, parallel: bool) -> Encode:
        return wrap(engines.hugging_face(source))

    real = engines.version
    monkeypatch.setitem(engines.BUILDERS, name, made)
    monkeypatch.setattr(engines, "version", lambda one: release if one == name else real(one))


def test_an_engine_with_other_ids_is_refused_and_the_next_one_taken(
    exported: Path, few_probes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(encode: Encode) -> Encode:
        def encode_wrongly(texts: pa.LargeStringArray) -> Ids:
            ids, ends = encode(texts)
            return np.where(ids == ids.max(initial=0), np.uint32(0), ids), ends

        return encode_wrongly

    def missing(source: Source, parallel: bool) -> Encode:
        raise EngineUnavailable("not installed")

    class PanicException(BaseException):
        """As Rust libraries raise it."""

    def panicking(encode: Encode) -> Encode:
        def panic(texts: pa.LargeStringArray) -> Ids:
            raise PanicException("unwrap of None")

        return panic

    fake("gigatoken", "wrong", monkeypatch, wrong)
    monkeypatch.setitem(engines.BUILDERS, "fastokens", missing)
    encoder = open_encoder(exported)
    assert encoder.engine == WORDS
    verdict, absent, taken, *_ = encoder.report
    assert not verdict.accepted and "other ids than Hugging Face's for" in verdict.reason
    assert not absent.accepted and "not installed" in absent.reason
    assert taken.accepted and encoder.report[-1].reason.startswith("not tried")
    with pytest.raises(UsageError, match="engine 'gigatoken' cannot serve"):
        open_encoder(exported, "gigatoken")
    fake("fastokens", "panics", monkeypatch, panicking)
    assert open_encoder(exported).report[1].reason == "failed on the canary: PanicException: unwrap of None"


def test_rows_that_an_engine_must_not_see_never_reach_it(
    exported: Path, few_probes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def older(encode: Encode) -> Encode:
        def encode_as_if(texts: pa.LargeStringArray) -> Ids:  # U+00E9 is no letter to it
            seen.extend(texts.to_pylist())
            return encode(pa.array([text.replace("é", "!") for text in texts.to_pylist()], pa.large_string()))

        return encode_as_if

    fake("gigatoken", "older", monkeypatch, older)
    monkeypatch.setattr(verdicts, "run_digests", lambda _: {})
    monkeypatch.setattr(verdicts, "fails_in_child", lambda *_: None)
    encoder = open_encoder(exported, "gigatoken")
    assert encoder.report[0].risk_points == 1
    seen.clear()
    texts = ["plain", "café", "", "é", "è"]
    encoded = encoder.encode_counted(pa.array(texts))
    assert rows((encoded.ids, encoded.offsets)) == encode_reference(exported, texts)
    assert encoded.by_reference.tolist() == [False, True, False, True, False] and seen == ["plain", "", "è"]


def test_a_verdict_is_remembered_for_its_versions_only(
    exported: Path, tmp_path: Path, few_probes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    checks: list[str] = []
    monkeypatch.setattr(verdicts, "_check", lambda *_: checks.append("") or {"problem": None, "mb_per_s": 1.0})
    assert not open_encoder(exported, WORDS).report[0].remembered
    assert open_encoder(exported, WORDS).report[0].remembered and len(checks) == 1
    for entry in (tmp_path / "cache").rglob("*.json"):
        entry.write_bytes(entry.read_bytes()[:-5])
    assert not open_encoder(exported, WORDS).report[0].remembered and len(checks) == 2
    monkeypatch.setattr(verdicts, "CANARY_VERSION", 0)
    assert not open_encoder(exported, WORDS).report[0].remembered and len(checks) == 3
    monkeypatch.setattr(verdicts, "write_atomic", lambda *_: (_ for _ in ()).throw(PermissionError()))
    monkeypatch.setattr(verdicts, "CANARY_VERSION", -1)
    assert not open_encoder(exported, WORDS).report[0].remembered and len(checks) == 4


def test_the_reference_needs_no_check_and_knows_its_hash(exported: Path) -> None:
    encoder = open_encoder(exported, HUGGING_FACE)
    assert encoder.hash == small_vocabulary().hash and encoder.report[0].reason == "the reference"
    assert rows(encoder.encode(pa.array(LINES))) == encode_reference(exported, LINES)


def test_an_unknown_engine_and_a_changed_tokenizer_are_refused(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no engine is called 'rust'.*\n.*known: auto, gigatoken"):
        open_encoder(exported, "rust")
    with pytest.raises(UsageError, match="no byte-level BPE"):
        open_encoder(saved(tmp_path, model={"type": "Unigram", "vocab": []}))


def test_tokenizers_of_others_encode_as_they_do_in_hugging_face(tmp_path: Path, few_probes: None) -> None:
    byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    token = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    path = saved(
        tmp_path,
        normalizer={"type": "NFC"},
        pre_tokenizer=byte_level,
        added_tokens=[{"id": 400, "content": "<s>", **token}],
    )
    whole = Tokenizer.from_file(str(path))
    encoder = open_encoder(path, HUGGING_FACE)
    assert rows(encoder.encode(pa.array(LINES))) == [whole.encode(line).ids for line in LINES]
    assert encoder.encode(pa.array(["e\u0301<s>"]), allow_special="all")[0].tolist() == whole.encode("e\u0301<s>").ids
    assert 400 not in encoder.encode(pa.array(["<s>"]))[0]
    assert len(encoder.hash) == 64
