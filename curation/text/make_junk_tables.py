"""Writes data/junk_words.tsv and data/junk_trigrams.tsv: how English words follow and letters combine.

A maintainer's tool, not part of any run: `python -m curation.text.make_junk_tables TEXTS`, where TEXTS
holds the four sources below as JSONL(.zst) with `text`, `source`, `lang`.  Only counts of letters
and of very common words are shipped, no text.  Another source or limit changes statistics: raise
JUNK_VERSION.
"""

from __future__ import annotations

import io
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import zstandard

DATA = Path(__file__).parent / "data"

# file, source (a part of its name), name and licence.  Old and new, spoken and written, plain and learned.
SOURCES = (
    ("speeches", "", "US presidential addresses (public domain)"),
    ("nonfiction", "18F", "18F guides (CC0-1.0)"),
    ("books", "ELTeC-eng", "ELTeC-eng novels 1840-1920 (CC-BY-4.0)"),
    ("books_2", "ELTeC-eng", "ELTeC-eng novels 1840-1920 (CC-BY-4.0)"),
    ("academic", "PLOS", "PLOS articles (CC-BY-4.0 and CC0-1.0)"),
)
LONGEST_TEXT = 150_000  # characters of each text, so that novels do not outweigh all else


def words_of(text: str) -> list[str]:
    return text.split()


# Closed classes of words; without `i`, which is a variable in every programming language.
FUNCTION_WORDS = words_of(
    """the and of to a in that it for was with he is as you her his not be we on had at she but have
this by our are all which from they or an my were will so him their there me no if been would can when what who do
them has up out your than into these could about very then some should other its any how did us such may those much
must might shall am each between through where upon also only more most nor yet because while whose whom does many
every own"""
)
# Of those, words that no other language written in Latin letters has among its common ones.
STRONG_WORDS = words_of("the of and that with this from which are have been they their would")
# Words of "lorem ipsum" texts that are rare in Latin prose, or were made up for them.
PLACEHOLDERS = words_of(
    """lorem ipsum adipiscing adipisicing consectetur consectetuer eiusmod incididunt exercitation ullamco
aliquip aliqua irure cillum pariatur excepteur occaecat cupidatat proident vestibulum pellentesque suspendisse
ullamcorper sollicitudin phasellus vivamus curabitur maecenas nullam tincidunt malesuada"""
)
SWITCHES = words_of(
    """enable enabled disable disabled require required requires activate activated activer actif desactive
aktivieren aktiviert deaktiviert habilitar habilite habilitado activar active attivare abilitare attiva inschakelen
ativar ative ativado"""
)

EXPECTED = 1.0  # a pair is judged if independent words would have made it this often
LARGEST = 8  # half bits; a score stops here
SHARE = 2e-6  # of all trigrams: those below are implausible


def texts(folder: Path) -> Iterator[str]:
    for name, source, _ in SOURCES:
        with open(folder / f"{name}.jsonl.zst", "rb") as file:
            for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), "utf-8"):
                record = json.loads(line)
                if source in record["source"] and record["lang"] == "en":
                    yield record["text"][:LONGEST_TEXT]


def count(folder: Path) -> tuple[Counter[tuple[str, str]], Counter[str]]:
    """Pairs of neighbouring words; trigrams of lower-case or capitalised words of two letters and more."""
    pairs: Counter[tuple[str, str]] = Counter()
    trigrams: Counter[str] = Counter()
    for text in texts(folder):
        pairs.update(re.findall(r"([a-z]+)\s+(?=([a-z]+))", text.lower()))
        for word in re.findall(r"(?<![^\W_])[A-Z]?[a-z]+(?![^\W_])", text):
            if len(word) > 1:
                edged = f"^{word.lower()}$"
                trigrams.update(edged[i : i + 3] for i in range(len(edged) - 2))
    return pairs, trigrams


def word_lines(pairs: Counter[tuple[str, str]]) -> Iterator[str]:
    total = pairs.total()
    first: Counter[str] = Counter()
    second: Counter[str] = Counter()
    for (a, b), n in pairs.items():
        first[a] += n
        second[b] += n
    for a in FUNCTION_WORDS:
        scores = [score(pairs[a, b], first[a] * second[b] / total, a == b) for b in FUNCTION_WORDS]
        yield f"function\t{a}\t{''.join(scores)}"
    for kind, words in (("strong", STRONG_WORDS), ("placeholder", PLACEHOLDERS), ("switch", SWITCHES)):
        yield from (f"{kind}\t{word}" for word in words)
    yield "script\tjavascript"


def score(seen: int, expected: float, same: bool) -> str:
    """log2(seen / expected) in half bits as a letter, `m` for 0, later for more than expected; `m` if not judged.

    A repeated word says nothing: `a a a` is mathematics, `had had` English.
    """
    if same or expected < EXPECTED:
        return "m"
    half_bits = round(2 * math.log2((seen + 0.5) / (expected + 0.5)))
    return chr(ord("m") + max(-LARGEST, min(LARGEST, half_bits)))


def trigram_lines(trigrams: Counter[str]) -> Iterator[str]:
    least = SHARE * trigrams.total()
    found = sorted(trigram for trigram, n in trigrams.items() if n >= least)
    for start in sorted({trigram[:2] for trigram in found}):
        yield f"{start}\t{''.join(trigram[2] for trigram in found if trigram[:2] == start)}"


def main(folder: Path) -> None:
    pairs, trigrams = count(folder)
    origin = "# Counted in: " + "; ".join(dict.fromkeys(name for _, _, name in SOURCES))
    words = [
        origin,
        "# kind, word; after a function word the score of every function word behind it, in the same order",
    ]
    (DATA / "junk_words.tsv").write_text("\n".join([*words, *word_lines(pairs)]) + "\n", "utf-8")
    letters = [origin, "# two letters (^ begins a word), then every third ($ ends it) that makes a plausible trigram"]
    (DATA / "junk_trigrams.tsv").write_text("\n".join([*letters, *trigram_lines(trigrams)]) + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
