"""The statistics in plain Python, on strings, sets and counters: what `statistics.measure` must equal.

Written from datatrove 0.10's GopherRepetitionFilter, GopherQualityFilter and FineWebQualityFilter,
given the words of `segment_reference.segment`.  For tests and documentation; not used in a run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Sequence

from curation.text.character_classes import CharacterClass, class_table
from curation.text.exceptions import STOP_WORDS
from curation.text.lines import SHORT_LINE
from curation.text.repetition import DUPLICATE_SIZES, TOP_SIZES
from curation.text.seen import MAX_MEMBERS
from curation.text.segment_reference import segment


def measure_reference(text: str, max_words: int = MAX_MEMBERS) -> dict[str, int]:
    """The statistics of one document by name, as a row of `statistics.measure`."""
    return {**_lines(text), **_words(text, max_words), **_segments(text)}


def _has(character: str, flag: CharacterClass) -> bool:
    return bool(class_table()[ord(character)] & flag)


def _strip(text: str) -> str:
    visible = [i for i, character in enumerate(text) if not _has(character, CharacterClass.SPACE)]
    return text[visible[0] : visible[-1] + 1] if visible else ""


def _lines(text: str) -> dict[str, int]:
    split = [_strip(line) for line in text.splitlines()]
    nonblank = [line for line in text.split("\n") if _strip(line)]
    return {
        "chars": len(text),
        "newlines": text.count("\n"),
        "hashes": text.count("#"),
        "ellipses": text.count("...") + text.count("…"),
        "split_lines": len(split),
        "bullet_lines": sum(line.startswith(("•", "-")) for line in split),
        "ellipsis_lines": sum(line.endswith(("...", "…")) for line in split),
        "nonblank_lines": len(nonblank),
        "punctuated_lines": sum(_has(line[-1], CharacterClass.TERMINAL) for line in nonblank),
        "short_lines": sum(len(line) <= SHORT_LINE for line in nonblank),
        "visible_chars": len(text.replace("\n", "")),
        "duplicate_nonblank_line_chars": _duplicates(nonblank)[1],
    }


def _words(text: str, max_words: int) -> dict[str, int]:
    spans = segment(text)
    words = [text[start:end] for start, end in spans]
    non_symbol = [w for w in words if not all(_has(c, CharacterClass.SYMBOL) for c in w)]
    measured = words[:max_words]
    counts = {
        "words": len(words),
        "non_symbol_words": len(non_symbol),
        "non_symbol_word_chars": sum(map(len, non_symbol)),
        "alphabetic_words": sum(any(_has(c, CharacterClass.LETTER) for c in w) for w in words),
        "stop_words": len(set(STOP_WORDS) & set(words)),
        "ngram_chars": len(text) if len(words) <= max_words else spans[max_words - 1][1],
    }
    for n in TOP_SIZES:
        grams = Counter(" ".join(measured[i : i + n]) for i in range(len(measured) - n + 1))
        gram, count = grams.most_common(1)[0] if grams else ("", 0)
        counts[f"top_{n}_gram_chars"] = len(gram) * count
    for n in DUPLICATE_SIZES:
        counts[f"duplicate_{n}_gram_chars"] = _duplicate_ngram_chars(measured, n)
    return counts


def _duplicate_ngram_chars(words: list[str], n: int) -> int:
    seen: set[tuple[str, ...]] = set()
    chars = i = 0
    while i < len(words) - n + 1:
        gram = tuple(words[i : i + n])
        if gram in seen:
            chars += sum(map(len, gram))
            i += n
        else:
            seen.add(gram)
            i += 1
    return chars


def _segments(text: str) -> dict[str, int]:
    lines = re.split("\n+", text)
    paragraphs = re.split("\n{2,}", _strip(text))
    duplicate_lines, line_chars = _duplicates(lines)
    duplicate_paragraphs, paragraph_chars = _duplicates(paragraphs)
    return {
        "lines": len(lines),
        "duplicate_lines": duplicate_lines,
        "duplicate_line_chars": line_chars,
        "paragraphs": len(paragraphs),
        "duplicate_paragraphs": duplicate_paragraphs,
        "duplicate_paragraph_chars": paragraph_chars,
    }


def _duplicates(items: Sequence[Hashable]) -> tuple[int, int]:
    """(items that occurred before, their total length), as datatrove's find_duplicates."""
    seen: set[Hashable] = set()
    count = chars = 0
    for item in items:
        if item in seen:
            count += 1
            chars += len(str(item))
        seen.add(item)
    return count, chars
