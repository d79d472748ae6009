"""What the evaluation promises: right figures on toy vocabularies, honest intervals, the same bytes every time."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import hash64
from tests.tokenizer.evaluation_examples import cutter, documents, vocabulary
from tokenizer.counting.splits import only, split_of
from tokenizer.documents import read_documents
from tokenizer.evaluation.bootstrap import MAX_UNITS, Units, interval, resampled_sums
from tokenizer.evaluation.evaluate import compare, evaluate, with_reference_counts
from tokenizer.evaluation.metrics import embedding_share, gini, renyi_efficiency, shannon_efficiency
from tokenizer.evaluation.probes import digit_tokens
from tokenizer.evaluation.subjects import subject_of_tokenizers, subject_of_vocabulary
from tokenizer.evaluation.word_pieces import FIELDS, token_bytes, word_pieces, word_pieces_reference
from tokenizer.evaluation.yardsticks import installed

FAST = {"replicates": 50}
TEXTS = [f"the cat {i} sat on {'mat ' * (i % 7)}" for i in range(30)]


def one_document(text: str | None, pieces: list[bytes]) -> dict[str, int]:
    ids = np.arange(len(pieces), dtype=np.uint32)
    row = word_pieces(pa.array([text], pa.large_string()), ids, np.array([0, len(ids)]), token_bytes(pieces))[0]
    return dict(zip(FIELDS, row.tolist(), strict=True))


# --- words


def test_words_pieces_and_whole_words_are_counted_by_hand() -> None:
    found = one_document("the cats, the dog", [b"the", b" cat", b"s", b",", b" the", b" d", b"og"])
    assert found == {
        "bytes": 17, "chars": 17, "tokens": 7, "words": 4, "pieces": 6, "continued": 2,
        "distinct": 3, "whole": 1, "unspaced": 0, "letters": 13, "lossy": 0,
    }  # fmt: skip


def test_a_token_over_two_words_cuts_neither() -> None:
    assert one_document("of the", [b"of the"])["pieces"] == one_document("of the", [b"of the"])["words"] == 2


def test_scripts_without_spaces_have_letters_but_no_words() -> None:
    found = one_document("日本 abc", ["日本".encode(), b" abc"])
    assert (found["unspaced"], found["letters"], found["words"]) == (2, 3, 1)


def test_marks_belong_to_the_word_before_them() -> None:
    assert one_document("हिन्दी", ["हिन्दी".encode()])["words"] == 1


def test_ids_that_do_not_spell_the_text_are_found_and_no_words_are_placed_by_them() -> None:
    for pieces in ([b"the", b"dog"], [b"the "], [b"the dogs"], []):
        found = one_document("the dog", pieces)
        assert (found["lossy"], found["words"], found["tokens"]) == (1, 0, len(pieces))
    ids = np.array([0, 9], np.uint32)  # an id that the table does not know: a special token
    row = word_pieces(pa.array(["ab"], pa.large_string()), ids, np.array([0, 2]), token_bytes([b"a"]))[0]
    assert row[FIELDS.index("lossy")] == 1


def test_null_and_empty_texts_count_nothing() -> None:
    for text in (None, ""):
        assert set(one_document(text, []).values()) == {0}


LETTERS = st.text(st.sampled_from("aB é\u0301ßшйहि日ไทย한0_.'\n\t😀"), max_size=40)


@given(st.lists(st.tuples(LETTERS, st.lists(st.integers(1, 5), min_size=1, max_size=20)), max_size=5), st.booleans())
def test_the_kernel_agrees_with_plain_python(rows: list[tuple[str, list[int]]], spoil: bool) -> None:
    table: list[bytes] = []
    ids: list[int] = []
    offsets, expected = [0], []
    for text, sizes in rows:
        data, at, pieces = text.encode(), 0, []
        while at < len(data):
            pieces.append(data[at : at + sizes[len(pieces) % len(sizes)]])
            at += len(pieces[-1])
        if spoil and pieces:
            pieces[len(pieces) // 2] = b"?"
        ids += range(len(table), len(table) + len(pieces))
        table += pieces
        offsets.append(len(ids))
        expected.append(word_pieces_reference(text, pieces))
    # a slice of a longer array: the buffer's own offset must be honoured
    texts = pa.array(["before", *(text for text, _ in rows), "after"], pa.large_string()).slice(1, len(rows))
    found = word_pieces(texts, np.array(ids, np.uint32), np.array(offsets), token_bytes(table))
    assert found.tolist() == expected


# --- formulas


def test_renyi_and_shannon_efficiency_of_known_distributions() -> None:
    assert renyi_efficiency([5, 5, 5, 5], 4) == pytest.approx(1)
    assert shannon_efficiency([5, 5, 5, 5], 4) == pytest.approx(1)
    assert renyi_efficiency([5, 5], 4) == shannon_efficiency([5, 5], 4) == pytest.approx(0.5)
    assert renyi_efficiency([9], 4) == pytest.approx(0)
    p = np.array([0.5, 0.3, 0.2])
    assert renyi_efficiency(p, 10) == pytest.approx(math.log((p**2.5).sum()) / (1 - 2.5) / math.log(10))
    assert renyi_efficiency([], 4) is None


def test_gini_is_zero_for_equals_and_approaches_one_for_a_single_payer() -> None:
    assert gini([3, 3, 3]) == pytest.approx(0)
    assert gini([0, 0, 0, 1]) == pytest.approx(0.75)
    pairs = [abs(a - b) for a in (1.0, 2.0, 4.0) for b in (1.0, 2.0, 4.0)]
    assert gini([1, 2, 4]) == pytest.approx(sum(pairs) / (2 * 3 * 7))


def test_embedding_share_counts_both_tables_unless_they_are_tied() -> None:
    rows, width, layers = 1_000, 10, 2
    assert embedding_share(rows, width, layers) == 20_000 / (20_000 + 2_400)
    assert embedding_share(rows, width, layers, tied=True) == 10_000 / (10_000 + 2_400)


# --- bootstrap


def test_resampled_sums_are_those_of_a_plain_loop() -> None:
    values = np.array([[1, 2], [3, 1], [10, 5], [0, 4]], np.int64)
    generator = np.random.Generator(np.random.PCG64(7))
    drawn = generator.integers(0, 4, (20, 4))
    assert (resampled_sums(values, 7, 20) == [values[row].sum(axis=0) for row in drawn]).all()


def test_the_interval_is_that_of_scipy_on_the_same_problem() -> None:
    stats = pytest.importorskip("scipy.stats")
    generator = np.random.default_rng(1)
    over, under = generator.integers(100, 900, 80), generator.integers(50, 250, 80)
    sums = resampled_sums(np.column_stack([over, under]), 3, 4_000)
    ours = interval(sums[:, 0], sums[:, 1])
    theirs = stats.bootstrap(
        (over, under), lambda a, b: a.sum() / b.sum(), paired=True, vectorized=False, method="percentile",
        n_resamples=4_000, random_state=5,
    ).confidence_interval  # fmt: skip
    assert ours == pytest.approx((theirs.low, theirs.high), rel=0.01)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(2)
    covered = 0
    for trial in range(200):
        under = generator.integers(50, 250, 60)
        over = generator.poisson(4 * under)
        low, high = interval(*resampled_sums(np.column_stack([over, under]), trial, 300).T)
        covered += low <= 4 <= high
    assert 178 <= covered <= 200  # 190 expected; a percentile bootstrap of 60 units is slightly too narrow


def test_units_above_the_limit_become_blocks_that_do_not_depend_on_the_order() -> None:
    keys = np.array([hash64(str(i)) for i in range(3 * MAX_UNITS)], np.uint64)
    values = np.arange(len(keys), dtype=np.int64)[:, None]
    made = []
    for order in (np.arange(len(keys)), np.random.default_rng(0).permutation(len(keys))):
        units = Units(1)
        for part in np.array_split(order, 7):
            units.add(keys[part], values[part])
        made.append(units.settle())
    assert made[0].folded and len(made[0].keys) <= MAX_UNITS
    assert (made[0].keys == made[1].keys).all() and (made[0].values == made[1].values).all()
    assert made[0].values.sum() == values.sum()


# --- evaluate


def test_ratios_of_a_toy_vocabulary_are_those_worked_out_by_hand() -> None:
    made = evaluate(vocabulary("the", " cat"), [documents([{"text": "the cat"}, {"text": "the dog"}])], **FAST)
    scores = made.group("en", "web").scores["tokenizer"]
    # "the" " cat" | "the" " " "d" "o" "g": 7 tokens; 4 words in 2 + 1 + 3 pieces... the dog's word is d·o·g
    assert scores.tokens == 7
    assert scores.bytes_per_token and scores.bytes_per_token.value == 14 / 7
    assert scores.fertility and scores.fertility.value == (1 + 1 + 1 + 3) / 4
    assert scores.continued_words and scores.continued_words.value == 1 / 4
    assert scores.single_token_retention and scores.single_token_retention.value == 3 / 4
    assert scores.used_tokens == len({b"the", b" cat", b" ", b"d", b"o", b"g"})
    assert scores.lossy_documents == 0


def test_groups_add_up_and_carry_every_total() -> None:
    batch = documents(
        [
            {"text": "ab", "language": "en", "domain": "web"},
            {"text": "abcd", "language": "en", "domain": "books"},
            {"text": "éé", "language": "fr", "domain": "web"},
            {"text": None, "language": None, "domain": ""},
        ]
    )
    made = evaluate(vocabulary("ab"), [batch], **FAST)
    assert (made.groups[0].language, made.groups[0].domain) == (None, None)
    assert {(g.language, g.domain) for g in made.groups} >= {("en", None), (None, "web"), ("fr", "web"), ("und", "und")}
    assert made.group().bytes == 10 and made.group("en").bytes == 6 and made.group(None, "web").bytes == 6
    assert made.group().documents == 4 and made.group("und", "und").scores["tokenizer"].bytes_per_token is None
    assert made.group("en").scores["tokenizer"].tokens == 4


def test_normalized_length_is_the_ratio_of_token_counts_and_paired() -> None:
    subjects = [cutter("four", 4, TEXTS), cutter("two", 2, TEXTS)]
    made = compare(subjects, [documents([{"text": text} for text in TEXTS])], **FAST)
    fours, twos = (sum(-(-len(text) // size) for text in TEXTS) for size in (4, 2))
    ratio = made.group().scores["four"].normalized_length["two"]
    assert ratio.value == fours / twos and ratio.low and ratio.high
    assert ratio.high - ratio.low < 0.05  # the lengths of the documents cancel: the same draws for both


def test_regret_counts_only_documents_with_a_reference() -> None:
    rows = [{"text": "abab", "reference_tokens": 2}, {"text": "zzzzzzzz", "reference_tokens": None}]
    made = evaluate(vocabulary("ab"), [documents(rows)], **FAST)
    regret = made.group().scores["tokenizer"].regret
    assert regret and regret.value == 1.0
    assert evaluate(vocabulary("ab"), [documents([{"text": "a"}])], **FAST).group().scores["tokenizer"].regret is None


def test_reference_counts_come_from_the_vocabulary_of_the_documents_language() -> None:
    batch = documents([{"text": "abab", "language": "en"}, {"text": "abab", "language": "fr"}])
    monolingual = {"en": subject_of_vocabulary("en", vocabulary("ab"))}
    (found,) = with_reference_counts([batch], monolingual)
    assert found.column("reference_tokens").to_pylist() == [2, None]


def test_words_do_not_describe_a_group_of_an_unspaced_script() -> None:
    made = evaluate(vocabulary("the"), [documents([{"text": "日本語の文 the", "language": "ja"}])], **FAST)
    scores = made.group("ja").scores["tokenizer"]
    assert scores.fertility is None and scores.continued_words is None and scores.chars_per_token is not None


def test_one_document_gives_no_interval() -> None:
    made = evaluate(vocabulary("ab"), [documents([{"text": "abab"}])], **FAST)
    estimate = made.group().scores["tokenizer"].bytes_per_token
    assert estimate and (estimate.value, estimate.low, estimate.high) == (2.0, None, None)


def test_documents_of_one_page_are_drawn_together() -> None:
    rows = [{"text": text, "page": f"p{i % 3}"} for i, text in enumerate(TEXTS)]
    assert evaluate(vocabulary("the"), [documents(rows)], **FAST).group().units == 3


def test_the_json_is_the_same_for_any_order_and_batching_and_lacks_only_speed() -> None:
    rows = [{"text": text, "id": f"d{i}", "language": "en" if i % 3 else "fr"} for i, text in enumerate(TEXTS)]
    subject, other = subject_of_vocabulary("ours", vocabulary("the", " cat")), cutter("two", 2, TEXTS)
    whole = evaluate(subject, [documents(rows)], yardsticks=[other], **FAST)
    parts = [documents(rows[i : i + 4]) for i in range(0, len(rows), 4)]
    again = evaluate(subject, list(reversed(parts)), yardsticks=[other], **FAST)
    assert whole.canonical() == again.canonical()
    assert whole.canonical() != evaluate(subject, parts, yardsticks=[other], seed=1, **FAST).canonical()
    found = orjson.loads(whole.json())
    assert set(found["measured"]["encode_mb_per_s"]) == {"ours", "two"}
    assert {**found, "measured": {}} == orjson.loads(whole.canonical())


def test_wrong_requests_are_refused_with_a_remedy() -> None:
    batch = documents([{"text": "a"}])
    with pytest.raises(UsageError, match="no column 'domain'"):
        evaluate(vocabulary("ab"), [batch.drop_columns(["domain"])])
    with pytest.raises(UsageError, match="neither an `id` nor a `page`"):
        evaluate(vocabulary("ab"), [batch.drop_columns(["id"])])
    with pytest.raises(UsageError, match="no documents"):
        evaluate(vocabulary("ab"), [])
    with pytest.raises(UsageError, match="two tokenizers or more"):
        compare([cutter("two", 2, [])], [batch])
    with pytest.raises(UsageError, match="one name"):
        compare([cutter("two", 2, []), cutter("two", 2, [])], [batch])


def test_a_foreign_byte_level_tokenizer_is_a_subject_and_a_wordpiece_is_not() -> None:
    from tokenizers import Tokenizer, models

    ours = vocabulary("the", " cat")
    from tokenizer.formats.tokenizer_json import tokenizer_json

    foreign = subject_of_tokenizers("foreign", Tokenizer.from_buffer(tokenizer_json(ours)))
    assert list(foreign.tokens) == ours.tokens() and foreign.rows == ours.rows and "<|end|>" in foreign.specials
    made = compare([subject_of_vocabulary("ours", ours), foreign], [documents([{"text": "the cat<|end|>"}])], **FAST)
    assert made.group().scores["ours"].tokens == made.group().scores["foreign"].tokens
    with pytest.raises(UsageError, match="byte-level"):
        subject_of_tokenizers("pieces", Tokenizer(models.WordPiece({"日": 0, "[UNK]": 1}, unk_token="[UNK]")))


# --- splits and documents


def test_a_page_is_on_one_side_whatever_its_language_and_the_share_is_kept() -> None:
    pages = [f"manual/page-{i}" for i in range(20_000)]
    sides = [split_of(page, 3, holdout=0.1, dev=0.05) for page in pages]
    share = Counter(sides)
    assert abs(share["holdout"] / 20_000 - 0.1) < 0.008 and abs(share["dev"] / 20_000 - 0.05) < 0.006
    assert [side == "holdout" for side in sides] == [split_of(page, 3, holdout=0.1) == "holdout" for page in pages]
    assert [split_of(page, 4, holdout=0.1) for page in pages] != [split_of(page, 3, holdout=0.1) for page in pages]
    rows = [
        {"text": str(i), "id": f"{language}/{i}", "page": pages[i], "language": language}
        for i in range(99)
        for language in "ab"
    ]
    held = next(only([documents(rows)], "holdout", 3, holdout=0.3))
    found = Counter(held.column("page").to_pylist())
    assert found and set(found.values()) == {2}
    with pytest.raises(UsageError, match="at most 1"):
        split_of("a", 0, holdout=0.8, dev=0.3)


def test_documents_are_read_from_compressed_json_lines_and_parquet(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "text": "x = 1", "lang": "code", "code_lang": "python"},
        {"text": "héllo", "language": "fr", "domain": "news", "title": "T", "part": 2},
    ]
    lines = b"\n\n".join(orjson.dumps(row) for row in rows)
    (tmp_path / "mine.jsonl.zst").write_bytes(zstandard.compress(lines))
    (tmp_path / "mine.jsonl").write_bytes(lines)
    pq.write_table(pa.Table.from_pylist([rows[1]]), tmp_path / "table.parquet")
    for name in ("mine.jsonl.zst", "mine.jsonl"):
        found = [row for batch in read_documents([tmp_path / name], ("title", "part")) for row in batch.to_pylist()]
        assert [row["language"] for row in found] == ["python", "fr"]
        assert [row["domain"] for row in found] == ["mine", "news"]
        assert [row["page"] for row in found] == [None, "T#2"]
    (batch,) = read_documents([tmp_path / "table.parquet"])
    assert batch.column("text").to_pylist() == ["héllo"] and batch.column("id").to_pylist() == ["table.parquet#1"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"text": "a"}\n{"text": ', ":2: no JSON"),
        (b"[1]\n", ":1: not an object"),
        (b'{"text": "a"}\n{"text": "\xff"}', ":2: not UTF-8 .*byte 10 of the line"),
        (b'\xef\xbb\xbf{"text": "a"}\n{"text": "\\ud800"}', ":2: no JSON"),
        (b'{"body": "a"}', ":1: no `text`"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=f"bad.jsonl{message}"):
        list(read_documents([path]))


def test_damaged_and_missing_files_are_refused(tmp_path: Path) -> None:
    whole = zstandard.compress(b'{"text": "a"}\n' * 9_999)
    (tmp_path / "cut.jsonl.zst").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    for name in ("cut.jsonl.zst", "bad.parquet", "missing.jsonl"):
        with pytest.raises(UsageError, match=name):
            list(read_documents([tmp_path / name]))


# --- yardsticks


def test_public_vocabularies_spell_what_they_encode() -> None:
    pytest.importorskip("rs_bpe")
    subjects = installed(["o200k", "cl100k"])
    texts = ["Hello, wörld! 12345", "日本語 हिन्दी <|endoftext|>", " " * 1_000_000, ""]
    column = pa.array(texts, pa.large_string())
    for subject, size in zip(subjects, (199_998, 100_256), strict=True):
        ids, offsets = subject.encoder.encode(column)
        assert word_pieces(column, ids, offsets, subject.table())[:, FIELDS.index("lossy")].tolist() == [0] * 4
        assert len(subject.tokens) == size and digit_tokens(subject) == {1: 10, 2: 100, 3: 1_000}


def test_tekken_spells_what_it_encodes() -> None:
    pytest.importorskip("mistral_common")
    (tekken,) = installed(["tekken"])
    texts = pa.array(["Hello, wörld! 12345", " " * 1_000_000, None], pa.large_string())
    ids, offsets = tekken.encoder.encode(texts)
    assert word_pieces(texts, ids, offsets, tekken.table())[:, FIELDS.index("lossy")].tolist() == [0, 0, 0]


def test_an_unknown_or_missing_yardstick_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="known: o200k"):
        installed(["o300k"])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert installed() == []
    with pytest.raises(UsageError, match="yardsticks"):
        installed(["tekken"])
