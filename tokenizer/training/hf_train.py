"""Hugging Face's BPE trainer fed from the same counts: a selectable cross-check of ours.

It has no way in for counts from Python, so every word is written out as often as it occurs.  Its pair counts
are 32-bit and wrap without a message (tokenizers 0.23), so counts that could reach 2^31 are refused here.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import orjson
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from curation.pipeline.errors import UsageError
from tokenizer.training.symbols import byte_pairs, lay_out
from tokenizer.vocabulary import BASE, BYTE_CHARACTERS, BYTE_IDS
from tokenizer.words import WordCounts

MOST_PAIR_COUNT = 2**31 - 1
PRIVATE_USE = range(0xE000, 0xF900)  # one of these that no word holds separates the words
CHUNK = 1 << 20  # bytes of one string handed over


def hf_train(
    words: WordCounts, vocab_size: int, *, min_frequency: int = 0, max_token_length: int | None = None
) -> np.ndarray:
    """int32[m, 2]: Hugging Face's merges, as ids of `Vocabulary`.  Arguments as in `train.train`.

    Takes time and text in proportion to the sum of the counts.  Raises UsageError where a pair of bytes
    occurs more than 2^31 − 1 times (no later pair occurs more often than the bytes it is made of), and
    where a word is not UTF-8.
    """
    most = largest_pair_count(words)
    if most > MOST_PAIR_COUNT:
        raise UsageError(
            f"a pair of bytes occurs {most:,} times, and Hugging Face's trainer counts pairs in 32 bits: its merges "
            "would be wrong",
            "use this project's trainer, or a smaller sample",
        )
    tokenizer = Tokenizer(models.BPE())
    separator = _unused_character(words)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(separator, "removed"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        # Hugging Face's limit is exclusive
        max_token_length=None if max_token_length is None else max_token_length + 1,
    )
    tokenizer.train_from_iterator(_written_out(words, separator), trainer)
    return merges_of(tokenizer)


def largest_pair_count(words: WordCounts) -> int:
    """The largest weighted count of any pair of bytes, overlaps in runs included."""
    return int(byte_pairs(lay_out(words))[0].max(initial=0))


def merges_of(tokenizer: Tokenizer) -> np.ndarray:
    """A Hugging Face byte-level BPE's merges as int32[m, 2] ids of `Vocabulary`, whatever its own ids are."""
    ids = {BYTE_CHARACTERS[byte]: int(BYTE_IDS[byte]) for byte in range(BASE)}
    merges = [tuple(pair) for pair in orjson.loads(tokenizer.to_str())["model"]["merges"]]
    rows = np.empty((len(merges), 2), np.int32)
    for i, (left, right) in enumerate(merges):
        rows[i] = ids[left], ids[right]
        ids[left + right] = BASE + i
    return rows


def _unused_character(words: WordCounts) -> str:
    text = words.values.tobytes()
    for code in PRIVATE_USE:
        if chr(code).encode() not in text:
            return chr(code)
    raise UsageError("the words hold every private-use character, so none is left to separate them")


def _written_out(words: WordCounts, separator: str) -> Iterator[str]:
    for word, count in zip(words.words.to_pylist(), words.counts.tolist(), strict=True):
        try:
            text = word.decode() + separator
        except UnicodeDecodeError:
            raise UsageError(f"the word {word!r} is not UTF-8; Hugging Face's trainer reads text") from None
        at_once = max(1, CHUNK // len(word or b" "))
        for done in range(0, count, at_once):
            yield text * min(at_once, count - done)
