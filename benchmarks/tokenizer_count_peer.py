"""The peer of tokenizer_count.py: Hugging Face `tokenizers`, one thread, in its own process (no imports of ours but
the pattern's string).

Reads an Arrow file of texts, then answers commands: `feed` (CPU seconds to split and count, and of the start-up
work on the distinct words), `digest K` (of the words and counts of every K-th text), `memory` (MB that a feed added).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import time
from collections import Counter
from pathlib import Path

os.environ["RAYON_NUM_THREADS"] = "1"

import pyarrow as pa
import pyarrow.ipc
import tokenizers
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from tokenizer.splitting.patterns import PATTERNS

SPLIT = pre_tokenizers.Split(Regex(PATTERNS["o200k"].stages[0]), "isolated")


def feed(texts: list[str]) -> float:
    """CPU seconds of training to the 256 bytes: no merge is made."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [SPLIT, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=256, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False, special_tokens=[]
    )
    start = time.process_time()
    tokenizer.train_from_iterator(texts, trainer)
    return time.process_time() - start


def words(texts: list[str]) -> Counter[bytes]:
    return Counter(word.encode() for text in texts if text for word, _ in SPLIT.pre_tokenize_str(text))


def peak_mb() -> float:
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024


def main() -> None:
    texts: list[str] = pa.ipc.open_file(sys.argv[1]).read_all()["text"].to_pylist()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew at what is held now
    before = peak_mb()
    feed(texts)
    added = peak_mb() - before
    distinct = [word.decode() for word in words(texts)]  # each fed once: its start-up work, and little feeding
    print(json.dumps({"tokenizers": tokenizers.__version__}), flush=True)
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "feed":
            answer: object = {"feed": feed(texts), "pairs": feed(distinct)}
        elif command == "memory":
            answer = added
        else:
            state = hashlib.sha256()
            for word, n in sorted(words(texts[:: int(arguments[0])]).items()):
                state.update(b"%d %d " % (len(word), n) + word)
            answer = state.hexdigest()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
