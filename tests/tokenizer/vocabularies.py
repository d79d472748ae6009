"""Small vocabularies for tests, trained by Hugging Face on a few lines in many scripts and some code."""

from __future__ import annotations

import inspect
import json
from functools import cache
from pathlib import Path

import orjson
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from tokenizer.formats.tokenizer_json import parse_vocabulary
from tokenizer.splitting.patterns import PATTERNS
from tokenizer.vocabulary import DEFAULT_SPECIALS, Vocabulary

LINES = [
    "The quick brown fox doesn't jump over the lazy dogs' 12345 times; we'll see.\n\n",
    "Der schnelle braune Fuchs springt über den faulen Hund, größer als je zuvor.\r\n",
    "Быстрая коричневая лиса прыгает через ленивую собаку 2024 раза.\n",
    "敏捷的棕色狐狸跳过懒狗。快速的狐狸，懒惰的狗！\n",
    "तेज़ भूरी लोमड़ी आलसी कुत्ते के ऊपर कूदती है।\n",
    "الثعلب البني السريع يقفز فوق الكلب الكسول ٣٤٥\n",
    "สุนัขจิ้งจอกสีน้ำตาลกระโดดข้ามสุนัขขี้เกียจ\n",
    "    if (x == 10) {\n        return y / 2;  // half\n    }\n",
]


def hugging_face_json(pattern: str, vocab_size: int) -> bytes:
    """tokenizer.json as Hugging Face trains and saves it."""
    splits = [pre_tokenizers.Split(Regex(stage), "isolated") for stage in PATTERNS[pattern].stages]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator([*LINES, inspect.getsource(json), inspect.getsource(inspect)], trainer)
    return tokenizer.to_str().encode()


@cache
def small_vocabulary(pattern: str = "o200k", specials: tuple[str, ...] = DEFAULT_SPECIALS) -> Vocabulary:
    """1,500 tokens: 256 bytes and 1,244 merges."""
    parsed = parse_vocabulary(orjson.loads(hugging_face_json(pattern, 1_500)), "trained")
    return Vocabulary(parsed.pattern, parsed.merges, specials, {"sample": "eight lines"})


def saved(directory: Path, **changes: object) -> Path:
    """A tokenizer.json with some fields changed."""
    raw = orjson.loads(hugging_face_json("o200k", 400))
    path = directory / "tokenizer.json"
    path.write_bytes(orjson.dumps({**raw, **changes}))
    return path
