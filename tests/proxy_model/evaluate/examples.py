"""Small items, tokenizers, models and requests for the tests of evaluation."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest

from proxy_model.evaluate.items import Item
from proxy_model.evaluate.tokens import JsonTokenizer
from tests.tokenizer.vocabularies import small_vocabulary
from tokenizer.formats.export import export

VOCABULARY = 1_564  # of small_vocabulary, special tokens included


def item(identity: str = "one", **changes: Any) -> Item:
    """A question about a fox."""
    given: dict[str, Any] = {
        "benchmark": "foxes", "id": identity, "kind": "multiple_choice",
        "contexts": (f"Question {identity}: who jumps over the lazy dog?\nAnswer:",),
        "choices": ("the quick fox", "the dog", "nobody", "größer"), "gold": 0, "cluster": identity,
    }  # fmt: skip
    return Item(**{**given, **changes})


def some_items(count: int = 6) -> list[Item]:
    """Every kind, some Chinese, one empty context."""
    numbered = [item(str(i), gold=i % 4) for i in range(count)]
    context = {"kind": "context_choice", "contexts": ("The fox saw that the fox", "The fox saw that the dog")}
    return [
        *numbered,
        item("wino", benchmark="schema", **context, choices=("was lazy.",), gold=1),
        item("cloze", benchmark="words", kind="cloze", contexts=("The quick brown",), choices=("fox",)),
        item("zh", benchmark="chinese", contexts=("敏捷的棕色狐狸",), choices=("跳过懒狗。", "快速的狐狸"), joining=""),
        item("empty", benchmark="bare", contexts=("",), choices=("The quick", "Der schnelle"), joining=""),
    ]


def write_lines(path: Path, records: Sequence[Any]) -> Path:
    """JSON lines; bytes are written as they are."""
    path.write_bytes(b"".join((one if isinstance(one, bytes) else orjson.dumps(one)) + b"\n" for one in records))
    return path


def saved_tokenizer(folder: Path) -> Path:
    """A tokenizer directory of 1,500 tokens."""
    export(small_vocabulary(), folder / "tokenizer")
    return folder / "tokenizer"


def requests(count: int = 40, vocabulary: int = VOCABULARY) -> list[tuple[list[int], list[int]]]:
    """Lengths from 1 to about 60; some differ in their last token alone, some are the same."""
    source = random.Random(3)
    made = [
        (
            [source.randrange(vocabulary) for _ in range(source.randrange(1, 50))],
            [source.randrange(vocabulary) for _ in range(source.randrange(1, 9))],
        )
        for _ in range(count)
    ]
    context, continuation = made[0]
    return [*made, made[0], (context, [*continuation[:-1], 7]), ([5], [9]), ([5], [11])]


@cache
def hf_model(kind: str) -> Any:
    """A random Llama or GPT-2 whose weights are large enough to tell options apart."""
    transformers = pytest.importorskip("transformers")
    import torch

    torch.manual_seed(0)
    ends = {"bos_token_id": 0, "eos_token_id": 0, "initializer_range": 0.2, "vocab_size": VOCABULARY}
    if kind == "llama":
        config = transformers.LlamaConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            max_position_embeddings=256, **ends,
        )  # fmt: skip
        return transformers.LlamaForCausalLM(config).eval()
    config = transformers.GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=256, **ends)
    return transformers.GPT2LMHeadModel(config).eval()


class Letters:
    """A tokenizer of one character an id; `merges` become one id of their own where they stand in a text."""

    digest = "letters"
    end_of_document = 0
    vocab_size = 0x110000

    def __init__(self, *merges: str) -> None:
        self.merges = merges

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [self._ids(text) for text in texts]

    def _ids(self, text: str) -> list[int]:
        ids, i = [], 0
        while i < len(text):
            found = next((m for m in self.merges if text.startswith(m, i)), text[i])
            ids.append(ord(found) if len(found) == 1 else 0x100000 + self.merges.index(found))
            i += len(found)
        return ids


__all__ = ["JsonTokenizer", "Letters", "hf_model", "item", "requests", "saved_tokenizer", "some_items", "write_lines"]
