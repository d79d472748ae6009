"""Promises: every token of every document stands in the rows exactly once, and what does not is told by reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from curation.pipeline.errors import ConservationError, UsageError
from packing.layout.files import FIRST, LAST, TRUNCATED
from packing.verify.directory import verify
from packing.write import shard
from packing.write.ledger import Expected, Found, settle, telescoped
from packing.write.pack import pack_units
from packing.write.unit import open_unit
from tests.packing.write.corpora import BOS, EOS, IDS, RULES, WITH_BOS, Documents, corpus, encoded, keys, pack, units


@pytest.mark.parametrize("bos", ["none", "doc", "fragment"])
@pytest.mark.parametrize("long", ["split", "split_balanced"])
@pytest.mark.parametrize("method", ["windowed", "bfd"])
def test_every_document_comes_back_whole(tmp_path: Path, bos: str, long: str, method: str) -> None:
    documents = {**corpus(), "web/huge": list(range(3, 900)), "web/just": [7] * 63, "web/over": [7] * 64}
    rules = replace(RULES, bos=bos, long=long, method=method)
    made = pack(documents, tmp_path, rules, ids=IDS if bos == "none" else WITH_BOS)
    assert made.documents() == {(key, 1): ids for key, ids in keys(documents).items()}
    fragments = made.fragments()
    assert all(bool(one["flags"] & FIRST) == (one["doc_offset"] == 0) for one in fragments)
    assert all(bool(one["flags"] & LAST) == (one["tokens"][-1] == EOS) for one in fragments)
    begins = [one["tokens"][0] == BOS for one in fragments]
    assert begins == [bos == "fragment" or (bos == "doc" and one["doc_offset"] == 0) for one in fragments]
    assert verify(made.path).faults == []


@pytest.mark.parametrize("bos", ["none", "doc", "fragment"])
def test_a_document_longer_than_a_row_is_truncated_or_dropped_where_that_is_asked(tmp_path: Path, bos: str) -> None:
    documents = {"web/fits": [5] * (63 - (bos != "none")), "web/not": [6] * (64 - (bos != "none")), "web/x": [8]}
    ids = IDS if bos == "none" else WITH_BOS
    cut = pack(documents, tmp_path / "cut", replace(RULES, long="truncate", bos=bos), ids=ids)
    flags = {one["tokens"][-2]: one["flags"] for one in cut.fragments() if one["len"] > 3}
    assert flags == {5: FIRST | LAST, 6: FIRST | TRUNCATED}
    assert cut.manifest.ledger["tokens"]["truncated"] == 1 and cut.manifest.ledger["occurrences"]["cut"] == 1
    left = pack(documents, tmp_path / "left", replace(RULES, long="drop", bos=bos), ids=ids)
    assert set(left.documents()) == {(key, 1) for key in keys({k: v for k, v in documents.items() if k != "web/not"})}
    dropped = pq.read_table(left.path / "dropped.parquet").to_pylist()
    assert [(one["id"], one["reason"]) for one in dropped] == [("web/not", "longer than a sequence")]
    for made in (cut, left):
        assert verify(made.path).faults == []


def test_the_ledger_closes(tmp_path: Path) -> None:
    documents = {**corpus(), "web/empty": [], "code/empty": []}
    made = pack(documents, tmp_path, replace(RULES, long="drop"))
    ledger = made.manifest.ledger
    assert ledger["documents"]["in"] == len(documents)
    assert ledger["documents"]["dropped"]["empty"] == 2
    assert ledger["documents"]["packed"] + sum(ledger["documents"]["dropped"].values()) == len(documents)
    tokens = ledger["tokens"]
    assert tokens["in"] == sum(len(ids) + 1 for ids in documents.values() if ids)
    assert tokens["in"] == tokens["packed"] + tokens["truncated"] + tokens["dropped"]
    assert tokens["packed"] + tokens["bos"] + tokens["padding"] == sum(map(len, made.rows()))
    assert ledger["occurrences"]["longer_than_row"] == sum(len(ids) + 1 > 64 for ids in documents.values())


def test_bytes_of_fragments_are_those_of_their_ids(tmp_path: Path) -> None:
    made = pack(corpus(60), tmp_path, replace(RULES, bos="doc"), ids=WITH_BOS)
    for one in made.fragments():
        assert one["n_bytes"] == 3 * sum(token > 2 for token in one["tokens"])


def test_no_documents_make_a_whole_directory_without_rows(tmp_path: Path) -> None:
    made = pack({}, tmp_path)
    assert made.rows() == [] and made.manifest.ledger["documents"]["in"] == 0
    only_empty = pack({"web/a": [], "web/b": []}, tmp_path / "more")
    assert only_empty.rows() == [] and only_empty.manifest.ledger["documents"]["dropped"] == {"empty": 2}


@pytest.mark.parametrize(
    ("ids", "told"),
    [([5, EOS, 6], "'web/bad': token 1 is the end"), ([0], "padding"), ([5, 999, 1_000], "'web/bad': token 2 is 1000")],
)
def test_ids_that_no_document_may_hold_are_refused_with_its_name(tmp_path: Path, ids: list[int], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        units({"web/good": [5, 6], "web/bad": ids}, tmp_path)


def test_two_documents_of_one_key_are_refused(tmp_path: Path) -> None:
    one = encoded({"web/a": [4, 5]})
    for number in (0, 1):
        units({"web/a": [4, 5]}, tmp_path / str(number))
    assert len(one.ids) == 2
    paths = [tmp_path / "0" / "0" / "00000", tmp_path / "1" / "0" / "00000"]
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="'web/a' and 'web/a'"):
        pack_units(paths, tmp_path / "out", tmp_path / "plans", RULES, IDS)


@pytest.mark.parametrize("file", ["tokens.bin", "occurrences.bin", "docs.parquet"])
def test_a_tampered_unit_fails(tmp_path: Path, file: str) -> None:
    (path,) = units(corpus(50), tmp_path)
    open_unit(path)
    raw = bytearray((path / file).read_bytes())
    raw[len(raw) // 2] ^= 4
    (path / file).write_bytes(raw)
    with pytest.raises(ConservationError, match=file):
        open_unit(path)


def test_ids_of_every_size_survive(tmp_path: Path) -> None:
    wide = replace(IDS, rows=200_064, byte_lengths=np.ones(200_064, np.uint32))
    documents: Documents = {"web/a": [65_535, 65_536, 131_071, 131_072, 200_063], "web/b": [70_000] * 100}
    assert pack(documents, tmp_path, ids=wide).documents() == {(k, 1): ids for k, ids in keys(documents).items()}


class TestTheLedgerSees:
    """A sum of 64 bits: every single mistake below leaves something else than what was asked."""

    @staticmethod
    def total(fragments: list[tuple[int, int, int, int]]) -> int:
        columns = [np.array(column) for column in zip(*fragments, strict=True)]
        return telescoped(columns[0].astype(np.uint64), columns[1].astype(np.uint16), columns[2], columns[3])

    GOOD = [(11, 1, 0, 64), (11, 1, 64, 90), (12, 1, 0, 30), (12, 2, 0, 30)]

    @pytest.mark.parametrize(
        "bad",
        [
            GOOD[1:],
            [*GOOD, GOOD[2]],
            [(11, 1, 0, 63), *GOOD[1:]],
            [(11, 1, 0, 64), (11, 1, 65, 90), *GOOD[2:]],
            [*GOOD[:2], (12, 1, 0, 30), (12, 1, 0, 30)],
            [(12, 1, 0, 64), *GOOD[1:]],
        ],
    )
    def test_a_missing_doubled_shifted_or_misplaced_part(self, bad: list[tuple[int, int, int, int]]) -> None:
        due = self.total([(11, 1, 0, 90), (12, 1, 0, 30), (12, 2, 0, 30)])
        assert self.total(self.GOOD) == self.total(self.GOOD[::-1]) == due
        assert self.total(bad) != due

    def test_a_lost_fragment_stops_the_writer(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fromfile = np.fromfile
        monkeypatch.setattr(shard.np, "fromfile", lambda *a: fromfile(*a)[:-1])
        with pytest.raises(ConservationError, match="in the rows"):
            pack(corpus(), tmp_path)
        assert not (tmp_path / "shards" / "manifest.json").exists()

    def test_settle_needs_every_figure(self) -> None:
        settle(Expected(2, 10, sum=5), Found(tokens=10, occurrences=2, sum=5))
        for wrong in (Found(tokens=9, occurrences=2, sum=5), Found(tokens=10, occurrences=2, sum=6)):
            with pytest.raises(ConservationError):
                settle(Expected(2, 10, sum=5), wrong)
