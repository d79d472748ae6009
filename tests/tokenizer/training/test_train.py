"""What training promises: Hugging Face's merges, right counts above 2^31, linear time, the same bytes always."""

from __future__ import annotations

import random
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from curation.pipeline.errors import UsageError
from tokenizer.formats.tokenizer_json import tokenizer_json
from tokenizer.splitting.patterns import pattern_of
from tokenizer.splitting.pretokenize import word_ends_reference
from tokenizer.training import checkpoint, symbols
from tokenizer.training import train as training
from tokenizer.training.hf_train import hf_train, largest_pair_count
from tokenizer.training.train import Progress, train
from tokenizer.training.word_tokens import tokens_per_word, tokens_per_word_reference
from tokenizer.vocabulary import BASE, BYTE_IDS, Vocabulary
from tokenizer.words import WordCounts, word_counts_of

EXAMPLES = Path(__file__).parents[3] / "examples"


def train_reference(words: dict[bytes, int], merges: int, least: int = 1, longest: int = 1 << 30) -> list[list[int]]:
    """BPE as one would write it on a board: count all pairs anew for every merge."""
    split = {word: [int(BYTE_IDS[byte]) for byte in word] for word in words}
    length = [1] * BASE
    made: list[list[int]] = []
    while len(made) < merges:
        pairs: Counter[tuple[int, int]] = Counter()
        for word, ids in split.items():
            for pair in pairwise(ids):
                pairs[pair] += words[word]
        open_pairs = [(-n, pair) for pair, n in pairs.items() if n >= least and sum(length[i] for i in pair) <= longest]
        if not open_pairs:
            break
        left, right = min(open_pairs)[1]
        for ids in split.values():
            at = 0
            while at < len(ids) - 1:
                if ids[at] == left and ids[at + 1] == right:
                    ids[at : at + 2] = [BASE + len(made)]
                at += 1
        length.append(length[left] + length[right])
        made.append([left, right])
    return made


def random_corpus(rng: random.Random) -> dict[bytes, int]:
    """Few letters and runs, where ties and overlaps are everywhere."""
    letters, longest = rng.choice([b"ab", b"abc", b"abcd\xc3\xa9"[:4]]), rng.choice([4, 12, 40])
    words = (bytes(rng.choices(letters, k=rng.randint(1, longest))) for _ in range(rng.randint(1, 12)))
    return {word: rng.randint(1, 9) for word in words}


def compare_with_hugging_face(seed: int) -> None:
    rng = random.Random(seed)
    words, least, longest = random_corpus(rng), rng.choice([0, 0, 1, 2, 3, 7]), rng.choice([None, None, 2, 3, 4, 7])
    counts, size = word_counts_of(words), rng.choice([257, 264, 400])
    ours = train(counts, size, min_frequency=least, max_token_length=longest)
    theirs = hf_train(counts, size, min_frequency=least, max_token_length=longest)
    assert ours.merges.tolist() == theirs.tolist(), (words, least, longest)


TEXTS = st.text("ab", min_size=1, max_size=12) | st.text("aé日 ", max_size=6)


@given(
    st.dictionaries(TEXTS, st.integers(1, 5), min_size=1).filter(lambda words: words.keys() != {""}),
    st.integers(0, 30),
    st.integers(1, 4),
    st.integers(2, 9) | st.none(),
)
def test_merges_are_those_of_the_plain_algorithm(
    words: dict[str, int], merges: int, least: int, longest: int | None
) -> None:
    counted = {word.encode(): n for word, n in words.items()}
    found = train(word_counts_of(counted), BASE + merges, min_frequency=least, max_token_length=longest)
    assert found.merges.tolist() == train_reference(counted, merges, least, longest or 1 << 30)
    assert (found.warning is None) == (len(found.merges) == merges)


@pytest.mark.parametrize("seed", range(60))
def test_merges_are_hugging_faces_on_random_corpora(seed: int) -> None:
    compare_with_hugging_face(seed)


@pytest.mark.slow
def test_merges_are_hugging_faces_on_two_thousand_random_corpora() -> None:
    for seed in range(1_000, 3_000):
        compare_with_hugging_face(seed)


def real_words() -> WordCounts:
    """Words of the repository's own documents and code, in several scripts by its tests."""
    root = EXAMPLES.parent
    files = sorted([*root.glob("docs/*.md"), *root.glob("README.md"), *root.glob("tests/test_*.py")])[:40]
    words: Counter[bytes] = Counter()
    for file in files:
        words.update(word_ends_reference(file.read_text(encoding="utf-8"), pattern_of("o200k")))
    return word_counts_of(dict(words))


def test_merges_of_real_text_are_hugging_faces_and_smaller_sizes_are_prefixes() -> None:
    words = real_words()
    whole = train(words, 4_000)
    assert whole.merges.tolist() == hf_train(words, 4_000).tolist()
    for size in (256, 300, 1_000, 2_500):
        assert np.array_equal(train(words, size).merges, whole.merges[: size - BASE])


@given(st.dictionaries(st.text("ab", min_size=1, max_size=20).map(str.encode), st.integers(1, 5), min_size=1))
def test_token_counts_are_those_of_encoding_word_by_word(words: dict[bytes, int]) -> None:
    counts = word_counts_of(words)
    found = train(counts, BASE + 12)
    unseen = word_counts_of({b"": 1, b"a": 1, b"abba" * 5: 0, b"bbbbbbb": 3, b"xyz": 2})
    for some in (counts, unseen):
        expected = tokens_per_word_reference(some.words.to_pylist(), found.merges)
        assert tokens_per_word(some, found.merges).tolist() == expected
    tokens = int(np.dot(counts.counts, np.diff(counts.offsets))) - int(found.joined.sum())
    assert tokens == int(np.dot(counts.counts, tokens_per_word(counts, found.merges)))


@pytest.mark.parametrize("count", [2**31 + 1_000, 3_000_000_000, 5_000_000_000, 2**40])
def test_counts_above_32_bits_are_exact_and_hugging_faces_trainer_is_refused(count: int) -> None:
    words = word_counts_of({b"ab": count, b"cd": 1_000})
    found = train(words, 258)
    assert found.pair_counts.tolist() == [count, 1_000]
    assert Vocabulary(pattern_of("o200k"), found.merges).tokens()[256:] == [b"ab", b"cd"]
    with pytest.raises(UsageError, match="32 bits"):
        hf_train(words, 258)


def test_the_refusal_counts_pairs_over_words_and_runs() -> None:
    half = 2**30
    assert largest_pair_count(word_counts_of({b"ab": half, b"xab": half - 1})) == 2**31 - 1
    assert largest_pair_count(word_counts_of({b"aaa": half})) == 2**31


def test_sums_beyond_62_bits_are_refused() -> None:
    with pytest.raises(UsageError, match="2\\^62"):
        train(word_counts_of({b"ab": 2**62}), 300)


def test_a_long_word_takes_linear_time() -> None:
    def seconds(letters: int) -> float:
        word = bytes(random.Random(letters).choices(b"abcdefghijklmnopqrstuvwxyz", k=letters))
        start = time.process_time()
        train(word_counts_of({word: 1}), 2_000)
        return time.process_time() - start

    train(word_counts_of({b"ab": 1}), 300)  # compile first
    times = {n: min(seconds(n) for _ in range(3)) for n in (200_000, 800_000)}
    assert times[800_000] < 10 * times[200_000]  # quadratic would be 16
    assert times[200_000] < 2


def test_a_million_equal_letters() -> None:
    found = train(word_counts_of({b"a" * 1_000_000: 1}), 300)
    assert found.merges[:3].tolist() == [[64, 64], [256, 256], [257, 257]]
    assert found.pair_counts[:3].tolist() == [999_999, 499_999, 249_999]
    assert found.joined[:3].tolist() == [500_000, 250_000, 125_000]


def test_lists_of_64_bit_places_give_the_same_merges(monkeypatch: pytest.MonkeyPatch) -> None:
    words = real_words()
    narrow = train(words, 1_000).merges
    monkeypatch.setattr(symbols, "MOST_INT32_PLACES", len(words))  # the words fit, their bytes do not
    assert symbols.byte_pairs(symbols.lay_out(words))[2].dtype == np.int64
    assert np.array_equal(train(words, 1_000).merges, narrow)
    monkeypatch.setattr(symbols, "MOST_INT32_PLACES", 100)
    with pytest.raises(UsageError, match="distinct words"):
        train(words, 1_000)


def test_a_corpus_out_of_pairs_says_so() -> None:
    found = train(word_counts_of({b"abc": 3, b"x": 9}), 1_000)
    assert (found.vocab_size, len(found.merges)) == (258, 2)
    assert found.warning is not None and "258 tokens, not 1,000" in found.warning
    assert train(word_counts_of({b"a": 1}), 256).warning is None


def test_min_frequency_zero_and_one_are_the_same_and_two_stops_earlier() -> None:
    words = word_counts_of({b"ab": 2, b"cd": 1})
    assert [len(train(words, 300, min_frequency=n).merges) for n in (0, 1, 2, 3)] == [2, 2, 1, 0]


def test_max_token_length_is_inclusive() -> None:
    words = word_counts_of({b"abcdefgh"[:n]: 4 ** (8 - n) for n in range(2, 9)})
    for longest in (2, 3, 5):
        tokens = Vocabulary(pattern_of("o200k"), train(words, 300, max_token_length=longest).merges).tokens()
        assert max(map(len, tokens)) == longest


def test_words_without_counts_do_not_matter() -> None:
    assert train(word_counts_of({b"ab": 0, b"cd": 1}), 300).merges.tolist() == [[66, 67]]


def test_whitespace_only_and_one_document() -> None:
    assert train(word_counts_of({b"    ": 1}), 258).vocab_size == 258
    assert train(word_counts_of({b"\n": 7}), 300).vocab_size == 256


@pytest.mark.parametrize(
    ("words", "size", "options", "message"),
    [
        ({}, 300, {}, "no words to train on"),
        ({b"ab": 0}, 300, {}, "no words to train on"),
        ({b"ab": 1}, 255, {}, "smaller than the 256 byte tokens"),
        ({b"ab": 1}, 300, {"max_token_length": 1}, "at least 2 bytes"),
        ({b"ab": 1}, 256, {"start": np.array([[64, 65]], np.int32)}, "vocabulary to extend"),
        ({b"ab": 1}, 300, {"start": np.array([[64, 300]], np.int32)}, "does not exist yet"),
        ({b"ab": 1}, 300, {"start": np.array([[64, 65], [256, 66]], np.int32), "max_token_length": 2}, "of 3 bytes"),
    ],
)
def test_impossible_requests_are_refused(
    words: dict[bytes, int], size: int, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        train(word_counts_of(words), size, **options)  # type: ignore[arg-type]


def test_extension_keeps_the_vocabulary_and_goes_on_as_the_training_did() -> None:
    words = real_words()
    whole = train(words, 1_500)
    extended = train(words, 1_500, start=whole.merges[:400])
    assert np.array_equal(extended.merges, whole.merges)
    assert np.array_equal(extended.pair_counts, whole.pair_counts)


def test_extension_with_other_text_learns_what_is_new() -> None:
    start = train(word_counts_of({b"hello": 3}), 260).merges
    other = {b"hello": 2, b"world": 9}
    extended = train(word_counts_of(other), 264, start=start)
    tokens = Vocabulary(pattern_of("o200k"), extended.merges).tokens()
    assert np.array_equal(extended.merges[:4], start)
    assert tokens[259] == b"hello" and tokens[263] == b"world"


def test_a_start_that_never_occurs_is_kept() -> None:
    start = np.array([[2, 3], [256, 256]], np.int32)
    found = train(word_counts_of({b"ab": 1}), 300, start=start)
    assert found.merges.tolist() == [[2, 3], [256, 256], [64, 65]]
    assert found.pair_counts.tolist() == [0, 0, 1]


def test_an_interrupted_training_resumes_to_the_same_merges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", 100)
    monkeypatch.setattr(training, "PROGRESS_EVERY", 50)
    words, file = real_words(), tmp_path / "merges"
    whole = train(words, 1_500)

    class Interrupted(Exception):
        pass

    def stop(progress: Progress) -> None:
        if progress.merges >= 650:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(words, 1_500, checkpoint=file, on_progress=stop)
    saved = checkpoint.read_checkpoint(file, checkpoint.Identity.of(words, training.NO_MERGES, 1, 2**31 - 1))
    assert saved is not None and len(saved.merges) == 600

    resumed = train(words, 1_500, checkpoint=file)
    for one in ("merges", "pair_counts", "joined"):
        assert np.array_equal(getattr(resumed, one), getattr(whole, one))
    again = train(words, 1_200, checkpoint=file)  # a finished checkpoint is read, not replayed
    assert np.array_equal(again.merges, whole.merges[: 1_200 - BASE])


def test_a_checkpoint_remembers_that_the_pairs_ran_out(tmp_path: Path) -> None:
    words, file = word_counts_of({b"abc": 3}), tmp_path / "merges"
    first, second = (train(words, 1_000, checkpoint=file) for _ in range(2))
    assert first.merges.tolist() == second.merges.tolist()
    assert first.warning is not None
    assert first.warning == second.warning


def test_foreign_and_damaged_checkpoints_are_refused(tmp_path: Path) -> None:
    words, file = word_counts_of({b"abc": 3, b"abd": 2}), tmp_path / "merges"
    train(words, 258, checkpoint=file)
    good = file.read_bytes()
    with pytest.raises(UsageError, match="other word counts"):
        train(word_counts_of({b"abc": 3, b"abd": 3}), 258, checkpoint=file)
    with pytest.raises(UsageError, match="other min_frequency"):
        train(words, 258, checkpoint=file, min_frequency=2)
    with pytest.raises(UsageError, match="other start vocabulary"):
        train(words, 258, checkpoint=file, start=np.array([[64, 65]], np.int32))
    flipped = bytearray(good)
    flipped[-20] ^= 1
    for damaged, message in (
        (good[:-8], "damaged"),
        (bytes(flipped), "damaged"),
        (b"", "not a training checkpoint"),
        (b"\x00" * 10_000, "not a training checkpoint"),
        (b"[1]\n", "not a training checkpoint"),
        (b'{"format": 1}\n', "not a training checkpoint"),
    ):
        file.write_bytes(damaged)
        with pytest.raises(UsageError, match=message):
            train(words, 258, checkpoint=file)


def test_progress_counts_up_to_the_target() -> None:
    seen: list[Progress] = []
    train(real_words(), 3_000, on_progress=seen.append)
    assert [one.merges for one in seen] == [1_000, 2_000, 2_744]
    assert all(one.target == 2_744 and one.per_second > 0 for one in seen)
    assert seen[-1].eta_s == 0 < seen[0].eta_s


@settings(max_examples=20)
@given(st.permutations(range(6)))
def test_merges_do_not_depend_on_how_the_words_lie_in_memory(order: list[int]) -> None:
    words = {f"wo{'or' * i}d{i}".encode(): i + 1 for i in range(6)}
    base = train(word_counts_of(words), 300).merges
    padded = word_counts_of({b"\x00": 1, **{list(words)[i]: words[list(words)[i]] for i in order}})
    assert np.array_equal(train(WordCounts(padded.words.slice(1), padded.counts[1:]), 300).merges, base)


def test_hugging_faces_trainer_is_not_given_what_it_cannot_read() -> None:
    with pytest.raises(UsageError, match="not UTF-8"):
        hf_train(word_counts_of({b"ok": 1, b"\xff\xfe": 1}), 300)
    assert train(word_counts_of({b"\xff\xfe": 2}), 300).merges.tolist() == [[BYTE_IDS[0xFF], BYTE_IDS[0xFE]]]


def test_words_that_hold_the_separator_are_kept_whole_for_hugging_face() -> None:
    words = word_counts_of({"\ue000\ue000".encode(): 3, "a\ue001".encode(): 2})
    assert hf_train(words, 300).tolist() == train(words, 300).merges.tolist()


def test_bytes_that_no_word_has_are_tokens_too_and_control_without_them_hugging_face_loses_text() -> None:
    text, words = "xyz é", word_counts_of({b"abc": 3})
    ours = Vocabulary(pattern_of("o200k"), train(words, 258).merges)
    read = Tokenizer.from_str(tokenizer_json(ours).decode())
    assert read.decode(read.encode(text).ids) == text
    theirs = Tokenizer(models.BPE())
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    theirs.decoder = decoders.ByteLevel()
    theirs.train_from_iterator(["abc abc"], trainers.BpeTrainer(vocab_size=300, show_progress=False))
    assert theirs.decode(theirs.encode(text).ids) != text
