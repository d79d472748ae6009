r"""How text is cut into words before any merge: named regular expressions, as public vocabularies use them.

A byte-level BPE never merges across these borders, so the pattern is part of a vocabulary's identity.
The strings are verbatim: engines recognise their fast paths by the exact string, and llama.cpp by
what it does.  Presets measured against each other: docs of the tokenizer; o200k is the default because it
keeps combining marks inside a word (Indic and South-East Asian scripts) and digits in groups of three.

Sources: tiktoken `openai_public.py` (o200k, gpt2), the published tokenizer.json of Llama 3, Qwen 2.5,
Qwen 3.5 and DeepSeek V3; `o200k-1digit` is o200k with `\p{N}` for `\p{N}{1,3}`.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from curation.pipeline.errors import UsageError

# Unicode version and probed library of data/unicode_classes.tsv: part of every count table and vocabulary.
UNICODE_TABLE_VERSION = "16.0/tokenizers-0.23.3"
DEFAULT_PATTERN = "o200k"
CUSTOM = "custom"


@dataclass(frozen=True)
class Pattern:
    """`stages`: regular expressions applied in order, each one splitting the pieces of the one before it.

    Matches and what lies between them are both pieces ("isolated" in Hugging Face's `Split`).  All
    patterns but deepseek-v3 have one stage.  `name` is "custom" for a free regular expression.
    """

    name: str
    stages: tuple[str, ...]


_O200K_HEAD = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
)
_O200K_TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_SUFFIX_FIRST = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_LINES = r"|\s*[\r\n]+|\s+(?!\S)|\s+"

PATTERNS: dict[str, Pattern] = {
    name: Pattern(name, stages)
    for name, stages in {
        "o200k": (_O200K_HEAD + r"|\p{N}{1,3}" + _O200K_TAIL,),
        "o200k-1digit": (_O200K_HEAD + r"|\p{N}" + _O200K_TAIL,),
        "llama3": (_SUFFIX_FIRST + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*" + _LINES,),
        "qwen2.5": (_SUFFIX_FIRST + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*" + _LINES,),
        "qwen3.5": (_SUFFIX_FIRST + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*" + _LINES,),
        "deepseek-v3": (
            r"\p{N}{1,3}",
            "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
            r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
            r"| ?[\p{P}\p{S}]+[\r\n]*" + _LINES,
        ),
        "gpt2": (r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",),
    }.items()
}

_PRESET_LIKE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # a name, not a regular expression worth splitting by


def pattern_of(name_or_regex: str) -> Pattern:
    """The preset of that name, or a custom pattern of that one regular expression.

    What looks like a name (letters, digits, `.`, `_`, `-` only) must be a preset.  Raises UsageError for
    another name, with the nearest one, and for a regular expression that `tokenizers` does not accept.
    """
    if name_or_regex in PATTERNS:
        return PATTERNS[name_or_regex]
    if not name_or_regex or _PRESET_LIKE.fullmatch(name_or_regex):
        near = difflib.get_close_matches(name_or_regex, PATTERNS, 1, 0.4)
        raise UsageError(
            f"no pattern is called {name_or_regex!r}",
            (f"did you mean {near[0]!r}? " if near else "")
            + f"known: {', '.join(PATTERNS)}; or give a regular expression",
        )
    for pattern in PATTERNS.values():
        if pattern.stages == (name_or_regex,):
            return pattern
    from tokenizers import Regex

    try:
        Regex(name_or_regex)
    except Exception as error:  # the library raises a bare Exception
        raise UsageError(
            f"not a regular expression: {name_or_regex!r} ({error})", "Oniguruma syntax is expected"
        ) from None
    return Pattern(CUSTOM, (name_or_regex,))
