"""Training: from label files to a model; what cannot be learnt from is refused."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curation.pipeline.errors import UsageError
from quality.judge.windows import WINDOW_CHARS
from quality.student.action import evaluate, train
from quality.student.files import CARD, DEFAULT, MODEL, load_model
from quality.student.fit import fit
from quality.student.folds import folds_of, group_folds
from quality.student.measure import measure
from quality.student.model import predict
from quality.student.training_set import WHOLE_CHARS, cut, make_training_set, read_training_set
from tests.quality.student.examples import CATEGORIES, labelled_rows

EXAMPLES = Path(__file__).parents[3] / "examples" / "quality"
REAL = ("software_development", "natural_science", "law_crime")


def write_rows(folder, n=70, change=lambda i, row: row, name="labels"):
    """Label and document files like a judge's."""
    ids, texts, levels, categories = labelled_rows(n)
    real = dict(zip(CATEGORIES, REAL, strict=False))
    labels, documents = [], []
    for i in range(n):
        row = {"doc_id": ids[i], "rubric": "v1", "judge": "j", "knowledge_depth": int(levels[i]),
               "practicality": int(5 - levels[i]), "category": real[categories[i]], "weight": 1.0}  # fmt: skip
        labels.append(change(i, row))
        documents.append({"id": ids[i], "text": texts[i], "source": f"s{i % 5}", "license": "CC0-1.0"})
    for kind, rows in ((name, labels), ("documents", documents)):
        (folder / f"{kind}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows if row))
    return folder / f"{name}.jsonl", folder / "documents.jsonl"


def test_train_and_evaluate_from_files(tmp_path):
    labels, documents = write_rows(tmp_path)
    made = train([labels], [documents], tmp_path / "model", word_bits=12, char_bits=12)
    model = load_model(tmp_path / "model")
    assert model.hash == made.hash and json.loads(made.json())["documents"] == 70
    assert model.card["data"]["licences"] == {"CC0-1.0": 70}
    assert str(tmp_path) not in (tmp_path / "model" / CARD).read_text()
    with pytest.raises(UsageError, match="trained on 70 of these 70"):
        evaluate(str(tmp_path / "model"), [labels], [documents], splits=["model"])


def test_fewer_labels_than_can_be_learnt_from(tmp_path):
    labels, documents = write_rows(tmp_path, 30)
    with pytest.raises(UsageError, match="30 labelled documents are too few"):
        train([labels], [documents], tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_fewer_labels_than_categories():
    ids, texts, levels, _ = labelled_rows(60)
    with pytest.raises(UsageError, match="60 labelled documents for 61 categories"):
        make_training_set(ids, texts, {"d": levels}, names=[f"c{i}" for i in range(61)], category=["c0"] * 60)


def test_constant_scores_are_refused(tmp_path):
    labels, documents = write_rows(tmp_path, change=lambda i, row: row | {"practicality": 2})
    with pytest.raises(UsageError, match="all 70 labels have practicality = 2"):
        train([labels], [documents], tmp_path / "model")


def test_two_files_that_disagree_under_one_judge_are_refused(tmp_path):
    labels, documents = write_rows(tmp_path)
    other, _ = write_rows(tmp_path, change=lambda i, row: row | {"knowledge_depth": 0}, name="other")
    with pytest.raises(UsageError, match=r"labels\.jsonl.*other\.jsonl"):
        train([labels, other], [documents], tmp_path / "model")


def test_two_judges_that_disagree_are_averaged(tmp_path):
    labels, documents = write_rows(tmp_path)
    other, _ = write_rows(
        tmp_path, change=lambda i, row: row | {"judge": "k", "knowledge_depth": (row["knowledge_depth"] + 1) % 6},
        name="other",
    )  # fmt: skip
    one, both = (read_training_set(files, [documents]) for files in ([labels], [labels, other]))
    low = one.scores["knowledge_depth"] < 5
    assert (both.scores["knowledge_depth"][low] == one.scores["knowledge_depth"][low] + 0.5).all()


def test_another_rubric_version_and_an_unknown_category_are_refused(tmp_path):
    for field, value in (("rubric", "v9"), ("category", "astrology")):
        labels, documents = write_rows(tmp_path, change=lambda i, row, f=field, v=value: row | {f: v})
        with pytest.raises(UsageError, match=value):
            train([labels], [documents], tmp_path / "model")


def test_a_category_with_one_example_is_trained_on_and_told_on_the_card(tmp_path):
    labels, documents = write_rows(tmp_path, change=lambda i, row: row | ({"category": "food"} if i == 3 else {}))
    made = train([labels], [documents], tmp_path / "model", word_bits=12, char_bits=12)
    assert made.card["data"]["categories"]["food"] == 1
    limits = "\n".join(made.card["limits"])
    assert "fewer than 5 examples: food" in limits and "travel" in limits
    model = load_model(tmp_path / "model")
    found = predict(model, pa.array(labelled_rows(70)[1], pa.large_string()))
    never = [i for i, name in enumerate(model.categories) if name not in (*REAL, "food")]
    assert found.category_p[:, never].max() < 0.1


def test_weights_shift_the_fit_towards_the_heavy_documents(options):
    ids, texts, levels, _ = labelled_rows(100)
    levels = np.random.default_rng(0).permutation(levels)  # nothing to learn but the mean
    heavy = np.where(levels >= 3, 20.0, 1.0)
    fresh = pa.array(labelled_rows(50, seed=3)[1], pa.large_string())
    for weight in (np.ones(100), heavy):
        model, _ = fit(make_training_set(ids, texts, {"d": levels}, weight=weight), options)
        assert abs(predict(model, fresh).value["d"].mean() - np.average(levels, weights=weight)) < 0.5


def test_intervals_cover_held_out_labels(trained, data):
    _, held_out = trained
    assert set(held_out) == {"documents"}
    figures = measure(data, held_out["documents"], resamples=20)
    assert 0.05 <= figures.low_confidence <= 0.1  # the tenth of the held-out texts that are the least known, less ties
    for score in figures.scores.values():
        assert 0.84 <= score.coverage <= 0.96  # 120 documents: 0.9 ± 2.2 standard errors


def shifted(n=150):
    """Six sources; each writes its levels in words of its own, and one is two levels off."""
    ids, texts, levels, categories = labelled_rows(n)
    sources = [f"s{i % 6}/part{i % 2}" for i in range(n)]
    levels = np.clip(levels + np.array([2.0 if s.startswith("s0") else 0.0 for s in sources]), 0, 5)
    return make_training_set(ids, texts, {"d": levels}, names=CATEGORIES, category=categories, sources=sources)


def test_calibration_on_sources_is_never_narrower_nor_surer(options):
    data = shifted()
    assert set(data.origins) == {f"s{i}" for i in range(6)}
    near, _ = fit(data, options)
    far, held_out = fit(data, replace(options, calibrate="sources"))
    assert set(held_out) == {"documents", "sources"}
    assert far.scores[0].radius > near.scores[0].radius and far.category.temperature <= near.category.temperature
    assert measure(data, held_out["sources"], resamples=5).scores["d"].coverage >= 0.85
    assert (near.half == far.half).all() and near.hash != far.hash


def test_calibration_on_sources_needs_three_and_a_known_word(options, tmp_path):
    data = replace(shifted(), sources=tuple(f"s{i % 2}" for i in range(150)))
    with pytest.raises(UsageError, match="2 sources: too few"):
        fit(data, replace(options, calibrate="sources"))
    labels, documents = write_rows(tmp_path)
    with pytest.raises(UsageError, match="choose documents or sources"):
        train([labels], [documents], tmp_path / "model", calibrate="folders")


def test_folds_follow_names_not_order_and_keep_groups_together():
    names = [f"d{i // 2}" for i in range(40)]
    fold = folds_of(names, 5, 1)
    back = folds_of(names[::-1], 5, 1)[::-1]
    assert (fold == back).all() and sorted(np.bincount(fold).tolist()) == [8] * 5
    assert all(fold[2 * i] == fold[2 * i + 1] for i in range(20))
    sources = ["big"] * 50 + ["a"] * 10 + ["b"] * 10
    by_source = group_folds(sources, 5)
    assert by_source.max() == 2 and len(set(by_source[:50])) == 1


def test_exact_copies_share_a_fold():
    ids, texts, levels, _ = labelled_rows(60)
    data = make_training_set(ids, [*texts[:59], texts[0]], {"d": levels})
    assert data.groups[59] == data.groups[0] == ids[0]


def test_long_texts_are_cut_to_what_a_judge_sees():
    text = "".join(f"Sentence {i}. " for i in range(2000))
    short = cut(text)
    assert len(short) <= WINDOW_CHARS + 4 and short.startswith(text[:700]) and text.endswith(short[-700:])
    assert cut(text[:WHOLE_CHARS]) == text[:WHOLE_CHARS] and cut(short) == short


def test_the_training_set_in_the_repository_names_a_free_licence_for_every_text():
    import pyarrow.parquet as pq

    texts = pq.read_table(EXAMPLES / "documents.parquet")
    labels = pq.read_table(EXAMPLES / "labels.parquet")
    assert set(labels["doc_id"].to_pylist()) == set(texts["id"].to_pylist())
    assert not any(name.startswith("web") for name in texts["id"].to_pylist())
    assert all(licence and "NC" not in licence and "ND" not in licence for licence in texts["license"].to_pylist())
    assert max(map(len, texts["text"].to_pylist())) <= WHOLE_CHARS
    assert (EXAMPLES / "documents.parquet").stat().st_size + (EXAMPLES / "labels.parquet").stat().st_size < 2e6


@pytest.mark.slow
@pytest.mark.parametrize("threads", ["1", "4"])
def test_one_command_retrains_the_default_to_the_same_bytes(tmp_path, threads):
    """Also without the kernels' cache, and on a processor that numba takes for a plain one."""
    code = (
        "from pathlib import Path; from quality.student.action import train; e = Path('examples/quality'); "
        f"train([e / 'labels.parquet'], [e / 'documents.parquet'], Path({str(tmp_path / 'again')!r}), "
        "calibrate='sources')"
    )
    plain = {"NUMBA_CPU_NAME": "generic", "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512_SKX"}
    environment = os.environ | {"OMP_NUM_THREADS": threads, "NUMBA_NUM_THREADS": threads}
    environment |= {"NUMBA_CACHE_DIR": str(tmp_path / "cache")} | (plain if threads == "4" else {})
    subprocess.run([sys.executable, "-c", code], check=True, cwd=EXAMPLES.parents[1], env=environment)
    for name in (MODEL, CARD):
        assert (tmp_path / "again" / name).read_bytes() == (DEFAULT / name).read_bytes(), name
