"""Builds `examples/data/items/cloze.jsonl.zst`: what comes next in texts that are in no file of the example crawl?

    python examples/build_items.py --texts TEXTS

TEXTS holds `nonfiction.jsonl.zst` and `speeches.jsonl.zst` as for build_data.py; records in books.jsonl.zst are left out.
An item is a passage, its true continuation, and those of three other documents of its kind, equally long.
Which passages, and in which order choices stand, is decided by hashes.
"""

from __future__ import annotations

import argparse
import io
import re
from collections.abc import Iterator
from pathlib import Path

import orjson
import zstandard

from curation.pipeline.hashing import hash64

DATA = Path(__file__).parent / "data"
KINDS = {"nonfiction": "guides", "speeches": "speeches"}
CONTEXT_WORDS, CHOICE_WORDS, CHOICES = 40, 12, 4
PER_DOCUMENT = {"guides": 4, "speeches": 10}
PER_BENCHMARK = 300


def records(path: Path) -> Iterator[dict[str, str]]:
    with path.open("rb") as stored, zstandard.ZstdDecompressor().stream_reader(stored) as plain:
        yield from map(orjson.loads, io.TextIOWrapper(plain, encoding="utf-8"))


def prose(text: str) -> list[str]:
    """Words of the paragraphs: no front matter, headings, lists, tables, code or links' addresses."""
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    text = re.sub(r"\[([^\]\n]{1,200})\]\([^)\n]{0,500}\)", r"\1", text)
    text = re.sub(r"[*_`]", "", text)
    parts = [one.strip() for one in text.split("\n\n")]
    odd = re.compile(r"[|<>{}]|\n\s*[-#\d]")
    kept = [one for one in parts if len(one.split()) >= CHOICE_WORDS and one[0].isalpha() and not odd.search(one)]
    return " ".join(kept).split()


def passages(kind: str, identity: str, words: list[str]) -> Iterator[tuple[int, str, str]]:
    """(hash, context, continuation) of passages that do not overlap, in order of their hashes."""
    size = CONTEXT_WORDS + CHOICE_WORDS
    found = []
    for start in range(0, len(words) - size, size):
        middle = start + CONTEXT_WORDS
        texts = (" ".join(words[start:middle]), " ".join(words[middle : start + size]))
        found.append((hash64(f"{identity} {start}"), *texts))
    yield from sorted(found)[: PER_DOCUMENT[kind]]


def items(kind: str, texts: dict[str, list[str]]) -> list[dict[str, object]]:
    made = sorted((mark, doc, c, k) for doc, words in texts.items() for mark, c, k in passages(kind, doc, words))
    chosen = []
    for place, (mark, document, context, continuation) in enumerate(made):
        others: dict[str, str] = {}
        for step in range(1, len(made)):
            _, other, _, text = made[(place + step * (1 + mark % 7)) % len(made)]
            if other != document and other not in others and text != continuation:
                others[other] = text
            if len(others) == CHOICES - 1:
                break
        choices = sorted([continuation, *others.values()], key=lambda one, mark=mark: hash64(one, mark))  # type: ignore[misc]
        if len(choices) == CHOICES:
            chosen.append(
                {
                    "benchmark": f"{kind}_cloze", "id": f"{document}-{mark:016x}", "cluster": document,
                    "query": context, "choices": choices, "gold": choices.index(continuation),
                }
            )  # fmt: skip
    return chosen[:PER_BENCHMARK]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=DATA / "items")
    given = parser.parse_args()
    trained = {one["id"] for one in records(DATA / "books.jsonl.zst")}
    lines = []
    for name, kind in KINDS.items():
        texts = {
            one["id"]: prose(one["text"])
            for one in records(given.texts / f"{name}.jsonl.zst")
            if one["id"] not in trained
        }
        found = items(kind, texts)
        lines += found
        print(f"{kind}: {len(found)} items of {len({one['cluster'] for one in found})} documents")
    given.out.mkdir(parents=True, exist_ok=True)
    packed = zstandard.ZstdCompressor(19).compress(b"".join(orjson.dumps(one) + b"\n" for one in lines))
    (given.out / "cloze.jsonl.zst").write_bytes(packed)
    print(f"{len(packed):,} bytes")


if __name__ == "__main__":
    main()
