"""Builds `examples/data/items/cloze.jsonl.zst`: what comes next in texts that are in no file of the example crawl?

    python examples/build_items.py --texts TEXTS

TEXTS holds `nonfiction.jsonl.zst` and `speeches.jsonl.zst`; records that stand in books.jsonl.zst are left out.
An item is a passage, its true continuation, and three continuations from other documents of its kind.
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
PER_DOCUMENT = {"guides": 2, "speeches": 4}  # the other passages give wrong choices
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


def passages(identity: str, words: list[str]) -> list[tuple[int, str, str, str]]:
    """(hash, document, context, continuation) of passages that do not overlap, in order of their hashes."""
    size = CONTEXT_WORDS + CHOICE_WORDS
    found = []
    for start in range(0, len(words) - size, size):
        middle = start + CONTEXT_WORDS
        texts = (" ".join(words[start:middle]), " ".join(words[middle : start + size]))
        found.append((hash64(f"{identity} {start}"), identity, *texts))
    return sorted(found)


def items(kind: str, texts: dict[str, list[str]]) -> list[dict[str, object]]:
    """A continuation stands in one item only: one that is right here and wrong there would tie the items together."""
    by_document = [passages(*one) for one in texts.items()]
    asked = sorted(one for some in by_document for one in some[: PER_DOCUMENT[kind]])
    spare = sorted(one for some in by_document for one in some[PER_DOCUMENT[kind] :])
    chosen: list[dict[str, object]] = []
    for mark, document, context, continuation in asked[:PER_BENCHMARK]:
        wrong = [one for one in spare if one[1] != document][: CHOICES - 1]
        if len(wrong) < CHOICES - 1:
            break
        for one in wrong:
            spare.remove(one)
        choices = sorted([continuation, *(one[3] for one in wrong)], key=lambda one, mark=mark: hash64(one, mark))  # type: ignore[misc]
        chosen.append(
            {
                "benchmark": f"{kind}_cloze", "id": f"{document}-{mark:016x}", "cluster": document, "query": context,
                "choices": choices, "gold": choices.index(continuation),
            }
        )  # fmt: skip
    return chosen


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
