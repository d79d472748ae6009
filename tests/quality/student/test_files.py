"""A model file: the same bytes for the same model, refused with a reason when damaged."""

import json

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import load_file, save_file

from curation.pipeline.errors import UsageError
from quality.student.files import CARD, DEFAULT, MODEL, load_model, save_model
from quality.student.fit import fit
from quality.student.model import predict
from tests.quality.student.examples import training_set


@pytest.fixture
def folder(trained, tmp_path):
    save_model(trained[0], tmp_path / "model")
    return tmp_path / "model"


def test_a_model_read_back_predicts_the_same(trained, folder, data):
    again = load_model(folder)
    a, b = predict(trained[0], data.texts), predict(again, data.texts)
    assert again.hash == trained[0].hash
    assert all((a.value[name] == b.value[name]).all() for name in a.value)
    assert (a.category_p == b.category_p).all()


def test_training_again_in_another_order_gives_the_same_bytes(trained, folder, options, tmp_path):
    from quality.student.training_set import make_training_set
    from tests.quality.student.examples import CATEGORIES, labelled_rows

    ids, texts, levels, categories = labelled_rows()
    order = np.random.default_rng(0).permutation(len(ids))
    data = make_training_set(
        [ids[i] for i in order], [texts[i] for i in order],
        {"knowledge_depth": levels[order], "practicality": 5 - levels[order]}, names=CATEGORIES,
        category=[categories[i] for i in order],
    )  # fmt: skip
    save_model(fit(data, options)[0], tmp_path / "again")
    for name in (MODEL, CARD):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_another_label_gives_another_hash(trained, options):
    assert fit(training_set(seed=1), options)[0].hash != trained[0].hash


def test_the_default_fits_in_20_mb_and_carries_its_card():
    assert (DEFAULT / MODEL).stat().st_size < 20e6
    model = load_model("default")
    assert model.dimensions == ("knowledge_depth", "practicality") and len(model.categories) == 26
    card = json.loads((DEFAULT / CARD).read_bytes())
    assert {"rubric", "data", "metrics", "limits", "hash"} <= card.keys()
    assert card["options"]["calibrate"] == "sources" and "metrics_unseen_sources" in card
    assert all(card["metrics"][name]["within_category_spearman"] > 0 for name in model.dimensions)


def test_a_missing_folder_and_a_missing_file_are_named(folder, tmp_path):
    with pytest.raises(UsageError, match="nowhere"):
        load_model(tmp_path / "nowhere")
    (folder / MODEL).unlink()
    with pytest.raises(UsageError, match=MODEL):
        load_model(folder)


@pytest.mark.parametrize("cut", [0, 5, 100, -1])
def test_a_cut_file_is_refused(folder, cut):
    whole = (folder / MODEL).read_bytes()
    (folder / MODEL).write_bytes(whole[:cut])
    with pytest.raises(UsageError, match=MODEL):
        load_model(folder)


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"{'a'", b'{"format": 99}', b"\xff\xfe"])
def test_a_broken_card_is_refused(folder, text):
    (folder / CARD).write_bytes(text)
    with pytest.raises(UsageError, match="model"):
        load_model(folder)


def change(folder, name, function):
    arrays = load_file(folder / MODEL)
    arrays[name] = function(arrays[name])
    save_file(arrays, folder / MODEL)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("weights", lambda a: a[:-1].copy()),
        ("weights", lambda a: a.astype(np.float32)),
        ("weights", lambda a: np.where(np.arange(a.shape[1]) == 0, np.float16("nan"), a)),
        ("kept", lambda a: a[::-1].copy()),
        ("kept", lambda a: a + np.int32(2**30)),
        ("style_scale", np.zeros_like),
        ("knowledge_depth.cuts", lambda a: a[:-1].copy()),
        ("knowledge_depth.numbers", lambda a: a[:2].copy()),
        ("category.bias", lambda a: a[:-1].copy()),
        ("least_known", lambda a: a + 2),
        ("idf", lambda a: a * np.float32(2)),  # everything fits, but it is not the model of the card
    ],
)
def test_arrays_that_do_not_fit_are_refused(folder, name, function):
    change(folder, name, function)
    with pytest.raises(UsageError, match="model"):
        load_model(folder)


def test_a_card_of_another_model_is_refused(folder):
    card = json.loads((folder / CARD).read_bytes())
    (folder / CARD).write_bytes(json.dumps(card | {"categories": card["categories"][::-1]}).encode())
    with pytest.raises(UsageError, match="belong together"):
        load_model(folder)


def test_texts_are_tagged_by_the_loaded_default():
    found = predict(load_model("default"), pa.array(["A text."], pa.large_string()))
    assert np.isfinite(found.value["knowledge_depth"]).all()
