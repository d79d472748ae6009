"""Word scores of URLs, after RefinedWeb (arXiv 2306.01116, G.1); semantics of datatrove's URLFilter.

A word is a run of [a-z0-9] of the lower-case URL.  One hard word, `soft` different soft words, or one
strict subword (a part of the URL without everything that is not [a-z0-9]) removes the page.  RE2
looks at all URLs at once; only those it points at are looked at one by one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

import pyarrow as pa
import pyarrow.compute as pc
import yaml

_NOT_WORD = re.compile(r"[^a-z0-9]+")
_ENTRY = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True)
class UrlWords:
    """Words in the form [a-z0-9]+."""

    hard: frozenset[str]
    soft: frozenset[str]
    strict: tuple[str, ...]


@cache
def bundled_words() -> UrlWords:
    """The words in data/url_words.yaml, which states their source."""
    text = resources.files("curation.rules").joinpath("data/url_words.yaml").read_text("utf-8")
    lists: dict[str, list[str]] = yaml.safe_load(text)
    if any(not _ENTRY.fullmatch(word) for words in lists.values() for word in words):
        raise ValueError("data/url_words.yaml: a word is not of the form [a-z0-9]+")
    return UrlWords(frozenset(lists["hard"]), frozenset(lists["soft"]), tuple(sorted(lists["strict"])))


def score(url: pa.StringArray, words: UrlWords, soft: int) -> list[tuple[str, str] | None]:
    """n rows: (rule, matched words) of the first of hard_word, soft_words, strict_subword; None otherwise."""
    lower = pc.utf8_lower(pc.fill_null(url, ""))
    packed = pc.replace_substring_regex(lower, "[^a-z0-9]+", "")
    listed = "|".join(sorted(words.hard | words.soft))
    suspect = pc.or_(
        pc.match_substring_regex(lower, f"(?:^|[^a-z0-9])(?:{listed})(?:[^a-z0-9]|$)") if listed else pa.scalar(False),
        pc.match_substring_regex(packed, "|".join(words.strict)) if words.strict else pa.scalar(False),
    )
    found: list[tuple[str, str] | None] = [None] * len(url)
    for i in pc.indices_nonzero(suspect).to_pylist() if listed or words.strict else []:
        found[i] = _score_one(lower[i].as_py(), packed[i].as_py(), words, soft)
    return found


def _score_one(lower: str, packed: str, words: UrlWords, soft: int) -> tuple[str, str] | None:
    present = set(_NOT_WORD.split(lower))
    if hard := words.hard & present:
        return "hard_word", min(hard)
    mild = sorted(words.soft & present)
    if len(mild) >= soft:
        return "soft_words", ", ".join(mild)
    strict = next((word for word in words.strict if word in packed), None)
    return None if strict is None else ("strict_subword", strict)


def score_reference(url: str | None, words: UrlWords, soft: int) -> tuple[str, str] | None:
    """One row of `score`, without the regular expressions that point at suspects."""
    lower = (url or "").lower()
    return _score_one(lower, _NOT_WORD.sub("", lower), words, soft)
