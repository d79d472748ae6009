"""The junk statistics in plain Python, on strings and lists: what `junk.measure_junk` must equal.

For tests and documentation; not used in a run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from curation.text import junk, junk_tables, junk_words
from curation.text.character_classes import CharacterClass as C
from curation.text.character_classes import class_table
from curation.text.junk_characters import LONG_RUN

CASES = C.LOWER | C.UPPER


def measure_junk_reference(text: str) -> dict[str, int]:
    """The statistics of one document by name, as a row of `junk.measure_junk`."""
    counts = {**_characters(text), **_words(text)}
    broken = counts.pop("broken")
    counts["mojibake"] = broken if broken >= junk.MIN_MOJIBAKE else 0
    words, strong = counts["words"], counts.pop("strong")
    english = strong >= junk.MIN_STRONG and strong * junk.STRONG_EVERY >= words
    is_cased = counts["cased_letters"] > 0
    for name, least, applies in (
        ("visible_chars", junk.MIN_VISIBLE, True),
        ("cased_letters", junk.MIN_CASED, True),
        ("sentence_starts", 0, is_cased),
        ("function_pairs", 0, english),
        ("english_tokens", 0, english),
        ("words", junk.MIN_WORDS, True),
    ):
        if counts[name] < least or not applies:
            counts[name] = 0
    return {name: counts[name] for name in junk.FIELDS}


def _has(character: str, flags: C) -> bool:
    return bool(class_table()[ord(character)] & flags)


def _case(character: str) -> str:
    """`l`, `u`, or `-` for caseless letters and all else."""
    return {C.LOWER: "l", C.UPPER: "u"}.get(C(int(class_table()[ord(character)])) & CASES, "-")


def _characters(text: str) -> dict[str, int]:
    visible = [c for c in text if not _has(c, C.SPACE)]
    letters = [c for c in visible if not _has(c, C.UNSPACED)]
    cases = [_case(c) for c in letters]
    runs = "".join(" " if _has(c, C.SPACE | C.UNSPACED) else c for c in text).split(" ")
    cased = len(cases) - cases.count("-")
    return {
        "visible_chars": len(visible),
        "digits": sum(_has(c, C.DIGIT) for c in visible),
        "long_run_chars": sum(_has(c, C.WORD) for run in runs if len(run) > LONG_RUN for c in run),
        "cased_letters": cased if 2 * cased >= sum(_has(c, C.LETTER) for c in text) else 0,
        "upper_letters": cases.count("u"),
        "broken": _mojibake(text),
    }


def _mojibake(text: str) -> int:
    """Sequences that are UTF-8 read as another encoding, then lone U+FFFD and C1 controls."""
    bits = junk_tables.damage_bits()

    def members(wanted: int, flag: int) -> str:
        found = (c for c, b in bits.items() if b & flag and (not wanted or b & junk_tables.WANTED == wanted))
        return "[" + "".join(f"\\U{c:08x}" for c in found) + "]"

    latin, cyrillic = junk_tables.LATIN_LEAD, junk_tables.CYRILLIC_LEAD
    sequences = [members(n, latin) + members(0, junk_tables.LATIN_TAIL) + f"{{{n}}}" for n in (1, 2, 3)]
    sequences += [members(n, cyrillic) + members(0, junk_tables.CYRILLIC_TAIL) + f"{{{n}}}" for n in (1, 2)]
    return len(re.findall("|".join([*sequences, members(0, junk_tables.LONE)]), text))


class _Word(NamedTuple):
    text: str
    start: int
    end: int


def _letter_runs(text: str) -> list[_Word]:
    shape = "".join("a" if _has(c, C.LETTER | C.MARK) and not _has(c, C.UNSPACED) else "." for c in text)
    return [_Word(text[m.start() : m.end()], m.start(), m.end()) for m in re.finditer("a+", shape)]


def _words(text: str) -> dict[str, int]:
    words = _letter_runs(text)
    vocabulary = junk_tables.vocabulary()
    plain = [w.text.lower() if re.fullmatch("[A-Za-z]{1,12}", w.text) else "" for w in words]
    entries = [vocabulary.get(word, 0) for word in plain]
    gaps = [text[a.end : b.start] for a, b in pairwise(words)]
    blank = [all(_has(c, C.SPACE) and not _has(c, C.LINE_BREAK) for c in gap) for gap in gaps]
    function = [
        bool(entry & junk_tables.FUNCTION) and word.text != "A" for word, entry in zip(words, entries, strict=True)
    ]
    pairs = [(plain[k], plain[k + 1]) for k in range(len(gaps)) if blank[k] and function[k] and function[k + 1]]
    return {
        "words": len(words),
        "strong": sum(bool(e & junk_tables.STRONG) for e in entries),
        "placeholder_words": sum(bool(e & junk_tables.PLACEHOLDER) for e in entries),
        "script_notices": _notices(entries),
        "function_pairs": len(pairs) + junk.PAIR_PRIOR,
        "pair_disorder": -sum(junk_tables.pair_scores()[pair] for pair in pairs),
        **_sentences(words, gaps),
        **_tokens(text),
    }


def _notices(entries: list[int]) -> int:
    """Times that `javascript` and a word like `enable` stand at most NOTICE_WORDS apart, each used once."""
    last: dict[int, int] = {}
    found = 0
    for place, entry in enumerate(entries):
        for kind in (junk_tables.SCRIPT, junk_tables.SWITCH):
            if entry & kind:
                last[kind] = place
                if (
                    len(last) == 2
                    and abs(last[junk_tables.SCRIPT] - last[junk_tables.SWITCH]) <= junk_words.NOTICE_WORDS
                ):
                    found += 1
                    last = {}
    return found


def _sentences(words: list[_Word], gaps: list[str]) -> dict[str, int]:
    """Sentence starts within a line, and capitalised words inside a sentence."""
    starts = lower = capitals = 0
    closers = "".join(map(chr, junk_words.CLOSERS))
    for word, gap, then in zip(words, gaps, words[1:], strict=False):
        case = _case(then.text[0])
        if len(word.text) < 3 or _case(word.text[-1]) != "l" or len(then.text) < 2 or case == "-":
            continue
        tail = gap[1:].lstrip(closers) if gap[0] == "." else gap
        if not tail or any(not _has(c, C.SPACE) or _has(c, C.LINE_BREAK) for c in tail):
            continue
        if gap[0] == ".":
            starts += 1
            lower += case == "l"
        else:
            capitals += case == "u" and "u" not in map(_case, then.text[1:])
    return {"sentence_starts": starts + junk.START_PRIOR, "lower_starts": min(lower, capitals)}


def _tokens(text: str) -> dict[str, int]:
    names = ("tokens", "noisy_tokens", "plain_tokens", "mixed_tokens", "english_tokens", "damaged_tokens")
    counts = dict.fromkeys(names, 0) | dict.fromkeys(names[::2], junk.TOKEN_PRIOR)
    for token in "".join(" " if _has(c, C.SPACE | C.UNSPACED) else c for c in text).split(" "):
        words = _letter_runs(token)
        if not words:
            continue
        gaps = [token[a.end : b.start] for a, b in pairwise(words)]
        counts["tokens"] += 1
        counts["noisy_tokens"] += any(c in junk_tables.NOISE_CHARACTERS for gap in gaps for c in gap)
        code = any(c in junk_tables.CODE_CHARACTERS for gap in gaps for c in gap)
        if code or any(c in junk_tables.MARKUP_CHARACTERS for c in token):
            continue
        counts["plain_tokens"] += 1
        counts["english_tokens"] += 1
        mixed = any(re.fullmatch(r"[0-9|]{1,2}", gap) is not None for gap in gaps)
        counts["mixed_tokens"] += mixed
        known = junk_tables.plausible_trigrams()
        counts["damaged_tokens"] += mixed or any(trigram not in known for trigram in _trigrams(token, words))
    return counts


def _trigrams(token: str, words: list[_Word]) -> Iterator[str]:
    for word in words:
        beside_digit = any(_has(c, C.DIGIT) for c in token[max(word.start - 1, 0) : word.start] + token[word.end :][:1])
        if re.fullmatch("[A-Za-z][a-z]+", word.text) and not beside_digit:
            edged = f"^{word.text.lower()}$"
            yield from (edged[i : i + 3] for i in range(len(edged) - 2))
