"""Promises of verify on directories of the real writer: every policy is without fault, and texts are compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.pipeline.errors import UsageError
from packing.layout import files
from packing.layout.manifest import Manifest
from packing.verify import diff, sample, verify, who
from packing.write.job import write_shards
from packing.write.rules import Rules
from tests.packing.directories import rehash
from tests.tokenizer.vocabularies import LINES, small_vocabulary
from tokenizer.formats.export import export as save_tokenizer

RULES = Rules(64, 17, window=40, min_fragment=4, shard_bytes=9 * 64 * 4)
COUNT = 70


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, str]]:
    """(documents, tokenizer, id → text): texts of 0 to some 300 tokens, one of them null."""
    folder = tmp_path_factory.mktemp("corpus")
    texts = {
        f"{'ab'[i % 2]}/{i}": "".join(LINES[(i * k) % len(LINES)] for k in range(i % 9)) + f"no {i}"
        for i in range(COUNT)
    }
    columns = {
        "id": list(texts), "text": [*list(texts.values())[:-1], None], "source": [name[0] for name in texts]
    }  # fmt: skip
    pq.write_table(pa.table(columns), folder / "documents.parquet")
    save_tokenizer(small_vocabulary(), folder / "tokenizer")
    return folder / "documents.parquet", folder / "tokenizer", {**texts, list(texts)[-1]: ""}


@pytest.fixture(scope="module")
def packed(corpus: tuple[Path, Path, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("packed") / "shards"
    write_shards([corpus[0]], corpus[1], out, replace(RULES, bos="doc"))
    return out


@pytest.mark.parametrize(
    "change",
    [
        {}, {"bos": "doc"}, {"bos": "fragment"}, {"long": "truncate"}, {"long": "drop"}, {"long": "split_balanced"},
        {"method": "bfd"}, {"long": "truncate", "bos": "fragment"}, {"sequence_length": 2048},
    ],
)  # fmt: skip
def test_the_real_writer_makes_no_fault_and_texts_agree(
    change: dict[str, object], corpus: tuple[Path, Path, dict[str, str]], tmp_path: Path
) -> None:
    documents, tokenizer, _ = corpus
    write_shards([documents], tokenizer, tmp_path / "shards", replace(RULES, **change))
    report = verify(tmp_path / "shards", tokenizer=tokenizer, documents=[documents], sample=COUNT)
    assert report.ok, report.faults
    assert report.checked["documents encoded again"] == pq.read_metadata(tmp_path / "shards/docs.parquet").num_rows > 10


def test_an_ordinary_token_in_place_of_another_is_found_by_its_text_only(
    packed: Path, corpus: tuple[Path, Path, dict[str, str]], tmp_path: Path
) -> None:
    import shutil

    documents, tokenizer, _ = corpus
    copy = Path(shutil.copytree(packed, tmp_path / "copy"))
    manifest = Manifest.read(copy)
    path = files.data_path(copy, "s00000")
    tokens = np.fromfile(path, files.TOKEN)
    special = [manifest.eos_id, manifest.pad_id, manifest.bos_id]
    at = int(np.flatnonzero(~np.isin(tokens, special))[5])
    tokens[at] = 300 if tokens[at] != 300 else 301
    tokens.tofile(path)
    rehash(copy)
    assert verify(copy).ok
    faults = verify(copy, tokenizer=tokenizer, documents=[documents], sample=COUNT).faults
    assert len(faults) == 1 and "the packed ids are not those of its text" in faults[0].what


def test_texts_need_the_same_tokenizer_and_all_documents(
    packed: Path, corpus: tuple[Path, Path, dict[str, str]], tmp_path: Path
) -> None:
    documents, tokenizer, _ = corpus
    with pytest.raises(UsageError, match="needs the tokenizer and the documents"):
        verify(packed, sample=3)
    small = small_vocabulary()
    save_tokenizer(replace(small, merges=small.merges[:200]), tmp_path / "other")
    with pytest.raises(UsageError, match="the rows were made with"):
        verify(packed, tokenizer=tmp_path / "other", documents=[documents], sample=3)
    table = pq.read_table(documents)
    pq.write_table(table.slice(1), tmp_path / "less.parquet")
    faults = verify(packed, tokenizer=tokenizer, documents=[tmp_path / "less.parquet"], sample=COUNT).faults
    assert [fault.what for fault in faults] == ["'a/0' is not among the documents given"]


def test_the_sample_is_the_same_for_the_same_seed_and_has_the_size_asked_for(packed: Path) -> None:
    from packing.verify.texts import choose

    assert choose(packed, 1, 9) == choose(packed, 1, 9) != choose(packed, 2, 9)
    assert len(choose(packed, 1, 9)) == 9
    assert set(choose(packed, 1, 9)) < set(choose(packed, 1, 20))


def test_who_leads_every_token_back_to_its_text(packed: Path, corpus: tuple[Path, Path, dict[str, str]]) -> None:
    """Begin ids are of no document's text; every other token is the document's at the offset that `who` says."""
    from packing.loader import PackedDataset
    from tokenizer.encoding.encode import encode_reference

    _, tokenizer, texts = corpus
    manifest, dataset = Manifest.read(packed), PackedDataset(packed)
    ids = dict(zip(texts, encode_reference(tokenizer, list(texts.values())), strict=True))
    for number in range(0, len(dataset), 23):
        row = dataset[number]
        for token in range(0, int(row.lengths.sum()), 9):
            place = {"step": number // 4, "row": number % 4, "global_batch": 4}
            if row.tokens[token] == manifest.bos_id:
                with pytest.raises(UsageError, match="is the BOS of document"):
                    who(packed, token, **place)
                continue
            found = who(packed, token, **place)
            assert (found["sequence"], found["source"]) == (number, found["id"][0])
            assert [*ids[found["id"]], manifest.eos_id][found["offset"]] == row.tokens[token]


def test_who_refuses_what_is_not_there(packed: Path) -> None:
    with pytest.raises(UsageError, match="which sequence"):
        who(packed, 3)
    with pytest.raises(UsageError, match="which sequence"):
        who(packed, 3, step=1)
    with pytest.raises(UsageError, match="a step has the rows 0 to 3"):
        who(packed, 3, step=1, row=4, global_batch=4)
    with pytest.raises(UsageError, match="of a stage of"):
        who(packed, 3, sequence=10**6)
    with pytest.raises(UsageError):
        who(packed, 64, sequence=0)


def test_samples_are_the_texts_as_packed(packed: Path, corpus: tuple[Path, Path, dict[str, str]]) -> None:
    _, tokenizer, texts = corpus
    shown = list(sample(packed, tokenizer, count=50, seed=1))
    assert shown == list(sample(packed, tokenizer, count=50, seed=1))
    whole = [one for one in shown if texts[one["id"]] and one["text"] == texts[one["id"]]]
    assert whole and len(shown) > 50
    for one in shown:
        assert one["text"].strip("�") in texts[one["id"]]
    with pytest.raises(UsageError, match="has the stages 0 to 0, not 4"):
        list(sample(packed, tokenizer, stage=4))


def test_diff_says_what_differs_in_words(
    packed: Path, corpus: tuple[Path, Path, dict[str, str]], tmp_path: Path
) -> None:
    documents, tokenizer, _ = corpus
    assert diff(packed, packed) == []
    write_shards([documents], tokenizer, tmp_path / "again", replace(RULES, bos="doc"))
    assert diff(packed, tmp_path / "again") == []
    pq.write_table(pq.read_table(documents).slice(1), tmp_path / "less.parquet")
    write_shards([tmp_path / "less.parquet"], tokenizer, tmp_path / "less", replace(RULES, seed=18, long="truncate"))
    words = "\n".join(diff(packed, tmp_path / "less"))
    for expected in (
        "seed: 17 and 18", "policy long: split and truncate", "policy bos: doc and none", "bos_id",
        "documents: 1 only in the first, for example 'a/0'", "queue 'a': ", "stage 0: ", "other tokens",
    ):  # fmt: skip
        assert expected in words, words
