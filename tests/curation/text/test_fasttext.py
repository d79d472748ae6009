"""fastText models: what the reader refuses, and that the kernel predicts what fastText predicts."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.rules.language import load_model
from curation.text import fasttext_kernel, fasttext_rows
from curation.text.fasttext_model import FastText, read_model
from tests.curation.text.fasttext_files import HS, NS, OVA, SOFTMAX, TinyModel, random_model

KINDS = {
    "hierarchical softmax": random_model(1, HS),
    "one label": random_model(2, HS, labels=1),
    "softmax": random_model(3, SOFTMAX, dim=16),
    "negative sampling": random_model(4, NS, dim=33),
    "one-vs-all, words only": random_model(5, OVA, min_n=0, max_n=0),
    "word trigrams": random_model(6, SOFTMAX, word_ngrams=3),
    "word bigrams without characters": random_model(7, HS, word_ngrams=2, min_n=0, max_n=0),
    "single characters": random_model(8, HS, min_n=0, max_n=2),
    "no end-of-line word": random_model(9, SOFTMAX, eos=False),
    "quantised, pruned": random_model(10, HS, quantised=True, labels=40),
    "quantised, pruned, word bigrams": random_model(11, OVA, quantised=True, word_ngrams=2, dim=17),
    "quantised, not pruned": random_model(12, SOFTMAX, quantised=True, pruned=False, dim=16),
}
TEXTS = ["", " \n\t", "a the\nab", "__label__0 the", "__label__unknown x", "the </s> ab ab", "é中 ба ббб 中中中"]

# Labels and scores of the fastText library (fasttext-predict 0.9.2.4, x86-64) on the bundled lid.176.ftz.
LIBRARY = [
    ("Das Wetter ist heute sehr schön.", "__label__de", 0.9998663067817688),
    ("Le chat dort sur le canapé.", "__label__fr", 0.9726912975311279),
    ("The committee will meet again in October.", "__label__en", 0.8997854590415955),
    ("今日はとても良い天気ですね。", "__label__ja", 0.994957685470581),
    ("Сегодня хорошая погода.", "__label__ru", 0.9900493025779724),
    ("อากาศดีมากวันนี้", "__label__th", 0.9994950294494629),
    ("نحن نحب القراءة في المساء", "__label__ar", 0.9952559471130371),
    ("Selamat pagi, apa kabar?", "__label__id", 0.5288609266281128),
    ("ok", "__label__en", 0.6297650337219238),
    ("the </s> le chat", "__label__en", 0.7265281677246094),
    ("12 34 56", "__label__en", 0.12450417876243591),
    ("", "__label__en", 0.12450417876243591),
]

words = st.sampled_from(
    ["a", "ab", "the", "é中", "ба", "abcdefghi", "abcdefgh", "</s>", "__label__1", "__label__z", "x" * 30]
)
texts = st.lists(
    st.one_of(words, st.text(max_size=12), st.sampled_from([" ", "\n", "\0", "\v", "  "])), max_size=20
).flatmap(lambda parts: st.sampled_from([" ", "\t", ""]).map(lambda space: space.join(parts)))


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[TinyModel, FastText]:
    tiny = KINDS[request.param]
    path = tmp_path_factory.mktemp("model") / "model.bin"
    path.write_bytes(tiny.bytes())
    return tiny, read_model(path)


def large(values: list[str | None]) -> pa.LargeStringArray:
    return pa.array(values, pa.large_string())


def assert_agrees(tiny: TinyModel, label: str | None, score: float | None, text: str) -> None:
    expected = tiny.predict(text)
    if expected is None:
        assert label is None and score is None
        return
    number, best, scores = expected
    assert label is not None and score == pytest.approx(best, rel=2e-5, abs=2e-6)
    if label != tiny.labels[number][0].decode():  # only where float32 cannot tell the two apart
        assert scores[[name.decode() for name, _ in tiny.labels].index(label)] == pytest.approx(best, rel=2e-5)


def test_every_kind_of_model_predicts_as_the_slow_reference(kind: tuple[TinyModel, FastText]) -> None:
    tiny, model = kind
    labels, scores = model.predict(large(TEXTS))
    for text, label, score in zip(TEXTS, labels.to_pylist(), scores.to_pylist(), strict=True):
        assert_agrees(tiny, label, score, text)


@settings(max_examples=40, deadline=None)
@given(batch=st.lists(texts, min_size=1, max_size=6))
def test_any_text_predicts_as_the_slow_reference(kind: tuple[TinyModel, FastText], batch: list[str]) -> None:
    tiny, model = kind
    labels, scores = model.predict(large(batch))
    for text, label, score in zip(batch, labels.to_pylist(), scores.to_pylist(), strict=True):
        assert_agrees(tiny, label, score, text)


@settings(max_examples=40, deadline=None)
@given(batch=st.lists(texts, min_size=2, max_size=8), data=st.data())
def test_result_depends_on_nothing_but_the_text(
    kind: tuple[TinyModel, FastText], batch: list[str], data: st.DataObject
) -> None:
    _, model = kind
    alone = [tuple(column.to_pylist()[0] for column in model.predict(large([text]))) for text in batch]
    order = data.draw(st.permutations(range(len(batch))))
    labels, scores = model.predict(large([batch[k] for k in order]))
    assert list(zip(labels.to_pylist(), scores.to_pylist(), strict=True)) == [alone[k] for k in order]


def test_lid_176_gives_the_library_s_labels_and_scores() -> None:
    labels, scores = load_model(None).predict(large([text for text, _, _ in LIBRARY]))
    assert labels.to_pylist() == [label for _, label, _ in LIBRARY]
    assert scores.to_pylist() == pytest.approx([score for _, _, score in LIBRARY], abs=1e-6)


def test_a_word_with_more_rows_than_are_kept_pending_is_the_same_in_any_company() -> None:
    model = load_model(None)
    word = "".join(text for text, _, _ in LIBRARY).replace(" ", "") * 200  # one word, some 10,000 rows
    assert " " not in word and len(word) > 3 * fasttext_rows.PENDING_ROWS
    batch = [word, f"Hallo {word} Welt", word, f"Hallo {word} Welt"]
    labels, scores = model.predict(large(batch))
    assert (labels[0], scores[0]) == (labels[2], scores[2]) and (labels[1], scores[1]) == (labels[3], scores[3])


def test_words_that_share_a_cache_slot_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(None)
    batch = [text for text, _, _ in LIBRARY] * 2
    expected = model.predict(large(batch))
    monkeypatch.setattr(fasttext_kernel, "CACHED_WORDS", 1)  # every word of the batch in one slot
    assert model.predict(large(batch)) == expected


def test_null_texts_and_slices_and_no_texts() -> None:
    model = load_model(None)
    batch = large([None, LIBRARY[0][0], None, LIBRARY[-1][0]])
    labels, scores = model.predict(batch)
    assert labels.null_count == scores.null_count == 2 and labels[1].as_py() == LIBRARY[0][1]
    assert model.predict(batch.slice(3)) == (labels.slice(3), scores.slice(3))
    assert [len(column) for column in model.predict(large([]))] == [0, 0]
    assert labels.type == pa.string() and scores.type == pa.float32()


def test_a_model_names_its_file_by_digest(tmp_path: Path) -> None:
    data = random_model(1, HS).bytes()
    (tmp_path / "m.bin").write_bytes(data)
    model = read_model(tmp_path / "m.bin")
    assert model.sha256 == hashlib.sha256(data).hexdigest() and model.labels[0] == "__label__0"


@pytest.mark.parametrize("quantised", [False, True])
def test_a_model_cut_anywhere_is_refused_by_name(tmp_path: Path, quantised: bool) -> None:
    data = random_model(1, HS, quantised=quantised).bytes()
    path = tmp_path / "cut.bin"
    for size in [*range(0, 300), *range(300, len(data), 97), len(data) - 1]:
        path.write_bytes(data[:size])
        with pytest.raises(ValueError, match=r"cut\.bin.*expected"):
            read_model(path)


def test_bytes_after_the_model_are_refused(tmp_path: Path) -> None:
    (tmp_path / "long.bin").write_bytes(random_model(1, HS).bytes() + b"\0")
    with pytest.raises(ValueError, match="the end of the file, found 1 more"):
        read_model(tmp_path / "long.bin")


@settings(max_examples=300, deadline=None)
@given(quantised=st.booleans(), data=st.data())
def test_a_changed_byte_gives_a_clear_error_or_a_model_that_predicts(
    tmp_path_factory: pytest.TempPathFactory, quantised: bool, data: st.DataObject
) -> None:
    changed = bytearray(random_model(1, HS, quantised=quantised, word_ngrams=2).bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, min(400, len(changed) - 1)))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("changed") / "changed.bin"
    path.write_bytes(changed)
    try:
        model = read_model(path)
    except ValueError as error:
        assert "changed.bin" in str(error) and "expected" in str(error)
    else:
        assert len(model.predict(large(TEXTS))[0]) == len(TEXTS)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    tiny = random_model(1, HS)
    assert isinstance(tiny.input, np.ndarray)
    tiny.input[3, 2] = value
    (tmp_path / "nan.bin").write_bytes(tiny.bytes())
    with pytest.raises(ValueError, match="finite numbers in the input matrix"):
        read_model(tmp_path / "nan.bin")
