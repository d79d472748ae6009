"""Promises of substring dedup: exact (against a brute-force search), clean, bounded, the same for any worker count."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.dedup import buckets, repeats
from curation.dedup.buckets import Buckets, by_hash, later_places
from curation.dedup.repeats import Repeats, Rows
from curation.pipeline.config import load
from curation.pipeline.errors import ConfigError, UsageError
from curation.pipeline.run import run
from curation.text.character_classes import CharacterClass, class_table
from curation.text.passages import Windows, anchors, hash_reference, sampled
from tests.curation.dedup.cutting_runs import execute_plan, run_texts, write_config

SHARED = (
    "Everyone has the right to freedom of thought, conscience and religion; this right includes freedom "
    "to change his religion or belief, and freedom to manifest it in teaching, practice, worship and observance."
)
Found = dict[int, list[tuple[int, int]]]


def search(texts: list[str], windows: Windows, salts: list[int] | None = None) -> tuple[Found, Counter[str]]:
    """The barrier's search over texts in memory."""

    def rows(with_text: bool) -> Iterator[Rows]:
        for i, text in enumerate(texts):
            column = pa.array([text], pa.large_string())
            found = anchors(column, windows)
            salt = np.uint64(salts[i] if salts else 0)
            yield Rows(np.array([i]), salt, found.values, found.widths, found.ends, column if with_text else None)

    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        found = {
            one.position: [(a, b) for a, b in one.ranges.tolist()]
            for one in Repeats(rows, windows, Path(folder), counts).find()
        }
    return found, counts


def units_of(text: str, words: bool) -> list[tuple[int, int]]:
    """(first byte, byte after) of every byte or word, in plain Python."""
    if not words:
        return [(i, i + 1) for i in range(len(text.encode()))]
    found: list[tuple[int, int]] = []
    at, open_, alone = 0, False, False
    for character in text:
        f, size = int(class_table()[ord(character)]), len(character.encode())
        goes_on = f & CharacterClass.WORD and not f & CharacterClass.UNSPACED and not alone
        if open_ and (goes_on or f & (CharacterClass.MARK | CharacterClass.INVISIBLE)):
            found[-1] = (found[-1][0], at + size)
        elif f & (CharacterClass.WORD | CharacterClass.MARK | CharacterClass.UNSPACED):
            found.append((at, at + size))
            open_, alone = True, bool(f & CharacterClass.UNSPACED)
        else:
            open_ = False
        at += size
    return found


def brute_force(texts: list[str], windows: Windows) -> Found:
    """Every window held against all windows that ended before it began, as bytes."""
    first: dict[bytes, int] = {}
    found: Found = {}
    base = 0
    for number, text in enumerate(texts):
        data = text.encode()
        covered = np.zeros(len(data) + 2, np.int8)
        units = units_of(text, windows.words)
        for (start, _), (_, stop) in zip(units, units[windows.units - 1 :], strict=False):
            before = first.setdefault(data[start:stop], base + start)
            if before + stop - start <= base + start:
                covered[start + 1 : stop + 1] = 1
        edges = np.flatnonzero(np.diff(covered))
        if len(edges):
            found[number] = [(a, b) for a, b in edges.reshape(-1, 2).tolist()]
        base += len(data)
    return found


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["ab", "abcd", "aé中", "ab .", "a\u0301\u200b 中b"]).flatmap(
        lambda letters: st.lists(st.text(letters, max_size=40), min_size=1, max_size=6)
    ),
    st.integers(2, 9),
    st.booleans(),
)
def test_exactly_what_a_brute_force_search_finds(texts: list[str], units: int, words: bool) -> None:
    windows = sampled(units, words=words)
    found, counts = search(texts, windows)
    assert found == brute_force(texts, windows)
    assert counts["collisions"] == 0


@settings(max_examples=200, deadline=None)
@given(st.text("ab", max_size=60), st.integers(2, 9))
def test_anchors_are_the_least_sample_of_every_window(text: str, units: int) -> None:
    windows = sampled(units, words=False)
    data = text.encode()
    samples = [hash_reference(data[i : i + windows.sample]) for i in range(len(data) - windows.sample + 1)]
    expected: list[list[int]] = []
    last = -1
    for i in range(len(data) - units + 1):
        own = samples[i : i + units - windows.sample + 1]
        if last >= i and samples[last] == min(own):  # stays while it is in the window
            expected[-1][1] += 1
        else:
            expected.append([min(own), 1])
            last = i + len(own) - 1 - own[::-1].index(min(own))
    found = anchors(pa.array([text], pa.large_string()), windows)
    assert [list(pair) for pair in zip(found.values.tolist(), found.widths.tolist(), strict=True)] == expected


def test_anchors_are_pinned() -> None:
    """An on-disk format."""
    text = pa.array(["The quick brown fox jumps over the lazy dog. " * 2], pa.large_string())
    found = anchors(text, sampled(40, words=False))
    assert [hex(value) for value in found.values[:2].tolist()] == ["0xe2fd56e1190f904", "0x1cd2bcc72f27d0d2"]
    assert found.widths.tolist() == [9, 2, 2, 10, 10, 18]
    found = anchors(text, sampled(8, words=True))
    assert [hex(value) for value in found.values[:2].tolist()] == ["0xab3686f0e27d33b", "0x18acb29867013ce1"]
    assert found.widths.tolist() == [2, 4, 5]


def test_equal_hashes_never_cut_what_is_different(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thue-Morse words collide under every polynomial modulo 2^64: they are found, compared and left alone."""
    word = "a"
    while len(word) < 4096:
        word += word.translate(str.maketrans("ab", "ba"))
    other = word.translate(str.maketrans("ab", "ba"))
    assert hash_reference(word.encode()) == hash_reference(other.encode())
    found, counts = search([word, other], sampled(4096, words=False))
    assert found == {} and counts["collisions"] == 1


def test_a_search_in_many_small_parts_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [SHARED[i % 50 :] + str(i) * (i % 7) + SHARED[: 100 + i] for i in range(60)]
    windows = sampled(30, words=False)
    whole, counts = search(texts, windows)
    for module, name, value in (
        (buckets, "FLUSH", 100), (buckets, "BUCKET", 64), (repeats, "CHUNK", 1 << 10), (repeats, "AT_ONCE", 50),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(repeats, "_width", lambda total: 128)
    parts, counts_of_parts = search(texts, windows)
    assert parts == whole == brute_force(texts, windows)
    assert counts == counts_of_parts


def test_more_than_the_limit_is_refused_with_the_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "MOST_PLACES", 100)
    with pytest.raises(UsageError, match="may occur twice"):
        search([SHARED, SHARED], sampled(100, words=False))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 20), max_size=200), st.integers(1, 3))
def test_buckets_give_the_first_place_of_every_key(keys: list[int], bits: int) -> None:
    hashes = np.array(keys, np.uint64) * np.uint64(0x9E37_79B9_7F4A_7C15)
    with tempfile.TemporaryDirectory() as folder:
        some = Buckets(Path(folder) / "pairs", 1 << bits)
        some.append(by_hash(hashes, some.count), hashes, np.arange(len(keys)))
        found = {}
        for bucket in range(some.count):
            for places, firsts in later_places(some, bucket):
                found |= dict(zip(places.tolist(), firsts.tolist(), strict=True))
        some.close()
    assert found == {i: keys.index(key) for i, key in enumerate(keys) if keys.index(key) < i}


def test_buckets_are_even_for_least_hashes_and_every_round_gets_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = np.random.default_rng(1).integers(0, 1 << 58, 1 << 17, np.uint64)  # upper bits are zero
    sizes = np.bincount(by_hash(hashes, 16), minlength=16)
    assert sizes.max() < 1.1 * sizes.mean()
    monkeypatch.setattr(buckets, "BUCKET", 1 << 12)
    shares = []
    firsts = buckets._firsts

    def counted(keys: np.ndarray, *rest: np.ndarray) -> int:
        shares.append((len(keys), len(np.unique(keys & np.uint64(len(rest[1]) - 1)))))
        return int(firsts(keys, *rest))

    monkeypatch.setattr(buckets, "_firsts", counted)
    with tempfile.TemporaryDirectory() as folder:
        some = Buckets(Path(folder) / "pairs", 2)
        some.append(by_hash(hashes, 2), hashes, np.arange(len(hashes)))
        for bucket in range(2):
            assert sum(len(places) for places, _ in later_places(some, bucket)) == 0  # all keys differ
        some.close()
    assert 8 <= len(shares) <= 10
    assert all(keys < 1.1 * (1 << 14) and slots > 0.7 * keys for keys, slots in shares)


def test_one_key_with_most_pairs_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text of one character: reading its bucket once for every so many pairs took quadratic time."""
    monkeypatch.setattr(buckets, "BUCKET", 64)
    hashes = np.append(np.full(20_000, 7, np.uint64), np.arange(100, dtype=np.uint64))
    reads = []
    pairs = Buckets.pairs
    monkeypatch.setattr(Buckets, "pairs", lambda self, bucket: (reads.append(bucket), pairs(self, bucket))[1])
    with tempfile.TemporaryDirectory() as folder:
        some = Buckets(Path(folder) / "pairs", 1)
        some.append(by_hash(hashes, 1), hashes, np.arange(len(hashes)))
        found = {}
        for places, firsts in later_places(some, 0):
            found |= dict(zip(places.tolist(), firsts.tolist(), strict=True))
        some.close()
    assert found == {**dict.fromkeys(range(1, 20_000), 0), 20_007: 0}
    assert len(reads) == 2  # once to count the keys


@pytest.mark.parametrize("unit", ["a", "ab", "the line\n", "中"])
def test_a_text_that_repeats_itself_costs_the_same_for_any_length_of_windows(unit: str) -> None:
    text = unit * (1_000_000 // len(unit.encode()))
    took = []
    for units in (20, 20, 60_000):  # the first compiles
        start = time.process_time()
        found, _ = search([text], sampled(units, words=False))
        took.append(time.process_time() - start)
        size = len(unit.encode())
        assert found == {0: [(-(-units // size) * size, len(text.encode()))]}
    assert took[2] < 5 * took[1] + 1  # comparing every window anew took a minute


def test_every_occurrence_but_the_first_is_cut_at_words(tmp_path: Path) -> None:
    texts = [f"Text {i} begins. {SHARED} And {i}s end it{'.' * i}" for i in range(3)]
    found = run_texts(tmp_path, texts, substring={})
    assert found.kept()[0] == texts[0]
    assert found.kept()[1:] == ["Text 1 1s end it.", "Text 2 2s end it.."]
    assert [e["rule"] for edits in found.edits.values() for e in edits] == ["dedup.substring"] * 2


def test_within_a_document_too(tmp_path: Path) -> None:
    assert run_texts(tmp_path, [f"A {SHARED}\n\nB {SHARED}"], substring={}).kept() == [f"A {SHARED}\n\nB"]


def test_one_byte_less_than_the_length_stays(tmp_path: Path) -> None:
    passage = SHARED[:100]
    texts = [f"1{passage}2", f"3{passage}4", f"5{passage[:99]}6"]
    found = run_texts(tmp_path, texts, substring={})
    assert found.edits.keys() == {"web/1"} and found.kept()[2] == texts[2]


def test_a_length_in_words(tmp_path: Path) -> None:
    words = " ".join(f"w{i}" for i in range(12))
    texts = [f"a {words} b", f"c {words} d", f"e {words.replace('w11', 'x')} f", f"g {words.replace(' ', ', ')} h"]
    found = run_texts(tmp_path, texts, substring={"min_tokens": 12})
    assert found.kept() == [texts[0], "c d", *texts[2:]]


def test_a_scope_of_source_compares_within_sources(tmp_path: Path) -> None:
    sources = {"x": [f"1 {SHARED}"], "y": [f"2 {SHARED}", f"3 {SHARED}"]}
    assert run_texts(tmp_path, sources, substring={"scope": "source"}).edits.keys() == {"y/1"}
    assert run_texts(tmp_path, sources, substring={}).edits.keys() == {"y/0", "y/1"}


@pytest.mark.parametrize("text", ["", "x", "\n", "\r\n", " " * 500, "a" * 1_000_000, "e\u0301" * 500, f"{SHARED}\r\n"])
def test_hostile_texts_that_are_all_equal(tmp_path: Path, text: str) -> None:
    found = run_texts(tmp_path, [text] * 3, substring={})
    if len(text.encode()) < 100 or not text.strip():
        assert found.kept() == [text] * 3
    else:
        assert found.kept()[1:] == [None] * 2
        assert {row["removed_by"] for row in found.removed.values()} == {"dedup.substrings_all_removed"}
        # What repeats within the first document goes too, but for its first 100 bytes, and no part of a character.
        first = (found.kept()[0] or "").encode()
        assert first == (
            text.encode() if text.startswith(SHARED) else text.encode()[: 102 if "\u0301" in text else 100]
        )


def test_a_line_repeated_a_million_times(tmp_path: Path) -> None:
    found = run_texts(tmp_path, ["the line\n" * 1_000_000, "b"], substring={})
    assert found.kept() == ["the line\n" * 12, "b"]  # 108 bytes: the next line is equal to one that ended before


def test_documents_that_an_earlier_step_removed_do_not_count(tmp_path: Path) -> None:
    texts = [f"A {SHARED}", f"A {SHARED}", "B"]
    config = write_config(tmp_path, {"web": texts}, {"exact": {}, "substring": {}})
    folder, _ = execute_plan(config)
    assert pq.read_table(folder / "removed")["removed_by"].to_pylist() == ["dedup.exact"]
    assert pq.read_table(folder / "edits").num_rows == 0


def test_after_line_dedup_the_edits_of_both_are_in_order(tmp_path: Path) -> None:
    header = "The header of every page of this site"
    texts = [f"{header}\nPage {i}: {SHARED}\n{i} ends" for i in range(3)]
    config = write_config(tmp_path, {"web": texts}, {"lines": {}, "substring": {}})
    folder, _ = execute_plan(config)
    kept = {row["id"]: row["text"] for row in pq.read_table(folder / "documents").to_pylist()}
    assert kept["web/1"] == "Page 1\n1 ends"
    rules = [row["rule"] for row in pq.read_table(folder / "edits").to_pylist() if row["id"] == "web/1"]
    assert rules == ["dedup.line", "dedup.substring"]


def test_digests_are_the_same_for_any_worker_count(tmp_path: Path) -> None:
    seen = []
    for workers in (1, 3):
        texts = [f"The header of every page\n{i} {SHARED[i:]} {SHARED[: 2 * i]}" for i in range(60)]
        config = write_config(
            tmp_path, {"web": texts}, {"lines": {"min_count": 2}, "substring": {"min_bytes": 40}}, workers
        )
        summary = run(load(config, [f"workdir={tmp_path / str(workers)}"]), quiet=True)
        seen.append(summary["digest"])
    assert seen[0] == seen[1]


def test_no_scratch_is_left(tmp_path: Path) -> None:
    run_texts(tmp_path, [SHARED, f"x {SHARED}"], substring={})
    assert not [
        path for path in (tmp_path / "runs").rglob("*") if path.name.startswith(".") and "passages" in path.name
    ]


def test_errors_name_the_key(tmp_path: Path) -> None:
    config = write_config(tmp_path, {"web": ["x"]}, {"substring": {}})
    with pytest.raises(ConfigError, match="min_bytes"):
        load(config, ["dedup.substring.min_bytes=5"])
    with pytest.raises(ConfigError, match="either"):
        load(config, ["dedup.substring.min_bytes=50", "dedup.substring.min_tokens=50"])
