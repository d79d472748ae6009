"""Features, counters and scores in plain Python, on strings: what the kernels must equal.  For tests."""

from __future__ import annotations

import math
from collections import Counter
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from curation.text.hashing import finish_reference
from quality.features import counters as c
from quality.features.characters import (
    ALONE,
    CODE,
    CURRENCY,
    DIGIT,
    IN_WORD,
    MARK,
    SKIPPED,
    SPACE,
    TERMINAL,
    UPPER,
    feature_table,
)
from quality.features.markers import MARKERS, word_hash_reference
from quality.features.space import FeatureSpace

MASK = 0xFFFF_FFFF_FFFF_FFFF
BULLETS = "-*+•·‣◦▪–"


def _has(character: str, *flags: np.uint32) -> bool:
    entry = _entry(character)
    return any(entry & flag for flag in map(int, flags))


@cache
def _entry(character: str) -> int:
    return int(feature_table()[ord(character)])


def _folded(character: str) -> int:
    return int(feature_table()[ord(character)] & CODE)


def _without_invisible(text: str) -> str:
    return "".join(x for x in text if not _has(x, SKIPPED))


def tokens_reference(text: str) -> list[str]:
    """The tokens as they stand in the text, without its invisible characters."""
    found: list[str] = []
    open_ = False  # whether a following character may continue the last token
    for x in _without_invisible(text):
        if _has(x, SPACE):
            open_ = False
        elif not _has(x, IN_WORD):
            found.append(x)
            open_ = False
        elif open_ and not _has(x, ALONE) and (not _has(found[-1][0], ALONE) or _has(x, MARK)):
            found[-1] += x
        else:
            found.append(x)
            open_ = True
    return found


def token_hash(token: str) -> int:
    return word_hash_reference([_folded(x) for x in token])


def pair_hash(first: str, second: str) -> int:
    return finish_reference((token_hash(first) * 3 + token_hash(second)) & MASK)


def symbols_reference(text: str) -> list[int]:
    """16 bits of each case-folded character; runs of white space are one blank, one stands at both ends."""
    symbols = [0x20]
    for x in [*_without_invisible(text), " "]:
        symbol = 0x20 if _has(x, SPACE) else _folded(x) & 0xFFFF
        if not (_has(x, SPACE) and symbols[-1] == 0x20):
            symbols.append(symbol)
    return symbols


def features_reference(text: str, space: FeatureSpace) -> dict[int, int]:
    """Count of each bucket, by ascending bucket."""
    tokens, symbols = tokens_reference(text), symbols_reference(text)
    hashes = [token_hash(t) for t in tokens] + [pair_hash(a, b) for a, b in pairwise(tokens)]
    counts = Counter(value >> (64 - space.word_bits) for value in hashes)
    for i in range(len(symbols) - 3):
        gram = sum(symbol << (16 * (3 - k)) for k, symbol in enumerate(symbols[i : i + 4]))
        counts[space.word_buckets + (finish_reference(gram) >> (64 - space.char_bits))] += 1
    return dict(sorted(counts.items()))


def score_reference(
    text: str,
    space: FeatureSpace,
    weights: NDArray[np.float32],
    idf: NDArray[np.float32] | None = None,
    kept: NDArray[np.int32] | None = None,
) -> NDArray[np.float64]:
    """The score of one text in float64, by the definition in `hashing.py`."""
    row_of = {int(b): i for i, b in enumerate(range(space.buckets) if kept is None else kept)}
    total, squares = np.zeros(weights.shape[1]), 0.0
    for bucket, count in features_reference(text, space).items():
        if bucket in row_of:
            row = row_of[bucket]
            value = (1.0 + math.log(count)) * (1.0 if idf is None else float(idf[row]))
            total += value * weights[row].astype(np.float64)
            squares += value * value
    return total / math.sqrt(squares) if squares else total


def known_share_reference(text: str, space: FeatureSpace, kept: NDArray[np.int32] | None = None) -> float:
    """Share of the occurrences of features whose bucket is kept (`hashing.known_share`)."""
    counts = features_reference(text, space)
    held = set(range(space.buckets) if kept is None else kept.tolist())
    return sum(n for bucket, n in counts.items() if bucket in held) / max(sum(counts.values()), 1)


def counters_reference(text: str) -> dict[str, int]:
    """The named counters of one text, by the names of `counters.py`."""
    visible = _without_invisible(text)
    tokens = tokens_reference(text)
    words = [t for t in tokens if _has(t[0], IN_WORD) and not _has(t[0], ALONE)]
    symbols = symbols_reference(text)
    beyond = [x for x in text if ord(x) >= 0x80]
    row = {
        "CHARS": len(text),
        "FOREIGN": sum(_has(x, IN_WORD) and not _has(x, ALONE) for x in beyond),
        "UNSPACED": sum(_has(x, ALONE) for x in beyond),
        "OTHER_SIGNS": sum(not _has(x, IN_WORD, SPACE, SKIPPED) for x in beyond),
        "INVISIBLE": len(text) - len(visible),
        "UPPERS": sum(_has(x, UPPER) for x in visible),
        "DIGITS": sum(_has(x, DIGIT) for x in visible),
        "MONEY": sum(_has(x, CURRENCY) for x in visible),
        "WORDS": len(words),
        "WORD_CHARS": sum(map(len, words)),
        "WORD_SQUARES": sum(len(w) ** 2 for w in words),
        "LONG": sum(len(w) > c.LONG_WORD for w in words),
        "VERY_LONG": sum(len(w) > c.VERY_LONG_WORD for w in words),
        "LONGEST": max(map(len, words), default=0),
        "CAPITALISED": sum(_has(w[0], UPPER) for w in words),
        "SHOUTED": sum(len(w) > 1 and all(_has(x, UPPER) for x in w) for w in words),
        "WITH_DIGIT": sum(any(_has(x, DIGIT) for x in w) for w in words),
        "NUMBERS": sum(all(_has(x, DIGIT) for x in w) for w in words),
        "YEARS": sum(len(w) == 4 and all(_has(x, DIGIT) for x in w) and w[:2] in ("19", "20") for w in words),
        "TOKENS": len(tokens),
        "NEW_TOKENS": _distinct([token_hash(t) for t in tokens[: c.SKETCHED]]),
        "NEW_PAIRS": _distinct([pair_hash(a, b) for a, b in pairwise(tokens[: c.SKETCHED])]),
        "LINKS": sum(symbols[i : i + 3] == [*map(ord, "://")] for i in range(len(symbols)))
        + sum(symbols[i : i + 4] == [*map(ord, "www.")] for i in range(len(symbols))),
    }
    folded = ["".join(chr(_folded(x)) for x in w) for w in words]
    for i, listed in enumerate(MARKERS.values()):
        row[_NAMES[c.MARKERS + i]] = sum(w in listed.split() for w in folded)
    return {**row, **_sentences(visible), **_lines(visible)}


_NAMES = {
    value: name for name, value in vars(c).items() if name.isupper() and name != "MARKERS" and 128 <= value < c.WIDTH
}


def _distinct(hashes: list[int]) -> int:
    return len({value >> (64 - c.SKETCH_BITS) for value in hashes})


def _sentences(visible: str) -> dict[str, int]:
    sentences: list[tuple[int, str]] = []  # words, and what ended it
    begin = 0
    for i, x in enumerate(visible):
        follows = visible[i + 1 : i + 2]
        mark = _has(x, TERMINAL) and not _has(x, IN_WORD)
        ends = mark and (ord(x) >= 0x80 or not follows or not _has(follows, IN_WORD))
        blank = x == "\n" and all(_has(y, SPACE) for y in visible[:i].rpartition("\n")[2])
        if ends or blank or not follows:
            words = sum(_has(t[0], IN_WORD) for t in tokens_reference(visible[begin : i + 1]))
            sentences.append((words, x if ends else ""))
            begin = i + 1
    sentences = [s for s in sentences if s[0]]
    return {
        "SENTENCES": len(sentences),
        "SENTENCE_WORDS": sum(n for n, _ in sentences),
        "SENTENCE_SQUARES": sum(n * n for n, _ in sentences),
        "QUESTIONS": sum(mark in ("?", "？", "؟") for _, mark in sentences),
        "EXCLAMATIONS": sum(mark in ("!", "！") for _, mark in sentences),
    }


def _strip(line: str) -> str:
    kept = [i for i, x in enumerate(line) if not _has(x, SPACE)]
    return line[kept[0] : kept[-1] + 1] if kept else ""


def _first_run(line: str) -> str:
    """The first characters of a stripped line up to white space."""
    for i, x in enumerate(line):
        if _has(x, SPACE):
            return line[:i]
    return line


def _lines(visible: str) -> dict[str, int]:
    every = visible.split("\n")
    lines = [line for line in every if _strip(line)]
    lengths = [sum(not _has(x, SPACE) for x in line) for line in lines]
    stripped = [_strip(line) for line in lines]
    # A mark of a list is followed by white space: the rest of the line, or the line's end.
    followed = [_first_run(line) for line in stripped]
    hashes = []
    for line in lines[: c.SKETCHED]:
        value = 0
        for token in tokens_reference(line):
            value = finish_reference((value + token_hash(token)) & MASK)
        hashes.append(value)
    return {
        "NEW_LINES": _distinct(hashes),
        "LINES": len(lines),
        "BLANK_LINES": sum(not _strip(line) for line in every[:-1]),
        "LINE_CHARS": sum(lengths),
        "LINE_SQUARES": sum(n * n for n in lengths),
        "SHORT": sum(n <= c.SHORT_LINE for n in lengths),
        "BULLETED": sum(len(f) == 1 and f in BULLETS for f in followed),
        "NUMBERED": sum(2 <= len(f) <= 4 and f[-1] in ".)" and all(_has(x, DIGIT) for x in f[:-1]) for f in followed),
        "HEADED": sum(line[0] == "#" for line in stripped),
        "INDENTED": sum(_indent(line) >= c.INDENT for line in lines),
        "TABLES": sum(_table_marks(_strip_left(line)) >= c.TABLE_MARKS for line in lines),
        "ENDED": sum(_has(line[-1], TERMINAL) for line in stripped),
        "COLONS": sum(line[-1] == ":" for line in stripped),
        "CODED": sum(line[-1] in ";{}" for line in stripped),
    }


def _table_marks(line: str) -> int:
    return line[1:].count("|") + line.count("\t")


def _strip_left(line: str) -> str:
    return line[next(i for i, x in enumerate(line) if not _has(x, SPACE)) :]


def _indent(line: str) -> int:
    blanks = line[: len(line) - len(_strip_left(line))]
    return sum(4 if x == "\t" else 1 for x in blanks)
