"""Counting: the table is the plain sum over documents, whatever the split; a file says how it was counted."""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.pipeline.errors import CurateError, UsageError
from tokenizer.counting import table as count_table
from tokenizer.counting import word_table
from tokenizer.counting.count import (
    count_sides,
    count_to_file,
    count_words,
    counts_info,
    merge_counts,
    read_counts,
    word_counts,
    write_counts,
)
from tokenizer.counting.splits import divide, only
from tokenizer.counting.table import METADATA, with_info
from tokenizer.splitting.patterns import PATTERNS, Pattern
from tokenizer.splitting.pretokenize import word_ends_reference

O200K = PATTERNS["o200k"]
Row = tuple[str | None, str | None, str | None]


def batch(rows: list[Row]) -> pa.RecordBatch:
    text, language, domain = zip(*rows, strict=True) if rows else ((), (), ())
    columns = [pa.array(text, pa.large_string()), pa.array(language, pa.string()), pa.array(domain, pa.string())]
    return pa.RecordBatch.from_arrays(columns, ["text", "language", "domain"])


def count_words_reference(
    rows: list[Row], pattern: Pattern, clip: int | None
) -> list[tuple[bytes, str, str, int, int]]:
    """What `count_words` counts, in plain Python, with Hugging Face's `Split` for the words."""
    n, documents = Counter[tuple[bytes, str, str]](), Counter[tuple[bytes, str, str]]()
    for text, language, domain in rows:
        for word, times in Counter(word_ends_reference(text or "", pattern)).items():
            key = word, language or "und", domain or "unknown"
            n[key] += times if clip is None else min(times, clip)
            documents[key] += 1
    order = sorted(n, key=lambda key: (key[0], key[1].encode(), key[2].encode()))
    return [(*key, n[key], documents[key]) for key in order]


def rows_of(table: pa.Table) -> list[tuple[bytes, str, str, int, int]]:
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def corpus(documents: int, seed: int = 1) -> list[Row]:
    """Documents with many repeated and some unique words, in three languages."""
    chance = random.Random(seed)
    letters = {"en": "abcdefgh", "th": "กขคงจ", "zh": "中国人民大学"}
    rows: list[Row] = []
    for _ in range(documents):
        language = chance.choice(list(letters))
        words = (
            "".join(chance.choices(letters[language], k=chance.randrange(1, 5))) for _ in range(chance.randrange(60))
        )
        rows.append((" ".join(words), language, chance.choice(["web", "books"])))
    return rows


ROWS = st.lists(
    st.tuples(
        st.none()
        | st.lists(st.sampled_from(["a", " a", " B", "中", "\n", " 1", "é", "longer word ", "\0", ""])).map("".join),
        st.sampled_from(["en", "zh", None, "ą"]),
        st.sampled_from(["web", "code", None]),
    ),
    max_size=12,
)


@given(rows=ROWS, clip=st.sampled_from([1, 2, 10, None]))
@settings(max_examples=150)
def test_counts_are_those_of_plain_python(rows: list[Row], clip: int | None) -> None:
    table = count_words([batch(rows)], O200K, clip=clip)
    assert rows_of(table) == count_words_reference(rows, O200K, clip)
    info = counts_info(table)
    assert info.documents == sum(text is not None for text, _, _ in rows)
    assert info.bytes == sum(len((text or "").encode()) for text, _, _ in rows)


def test_counts_stay_right_while_the_table_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in the middle of a document, whose clip must survive it; with tiny first sizes every step grows."""
    monkeypatch.setattr(word_table, "FIRST_ENTRIES", 2)
    monkeypatch.setattr(word_table, "FIRST_ARENA", 9)
    rows: list[Row] = [*corpus(300), ("x y " * 50 + "unique " * 30 + "中" * 3_000, "en", "web")]
    assert rows_of(count_words([batch(rows)], O200K)) == count_words_reference(rows, O200K, 10)


def test_a_word_repeated_in_one_document_counts_ten_times() -> None:
    """Spam in one page, or a user's name, cannot become a token; in a thousand documents it counts."""
    table = count_words([batch([(" spam" * 100_000, "en", "web"), ("spam spam", "en", "web")])], O200K)
    assert rows_of(table) == [(b" spam", "en", "web", 11, 2), (b"spam", "en", "web", 1, 1)]


def test_documents_of_every_kind() -> None:
    huge = "word " * 400_000
    rows: list[Row] = [
        ("", "en", "a"),
        (None, "en", "a"),
        ("7" * 1_000, "en", "a"),
        ("ก" * 100_000, "th", "a"),
        (huge, "en", "a"),
    ]
    table = count_words([batch(rows)], O200K, clip=None)
    assert rows_of(table) == count_words_reference(rows, O200K, None)


def test_columns_may_be_string_or_dictionary_and_must_be_there() -> None:
    rows = corpus(20)
    columns = batch(rows).columns
    other = pa.RecordBatch.from_arrays(
        [columns[0].cast(pa.string()), columns[1].dictionary_encode(), columns[2]], ["text", "language", "domain"]
    )
    assert count_words([other], O200K).equals(count_words([batch(rows)], O200K))
    with pytest.raises(UsageError, match="no column 'domain'"):
        count_words([other.select(["text", "language"])], O200K)
    with pytest.raises(UsageError, match="clip"):
        count_words([], O200K, clip=0)


def test_the_file_is_the_same_for_any_split_order_memory_and_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(count_table, "ROW_GROUP_ROWS", 1_000)  # several row groups
    rows = corpus(2_000)
    count_to_file([batch(rows)], tmp_path / "whole", O200K)
    whole = (tmp_path / "whole").read_bytes()
    assert pq.ParquetFile(tmp_path / "whole").num_row_groups > 1

    small = [batch(rows[k : k + 70]) for k in range(0, len(rows), 70)]
    count_to_file(small, tmp_path / "spilled", O200K, memory=1)  # a part for every batch but the last
    assert (tmp_path / "spilled").read_bytes() == whole

    shuffled = random.Random(3).sample(rows, len(rows))
    shards = [(shuffled[k::5], tmp_path / f"shard{k}") for k in range(5)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda shard: count_to_file([batch(shard[0])], shard[1], O200K), shards))
    for name, order in ("merged", shards), ("reversed", shards[::-1]):
        assert merge_counts([path for _, path in order], tmp_path / name) == counts_info(tmp_path / "whole")
        assert (tmp_path / name).read_bytes() == whole
    merge_counts([tmp_path / "merged"], tmp_path / "merged")  # onto itself
    assert (tmp_path / "merged").read_bytes() == whole
    assert {path.name for path in tmp_path.iterdir()} == {
        "whole", "spilled", "merged", "reversed", *(f"shard{k}" for k in range(5)),
    }  # no temporary file is left  # fmt: skip


@pytest.mark.parametrize("memory", [1, 8 << 20, 1 << 30])
def test_both_sides_of_the_split_are_counted_in_one_pass_as_each_alone(tmp_path: Path, memory: int) -> None:
    rows = corpus(600)
    named = [batch(rows[k : k + 70]) for k in range(0, len(rows), 70)]
    named = [one.append_column("id", pa.array([f"{k}-{i}" for i in range(len(one))])) for k, one in enumerate(named)]
    shares = {"holdout": 0.1, "dev": 0.2}
    tables = {side: tmp_path / f"{side}.parquet" for side in ("train", "dev")}
    found = count_sides(divide(named, ("train", "dev"), 5, **shares), tables, O200K, memory=memory)
    for side, table in tables.items():
        assert count_to_file(only(named, side, 5, **shares), tmp_path / "alone", O200K) == found[side]
        assert table.read_bytes() == (tmp_path / "alone").read_bytes() and found[side].documents > 50
    assert {path.name for path in tmp_path.iterdir()} == {"train.parquet", "dev.parquet", "alone"}


def test_a_failed_count_leaves_nothing_behind(tmp_path: Path) -> None:
    def broken():  # type: ignore[no-untyped-def]
        yield batch(corpus(50))
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        count_to_file(broken(), tmp_path / "counts", O200K, memory=1)
    assert not list(tmp_path.iterdir())


def test_words_of_megabytes_get_row_groups_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count_table, "ROW_GROUP_BYTES", 1 << 20)
    rows: list[Row] = [(letter * 1_000_000 + " b c", "en", "web") for letter in "xyzuv"]
    table = count_words([batch(rows)], O200K)
    write_counts(table, tmp_path / "long")
    assert pq.ParquetFile(tmp_path / "long").num_row_groups == 3
    assert read_counts(tmp_path / "long").equals(table)
    merge_counts([tmp_path / "long", tmp_path / "long"], tmp_path / "twice")
    assert sum(read_counts(tmp_path / "twice")["n"].to_pylist()) == 2 * sum(table["n"].to_pylist())


def test_counts_beyond_32_bits_are_added(tmp_path: Path) -> None:
    table = count_words([batch([("a b", "en", "web")])], O200K)
    big = table.set_column(3, table.schema.field("n"), pa.array([3_000_000_000, 1 << 60], pa.int64()))
    write_counts(big, tmp_path / "big")
    merge_counts([tmp_path / "big", tmp_path / "big"], tmp_path / "sum")
    assert word_counts(tmp_path / "sum").counts.tolist() == [6_000_000_000, 2 << 60]


@pytest.mark.parametrize(
    ("pattern", "clip"), [(PATTERNS["llama3"], 10), (O200K, None), (O200K, 9)], ids=["pattern", "unclipped", "clip"]
)
def test_tables_counted_differently_are_not_mixed(tmp_path: Path, pattern: Pattern, clip: int | None) -> None:
    rows = corpus(10)
    write_counts(count_words([batch(rows)], O200K), tmp_path / "one")
    write_counts(count_words([batch(rows)], pattern, clip=clip), tmp_path / "other")
    with pytest.raises(UsageError, match="other was counted differently"):
        merge_counts([tmp_path / "one", tmp_path / "other"], tmp_path / "sum")
    assert not (tmp_path / "sum").exists()
    with pytest.raises(UsageError, match="other was counted with"):
        read_counts(tmp_path / "other", pattern=O200K, clip=10)


def test_a_table_of_another_unicode_version_is_refused(tmp_path: Path) -> None:
    table = count_words([batch(corpus(10))], O200K)
    fields = orjson.loads(table.schema.metadata[METADATA])
    assert (fields["pattern"]["name"], fields["clip"], fields["documents"]) == ("o200k", 10, 10)
    old = table.replace_schema_metadata({METADATA: orjson.dumps({**fields, "unicode": "15.0/tokenizers-0.15"})})
    pq.write_table(old, tmp_path / "old")
    for read in (read_counts, counts_info, word_counts):
        with pytest.raises(UsageError, match=r"old was counted with Unicode table 15\.0"):
            read(tmp_path / "old")


def test_damaged_files_are_refused_with_their_name_and_a_remedy(tmp_path: Path) -> None:
    write_counts(count_words([batch(corpus(500))], O200K), tmp_path / "good")
    data = bytearray((tmp_path / "good").read_bytes())
    (tmp_path / "cut").write_bytes(data[:-100])
    (tmp_path / "empty").write_bytes(b"")
    data[len(data) // 3] ^= 1
    (tmp_path / "flipped").write_bytes(data)
    pq.write_table(pa.table({"word": [b"a"]}), tmp_path / "foreign")
    for name, message in (
        ("cut", "damaged or cut short"),
        ("empty", "damaged or cut short"),
        ("flipped", "damaged or cut short"),
        ("foreign", "not a table of word counts"),
        ("missing", "no such file"),
    ):
        with pytest.raises(CurateError, match=f"{name}.*{message}(.|\n)*→"):
            read_counts(tmp_path / name)
        with pytest.raises(CurateError, match=f"{name}.*{message}(.|\n)*→"):
            merge_counts([tmp_path / "good", tmp_path / name], tmp_path / "sum")
    assert not (tmp_path / "sum").exists()


def test_a_merge_needs_a_table(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no count tables"):
        merge_counts([], tmp_path / "sum")


def test_an_empty_corpus_is_an_empty_table(tmp_path: Path) -> None:
    info = count_to_file([], tmp_path / "new" / "empty", O200K)
    assert (info.bytes, info.documents) == (0, 0)
    empty = tmp_path / "new" / "empty"
    assert read_counts(empty).num_rows == 0
    assert len(word_counts(empty)) == 0
    merge_counts([empty, empty], tmp_path / "newer" / "sum")
    assert read_counts(tmp_path / "newer" / "sum").num_rows == 0


def test_the_table_keeps_nothing_of_unsorted_input() -> None:
    """`with_info` says what a table is; `count_words` alone makes sorted ones."""
    table = count_words([batch(corpus(200))], O200K)
    words = table["word"].to_pylist()
    assert words == sorted(words)
    assert with_info(table, counts_info(table)).schema.metadata == table.schema.metadata
    assert np.asarray(table["documents"]).min() >= 1
