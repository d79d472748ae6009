"""The peers of tokenizer_train.py, each run in a process of its own by their interpreter (no imports of ours).

    python tokenizer_train_peer.py TOOL FILE VOCAB_SIZE PATTERN     train on the texts of FILE (JSON lines)
    python tokenizer_train_peer.py word LETTERS                     one word of that many letters
    python tokenizer_train_peer.py overflow COUNT RIVAL             two pairs: COUNT times "aa", RIVAL times "cc"

Prints one line of JSON.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

LETTERS = "abcdefghijklmnopqrstuvwxyz"
RUN = 4096  # letters of one word of the overflow proof: a run of n letters holds n − 1 pairs


def memory(field: str) -> float:
    """MB of VmHWM (peak) or VmRSS."""
    found = re.search(field + r":\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024


def texts(path: str) -> Iterator[str]:
    with open(path, encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)[0]


def hugging_face(texts: Iterator[str], size: int, pattern: str | None) -> Any:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    if pattern:
        split = pre_tokenizers.Split(Regex(pattern), "isolated")
        to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, to_bytes])
    trainer = trainers.BpeTrainer(
        vocab_size=size, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def merges(tokenizer: Any) -> list[tuple[bytes, bytes]]:
    """Merges as bytes: GPT-2's characters back to what they stand for."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    to_byte = {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(others)}
    found = json.loads(tokenizer.to_str())["model"]["merges"]
    return [(bytes(to_byte[c] for c in left), bytes(to_byte[c] for c in right)) for left, right in found]


def digest(pairs: list[tuple[bytes, bytes]]) -> str:
    return hashlib.sha256("\n".join(f"{left.hex()} {right.hex()}" for left, right in pairs).encode()).hexdigest()


def train(tool: str, path: str, size: int, pattern: str) -> dict[str, Any]:
    if tool == "rustbpe":
        import rustbpe
    elif tool == "bpeasy":
        import bpeasy
    else:
        import tokenizers  # noqa: F401
    before, start = memory("VmRSS"), time.process_time()
    if tool == "rustbpe":
        learner = rustbpe.Tokenizer()
        learner.train_from_iterator(texts(path), size, pattern=pattern)
        tokens = learner.vocab_size
    elif tool == "bpeasy":
        tokens = len(bpeasy.train_bpe(texts(path), pattern, 512, size))
    else:
        learner = hugging_face(texts(path), size, pattern)
        tokens = learner.get_vocab_size()
    seconds, peak = time.process_time() - start, memory("VmHWM")
    found = {"cpu_s": seconds, "extra_mb": peak - before, "tokens": tokens}
    return {**found, "merges": digest(merges(learner))} if tool == "tokenizers" else found


def one_word(letters: int) -> dict[str, Any]:
    word = "".join(random.Random(letters).choices(LETTERS, k=letters))
    start = time.process_time()
    learner = hugging_face(iter([word]), 2_000, None)
    return {"cpu_s": time.process_time() - start, "merges": digest(merges(learner))}


def overflow(count: int, rival: int) -> dict[str, Any]:
    def runs() -> Iterator[str]:
        for letter, wanted in (("a", count), ("c", rival)):
            for done in range(0, wanted, RUN - 1):
                yield letter * (min(RUN - 1, wanted - done) + 1)

    return {"first_merge": [part.decode() for part in merges(hugging_face(runs(), 257, None))[0]]}


def main() -> None:
    tool, *rest = sys.argv[1:]
    if tool == "versions":
        found: dict[str, Any] = {name: version(name) for name in ("tokenizers", "rustbpe", "bpeasy")}
    elif tool == "word":
        found = one_word(int(rest[0]))
    elif tool == "overflow":
        found = overflow(int(rest[0]), int(rest[1]))
    else:
        found = train(tool, rest[0], int(rest[1]), rest[2])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
