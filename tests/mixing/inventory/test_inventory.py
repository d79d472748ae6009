"""The cells of a run: counted exactly, whatever the order of rows and the cut into shards."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from curation.pipeline.errors import UsageError
from mixing.inventory.assign import NOWHERE, cell_numbers
from mixing.inventory.cells import Cells, cells_from_json
from mixing.inventory.columns import Split
from mixing.inventory.inventory import read_inventory
from mixing.inventory.natural import natural_weights
from tests.mixing.inventory.documents import table, write

EVERY = Split(("source", "category", "bucket", "language", "length"))


def same(one: Cells, other: Cells) -> bool:
    return one.to_json() == other.to_json()


def by_hand(documents: pa.Table, duplicates: str = "none") -> dict[tuple, list[float]]:
    """key → [tokens, documents, Σ score·tokens, longest, natural], a document at a time."""
    found: dict[tuple, list[float]] = defaultdict(lambda: [0, 0, 0.0, 0, 0.0])
    for row in documents.to_pylist():
        plain = row["token_count"]
        if row["split"] == "holdout" or not plain:
            continue
        length = "short" if plain < 32_768 else "medium" if plain < 131_072 else "long"
        bucket = -1 if row["bucket"] is None else row["bucket"]
        cell = found[row["source"], row["category"] or "untagged", bucket, row["language"] or "unknown", length]
        weight = float(natural_weights(np.array([row["duplicate_count"]]), duplicates)[0])
        cell[0] += plain + 1
        cell[1] += 1
        cell[2] += (row["mix_score"] or 0.0) * (plain + 1)
        cell[3] = max(cell[3], plain + 1)
        cell[4] += weight * (plain + 1)
    return dict(found)


@pytest.mark.parametrize("duplicates", ["none", "log2", "fineweb2"])
def test_cells_are_what_counting_by_hand_gives(tmp_path: Path, duplicates: str) -> None:
    documents = table()
    cells = read_inventory(write(documents, tmp_path), EVERY, duplicates=duplicates).cells
    expected = by_hand(documents, duplicates)
    assert cells.keys == sorted(expected)
    for i, key in enumerate(cells.keys):
        tokens, count, score, longest, natural = expected[key]
        assert (cells.tokens[i], cells.documents[i], cells.longest[i]) == (tokens, count, longest)
        assert cells.score[i] == pytest.approx(score / tokens, abs=2e-6)
        assert cells.natural[i] == pytest.approx(natural, rel=1e-6)


def test_order_of_rows_and_cut_into_shards_change_no_bit(tmp_path: Path) -> None:
    documents = table()
    one = read_inventory(write(documents, tmp_path / "a"), EVERY, duplicates="log2")
    mixed = documents.take(np.random.default_rng(0).permutation(len(documents)))
    many = read_inventory(write(mixed, tmp_path / "b", shards=7), EVERY, duplicates="log2", memory="64MB")
    assert same(one.cells, many.cells) and one.to_json() == many.to_json()


def test_holdout_untagged_and_empty_documents_are_counted_apart(tmp_path: Path) -> None:
    documents = table()
    found = read_inventory(write(documents, tmp_path))
    sizes = documents["token_count"].to_numpy() + 1
    held = pc.equal(documents["split"], "holdout").to_numpy()
    empty = (sizes == 1) & ~held
    bare = pc.is_null(documents["category"]).to_numpy() & ~held & ~empty
    assert found.holdout == (held.sum(), sizes[held].sum())
    assert found.untagged == (bare.sum(), sizes[bare].sum())
    assert found.empty == empty.sum() > 0
    assert found.cells.tokens.sum() == sizes[~held & ~empty].sum()
    assert found.cells.documents.sum() + found.empty + found.holdout[0] == len(documents)  # none is lost


def test_a_run_without_tags_is_one_untagged_category(tmp_path: Path) -> None:
    paths = write(table().select(["id", "doc_key", "source", "token_count"]), tmp_path)
    found = read_inventory(paths)
    assert found.cells.keys == [("books", "untagged", -1, "*", "*"), ("web", "untagged", -1, "*", "*")]
    assert not found.cells.score.any() and found.untagged[0] == 3_000 - found.empty
    with pytest.raises(UsageError, match="documents have no quality tags"):
        read_inventory(paths, untagged="error")


def test_every_document_is_put_into_the_cell_that_counts_it(tmp_path: Path) -> None:
    documents = table()
    for split in (EVERY, Split(), Split(("category",)), Split(("length", "source"))):
        found = read_inventory(write(documents, tmp_path), split)
        numbers = cell_numbers(documents, found)
        held = pc.equal(documents["split"], "holdout").to_numpy() | (documents["token_count"].to_numpy() == 0)
        assert (numbers[held] == NOWHERE).all() and (numbers[~held] >= 0).all()
        sizes = documents["token_count"].to_numpy() + 1
        counted = np.bincount(numbers[~held], weights=sizes[~held], minlength=len(found.cells))
        np.testing.assert_array_equal(counted, found.cells.tokens)
        batch = documents.to_batches()[0]
        np.testing.assert_array_equal(cell_numbers(batch, found), numbers[: batch.num_rows])


def test_documents_of_another_run_have_no_cell(tmp_path: Path) -> None:
    documents = table()
    found = read_inventory(write(documents.filter(pc.equal(documents["source"].cast(pa.string()), "web")), tmp_path))
    with pytest.raises(UsageError, match="belong to no cell"):
        cell_numbers(documents, found)


def with_value(name: str, row: int, value: object) -> pa.Table:
    documents = table(50)
    values = documents[name].to_pylist()
    values[row] = value
    kind = pa.string() if pa.types.is_dictionary(documents[name].type) else documents[name].type
    return documents.set_column(documents.schema.names.index(name), name, pa.array(values, kind))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("mix_score", math.nan, "mix_score that is not a finite number"),
        ("mix_score", math.inf, "mix_score that is not a finite number"),
        ("token_count", None, "without a token_count"),
        ("token_count", -3, "negative token_count"),
        ("bucket", 5, "bucket outside 0 to 4"),
        ("duplicate_count", 0, "duplicate_count below 1"),
        ("split", "test", "neither train nor holdout"),
        ("source", None, "without a source"),
    ],
)
def test_a_bad_value_is_refused_with_the_document_s_name(tmp_path: Path, name: str, value: object, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_inventory(write(with_value(name, 7, value), tmp_path))
    assert said in str(caught.value) and "'web/x#7'" in str(caught.value) and "1 documents" in str(caught.value)


def test_missing_columns_and_files_are_told(tmp_path: Path) -> None:
    documents = table(20)
    with pytest.raises(UsageError, match="tokenizer"):
        read_inventory(write(documents.drop_columns(["token_count"]), tmp_path))
    with pytest.raises(UsageError, match="duplicate_count"):
        read_inventory(write(documents.drop_columns(["duplicate_count"]), tmp_path), duplicates="log2")
    with pytest.raises(UsageError, match="not one shard"):
        read_inventory([])
    with pytest.raises(UsageError, match="did you mean 'bucket'"):
        Split(("source", "buckets"))


def test_a_shard_without_documents_and_a_run_without_any_are_empty_not_wrong(tmp_path: Path) -> None:
    documents = table(40)
    whole = read_inventory(write(documents, tmp_path / "a"))
    with_empty = [*write(documents, tmp_path / "a"), *write(documents.slice(0, 0), tmp_path / "b")]
    assert same(read_inventory(with_empty).cells, whole.cells)
    assert len(read_inventory(write(documents.slice(0, 0), tmp_path / "c")).cells) == 0


def test_cells_come_back_from_json(tmp_path: Path) -> None:
    cells = read_inventory(write(table(), tmp_path), EVERY, duplicates="log2").cells
    assert same(cells_from_json(cells.to_json()), cells)


def test_natural_weights_are_the_published_table() -> None:
    counts = np.array([0, 1, 2, 3, 4, 5, 99, 100, 999, 1_000, 10**9])
    assert natural_weights(counts, "fineweb2").tolist() == [1, 1, 2, 3, 3, 5, 5, 8, 8, 1, 1]
    assert natural_weights(counts, "none").tolist() == [1] * 11
    np.testing.assert_allclose(natural_weights(np.array([1, 2, 8, 1_000]), "log2"), [1, 2, 4, 1])


def test_cells_refuse_what_they_cannot_be() -> None:
    def cells(**changed: object) -> Cells:
        values: dict[str, object] = {
            "source": ("a", "b"), "category": ("x", "x"), "bucket": np.array([0, 0], np.int8),
            "tokens": np.array([1, 1]), "documents": np.array([1, 1]), "longest": np.array([1, 1]),
            "score": np.zeros(2),
        }  # fmt: skip
        return Cells(**(values | changed))  # type: ignore[arg-type]

    assert len(cells()) == 2 and cells().name(0) == "a/x/0"
    for changed, said in (
        ({"source": ("b", "a")}, "ascending"),
        ({"source": ("a", "a")}, "ascending"),
        ({"score": np.array([0, np.nan])}, "cell b/x/0: its score is not a finite number"),
        ({"tokens": np.array([1, -1])}, "negative"),
        ({"documents": np.array([1, 0])}, "no document"),
        ({"tokens": np.array([1])}, "1 values of 'tokens' for 2 cells"),
    ):
        with pytest.raises(UsageError, match=said):
            cells(**changed)
