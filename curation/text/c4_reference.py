"""`c4.edit` for one text in plain Python: what the property tests hold the kernel to."""

from __future__ import annotations

import re
from collections.abc import Sequence

from curation.text.c4 import FIELDS, POLICY_PHRASES, C4Parameters
from curation.text.sentences_reference import count_sentences_reference

CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")


def edit_reference(text: str, parameters: C4Parameters, blocked: Sequence[str] = ()) -> tuple[str, dict[str, int]]:
    """(the new text, the counts)."""
    counts = dict.fromkeys(FIELDS, 0)
    kept: list[str] = []
    for raw in text.splitlines():
        line = raw.strip()
        if not line:
            continue
        counts["lines"] += 1
        clean, citations = CITATION.subn("", line)
        if citations and not parameters.terminal_punctuation:
            clean = clean.rstrip()
        reason = _reason(line, clean, parameters, blocked, counts)
        if reason:
            counts[reason] += 1
            continue
        counts["kept_lines"] += 1
        counts["citations"] += citations
        counts["sentences"] += count_sentences_reference(clean if kept else clean.lstrip())
        kept.append(clean if kept else clean.lstrip())
    return "\n".join(kept), counts


def _reason(line: str, clean: str, p: C4Parameters, blocked: Sequence[str], counts: dict[str, int]) -> str | None:
    """The count that a line is taken out under, or None."""
    if any(len(word) > p.max_word_length for word in line.split()):
        return "long_word_lines"
    if p.terminal_punctuation and (not clean.endswith(tuple(p.terminal_punctuation)) or clean.endswith("...")):
        return "unpunctuated_lines"
    if len((clean if p.words_after_citations else line).split()) < p.min_words or not clean:
        return "short_lines"
    lower = clean.lower()
    counts["lorem_ipsum_lines"] += "lorem ipsum" in lower
    if "javascript" in lower:
        return "javascript_lines"
    counts["curly_bracket_lines"] += "{" in clean
    if any(phrase in lower for phrase in POLICY_PHRASES):
        return "policy_lines"
    if p.blocked_words and blocked:
        # c4_utils.get_clean_page_fn: a character other than a–z on both sides
        words = "|".join(re.escape(word) for word in blocked)
        counts["blocked_word_lines"] += bool(re.search(f"[^a-z](?:{words})[^a-z]", lower))
    return None
