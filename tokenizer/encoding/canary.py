"""Whether an engine gives Hugging Face's ids: on a fuzz set, on the vocabulary's own tokens, on runs that kill.

The runs are encoded in a child process with a time limit, because an engine that fails on them takes its
process along (reference §4: a million blanks make tiktoken panic and others abort).  The same module is
that child's program.
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa

from tokenizer.encoding.engines import Encode, Ids, build
from tokenizer.encoding.risk import RiskyRows
from tokenizer.encoding.routing import Routed
from tokenizer.encoding.source import Source, open_tokenizer

CANARY_VERSION = 1
FUZZ_TEXTS = 20_000
CHILD_SECONDS = 60  # for all runs together; every accepted engine needs under 2 s
RUN = 1_000_000  # characters


def _letters(first: int, last: int, *more: str) -> list[str]:
    return [*map(chr, range(first, last)), *more]


# What splits words differently from engine to engine: cases, scripts, marks, digits, blanks, joiners, contractions.
POOLS = (
    _letters(0x20, 0x7F),
    _letters(0xC0, 0x180, " "),
    _letters(0x400, 0x460, " "),
    _letters(0x600, 0x700, " "),
    _letters(0x900, 0x980, " "),
    _letters(0xE00, 0xE60, " "),
    _letters(0x4E00, 0x4E80, "，", "。"),
    _letters(0xAC00, 0xAC80, " "),
    _letters(0x300, 0x370, "e", "a", "A"),
    _letters(0x1F300, 0x1F700, "\u200d", "\ufe0f"),
    ["\n", "\r", "\r\n", "\t", " ", "  ", "\u00a0", "\u3000", "\x85", "\u2028", "\x0b", "\x1c"],
    ["\u200b", "\ufeff", "\u200d", "\0", "\x7f", " ", "a"],
    ["'s", "'S", "'ſ", "'LL", "don't", "I'M", "we'Re", "’s", "'", "K", "ǅ", "ß", "İ"],
    ["1", "23", "4567", "٣", "Ⅷ", "½", "１", "𝟘"],
    ["    ", "\n\n", "//", "/*", "};\n", "\tif", "__init__", "camelCase", "HTTPServer", "->", "::"],
)


def fuzz_texts(specials: list[str]) -> list[str]:
    """The same texts in every process; some hold special strings, whole, cut and next to each other."""
    draw = random.Random(20_261)
    parts = [*specials, *(name[: len(name) // 2] for name in specials), *(name + name for name in specials)]
    texts = []
    for _ in range(FUZZ_TEXTS):
        text = []
        for _ in range(draw.randint(1, 6)):
            pool = draw.choice(POOLS)
            text += [draw.choice(pool) for _ in range(draw.randint(1, 8))]
            if parts and draw.random() < 0.05:
                text.append(draw.choice(parts))
        texts.append("".join(text))
    return ["", *texts, "".join(texts[:2000])]


def pathological_texts() -> dict[str, str]:
    """Runs on which engines have crashed or become quadratic."""
    return {
        "1,000,000 blanks": " " * RUN,
        "1,000,000 newlines": "\n" * RUN,
        "1,000,000 letters": "a" * RUN,
        "300,000 blanks and a letter": " " * 300_000 + "x",
        "200,000 combining marks": "e" + "\u0301" * 200_000,
    }


def own_tokens(source: Source) -> list[str]:
    """Every token of the vocabulary that is text by itself: tiktoken looks whole words up before it merges."""
    if source.vocabulary is None:
        return []
    texts = []
    for token in source.vocabulary.tokens():
        try:
            texts.append(token.decode())
        except UnicodeDecodeError:
            continue
    return texts


def first_difference(engine: Encode, reference: Encode, texts: list[str]) -> str | None:
    """What the engine does wrong, for a person; None where all ids are the reference's."""
    column = pa.array(texts, pa.large_string())
    ids, ends = engine(column)
    wanted, wanted_ends = reference(column)
    for i, text in enumerate(texts):
        if not np.array_equal(ids[ends[i] : ends[i + 1]], wanted[wanted_ends[i] : wanted_ends[i + 1]]):
            return f"other ids than Hugging Face's for {text[:60]!a}"
    return None


def digest(ids: Ids) -> str:
    """SHA-256 of one text's ids."""
    return hashlib.sha256(ids[0].astype("<u4").tobytes()).hexdigest()


def run_digests(encode: Encode) -> dict[str, str]:
    """Each run's `digest`."""
    return {run: digest(encode(pa.array([text], pa.large_string()))) for run, text in pathological_texts().items()}


def fails_in_child(name: str, path: Path, wanted: dict[str, str]) -> str | None:
    """What happens to a process in which the engine encodes the runs; None where all digests are `wanted`."""
    command = [sys.executable, "-P", "-m", "tokenizer.encoding.canary", name, str(path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        child = subprocess.run(command, capture_output=True, timeout=CHILD_SECONDS, env=environment, check=False)
        ended, lines = f"ended its process with status {child.returncode}", child.stdout.splitlines()
    except subprocess.TimeoutExpired as late:
        ended, lines = f"took more than {CHILD_SECONDS} s", (late.stdout or b"").splitlines()
    found = dict(orjson.loads(line) for line in lines if line.startswith(b"["))
    for run, one in wanted.items():
        if run not in found:
            return f"{ended} on {run}"
        if found[run] != one:
            return f"other ids than Hugging Face's for {run}"
    return None


def main() -> None:
    """The child: one line [run, digest] for each run."""
    name, path = sys.argv[1:]
    source = open_tokenizer(Path(path)).source
    engine = build(name, source)
    routed = Routed(engine, RiskyRows(np.zeros(0, np.int64)), build("tokenizers", source).encode)
    for run, text in pathological_texts().items():
        line = orjson.dumps([run, digest(routed.encode(pa.array([text], pa.large_string())))])
        print(line.decode(), flush=True)


if __name__ == "__main__":
    main()
