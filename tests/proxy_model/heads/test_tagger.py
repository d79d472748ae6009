"""Promises of the tagger: learns, is what its files say, labels whatever text comes, tags through the tagging part."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pytest
import torch

from curation.pipeline.errors import CurateError, UsageError
from proxy_model.heads.files import CARD, HEADS, load_tagger, save_tagger
from proxy_model.heads.fit import fit_tagger
from proxy_model.heads.texts import Reader, check_vocabulary
from quality.analysis.metrics import spearman
from quality.rubric.rubric import DIMENSIONS, load_rubric
from quality.tagging.labeler import open_labeler
from quality.tagging.tag import TAG_SCHEMA, Chunking, tag
from tests.proxy_model.heads.made import MAX_TOKENS, OPTIONS, backbone, fitted, reader, rows, tokenizer, training_set

HOSTILE = {
    "empty": "", "space": " \n\t ", "one character": "x" * 1_000_000, "null characters": "\0" * 500,
    "digits": "0123456789" * 5_000, "unspaced": "漢字" * 20_000, "special": "<|endoftext|>" * 50,
    "emoji": "👩‍👩‍👧‍👧" * 300,
}  # fmt: skip


def large(texts: list[str]) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("heads") / "tagger"
    save_tagger(fitted().tagger, made)
    return made


def test_a_planted_rule_is_learned_by_heads_on_a_frozen_backbone() -> None:
    # what is said of documents that the heads did not see, and of fresh ones
    found, data = fitted().held_out, training_set()
    assert spearman(data.scores["knowledge_depth"], found.value["knowledge_depth"]) > 0.6
    assert np.mean(found.category_p.argmax(1) == data.category) > 0.7
    _, texts, levels, _ = rows(60, seed=9)
    fresh = fitted().tagger.predict(texts)
    assert spearman(levels, fresh.value["knowledge_depth"]) > 0.6
    assert spearman(levels, fresh.value["practicality"]) < -0.6  # the opposite was planted
    inside = (np.array(levels) >= fresh.lo["knowledge_depth"]) & (np.array(levels) <= fresh.hi["knowledge_depth"])
    assert 0.75 <= inside.mean() <= 1.0


def test_figures_are_in_their_ranges_and_agree() -> None:
    found = fitted().held_out
    for name in DIMENSIONS:
        lo, value, hi = found.lo[name], found.value[name], found.hi[name]
        assert (lo >= 0).all() and (lo <= value).all() and (value <= hi).all() and (hi <= 5).all()
        assert np.isin(found.level[name], range(6)).all()
    assert found.category_p.sum(1) == pytest.approx(1, abs=1e-5)


def test_files_hold_the_whole_tagger(folder: Path) -> None:
    loaded = load_tagger(folder)
    assert loaded.hash == fitted().tagger.hash == orjson.loads((folder / CARD).read_bytes())["hash"]
    texts = rows(60, seed=9)[1][:5]
    assert np.array_equal(loaded.predict(texts).category_p, fitted().tagger.predict(texts).category_p)
    assert {one.suffix for one in folder.rglob("*") if one.is_file()} == {".safetensors", ".json"}


def test_the_same_seed_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    save_tagger(fit_tagger(training_set(), backbone(), reader(), OPTIONS).tagger, tmp_path / "again")
    assert digests(tmp_path / "again") == digests(folder)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(one for one in folder.rglob("*") if one.is_file())
    return {str(one.relative_to(folder)): hashlib.sha256(one.read_bytes()).hexdigest() for one in files}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_text_gets_labels(name: str) -> None:
    found = fitted().tagger.predict([HOSTILE[name]])
    assert all(np.isfinite(found.value[one]).all() for one in DIMENSIONS) and np.isfinite(found.category_p).all()
    assert found.low_confidence[0] or name not in ("empty", "space")


def test_broken_text_is_read_with_replacement_characters(folder: Path) -> None:
    assert torch.equal(reader().encode(["a\ud800b"])[0], reader().encode(["a?b"])[0])
    offsets, data = np.array([0, 3, 6], np.int64), b"ab\xffcde"
    broken = pa.LargeStringArray.from_buffers(2, pa.py_buffer(offsets), pa.py_buffer(data))
    found = open_labeler(f"proxy:{folder}").label(broken)
    assert np.array_equal(found.value[1:], open_labeler(f"proxy:{folder}").label(large(["cde"])).value)


def test_no_text_gives_a_special_token_but_the_one_at_its_end() -> None:
    ids = reader().encode(["<|endoftext|> x", ""])
    assert all((one[:-1] != one[-1]).all() for one in ids) and len(ids[1]) == 1
    assert len(reader().encode(["word " * 10_000])[0]) == MAX_TOKENS


def test_the_tagging_part_tags_with_it(folder: Path) -> None:
    labeler = open_labeler(f"proxy:{folder}")
    assert labeler.categories == load_rubric().category_names
    texts = rows(60, seed=9)[1][:12]
    long = "\n\n".join(texts * 20)
    made = tag(labeler, large([*texts, long, ""]))
    assert made.schema == TAG_SCHEMA and made.num_rows == 14
    single = fitted().tagger.predict(texts[:1])
    assert made["knowledge_depth"][0].as_py() == pytest.approx(float(single.value["knowledge_depth"][0]))
    assert made["knowledge_depth_sd"][12].as_py() > 0  # it was cut into pieces
    assert made["low_confidence"][13].as_py() is True
    assert set(made["quality_model"].to_pylist()) == {fitted().tagger.hash}
    assert tag(labeler, large(texts[3:5]), Chunking()).equals(made.slice(3, 2))  # neighbours change nothing


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda f: (f / CARD).unlink(), "cannot be read"),
        (lambda f: (f / CARD).write_text("[" * 100_000), "no JSON"),
        (lambda f: (f / HEADS).write_bytes(b"nothing"), "no safetensors"),
        (lambda f: (f / "backbone" / "config.json").unlink(), "holds no model"),
        (lambda f: edit(f, pooling="first"), "no tagger of this program"),
        (lambda f: edit(f, pooling="last"), "no tagger of this program"),
        (lambda f: edit(f, max_tokens=50), "do not belong together"),
    ],
)
def test_damage_is_named(folder: Path, tmp_path: Path, damage: object, told: str) -> None:
    save_tagger(fitted().tagger, tmp_path / "copy")
    damage(tmp_path / "copy")  # type: ignore[operator]
    with pytest.raises(CurateError, match=told):
        load_tagger(tmp_path / "copy")


def edit(folder: Path, **changes: object) -> None:
    card = orjson.loads((folder / CARD).read_bytes())
    (folder / CARD).write_bytes(orjson.dumps({**card, **changes}))


def test_another_tokenizer_is_refused() -> None:
    with pytest.raises(UsageError, match="tokens"):
        check_vocabulary(Reader(tokenizer(), 8), 100, None, "model")
    with pytest.raises(UsageError, match="not the one"):
        check_vocabulary(Reader(tokenizer(), 8), 10_000, "0" * 64, "model")
