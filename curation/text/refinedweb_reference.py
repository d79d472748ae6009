"""`refinedweb.edit` for one text in plain Python: what the property tests hold the kernel to."""

from __future__ import annotations

import re
from collections.abc import Sequence

from curation.text.line_classes import LineClass, line_tables
from curation.text.refinedweb import FIELDS, RefinedWebParameters


def edit_reference(text: str, parameters: RefinedWebParameters) -> tuple[str, dict[str, int]]:
    """(the new text, the counts)."""
    counts = dict.fromkeys(FIELDS, 0)
    out, gap, kept, edited = "", "", False, False
    for raw in text.splitlines(keepends=True):
        line = raw.strip()
        if not line:
            gap += raw
            continue
        at = raw.index(line)
        gap += raw[:at]
        words = len(line.split())
        counts["lines"] += 1
        counts["words"] += words
        removed = _whole_line(line, words, parameters)
        found = 0
        if not removed and words <= parameters.short_line:
            line, found = _take_phrases(line, parameters)
            removed = None if line.strip() else "phrase_lines"
        if removed:
            counts[removed] += 1
            counts["removed_words"] += words
            edited = True
        else:
            counts["phrases"] += found
            counts["removed_words"] += words - len(line.split())
            out += (gap if kept or not edited else "") + line
            kept = True
            edited |= found > 0
        gap = raw[at:].replace(raw.strip(), "", 1)
    return out + (gap if kept or not edited else ""), counts


def _whole_line(line: str, words: int, p: RefinedWebParameters) -> str | None:
    """The count that a line is taken out under as a whole, or None."""
    bits = [int(line_tables().classes[ord(character)]) for character in line]
    if sum(b & LineClass.UPPERCASE != 0 for b in bits) > p.max_uppercase * len(line):
        return "uppercase_lines"
    if all(b & LineClass.DIGIT for b in bits):
        return "numeric_lines"
    # As in DCLM's counter_line_modifier
    nouns = "|".join(re.escape(noun) for noun in sorted(p.counters, key=len, reverse=True))
    if p.counters and re.fullmatch(rf"\W*[0-9][0-9,.]*[kKmMbB]?\s+(?i:{nouns})\W*", _ascii_words(line)):
        return "counter_lines"
    return "single_word_lines" if words < p.min_words else None


def _ascii_words(line: str) -> str:
    """The line with every word character that is not ASCII as `é`, so that re.IGNORECASE folds A–Z only."""
    classes = line_tables().classes
    return "".join(c if c.isascii() or not classes[ord(c)] & LineClass.WORD else "é" for c in line)


def _take_phrases(line: str, p: RefinedWebParameters) -> tuple[str, int]:
    found = 0
    for phrase in _longest_first(p.at_start):
        if _is_at(line, 0, phrase):
            line, found = line[len(phrase) :].lstrip(), found + 1
            break
    trailing = 0
    for phrase in _longest_first(p.at_end):
        if _is_at(line, len(line) - len(phrase), phrase):
            line, trailing = line[: len(line) - len(phrase)].rstrip(), 1
            break
    i, out = 0, ""
    while i < len(line):
        phrase = next((phrase for phrase in _longest_first(p.anywhere) if _is_at(line, i, phrase)), "")
        if phrase:
            found += 1
            out = out.rstrip()
        out += "" if phrase else line[i]
        i += max(1, len(phrase))
    return out, found + trailing


def _longest_first(phrases: Sequence[str]) -> list[str]:
    return sorted(phrases, key=lambda phrase: (-len(phrase.encode()), phrase.encode()))


def _is_at(line: str, start: int, phrase: str) -> bool:
    end = start + len(phrase)
    if start < 0 or _fold(line[start:end]) != phrase:
        return False
    return not (_is_word(line[start - 1 : start]) and _is_word(line[start])) and not (
        _is_word(line[end : end + 1]) and _is_word(line[end - 1])
    )


def _fold(text: str) -> str:
    return "".join(c.lower() if c.isascii() else c for c in text)


def _is_word(character: str) -> bool:
    return bool(character) and bool(line_tables().classes[ord(character)] & LineClass.WORD)
