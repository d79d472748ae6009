"""What an evaluation says: the classes that `evaluate` fills, as JSON and as a web page (`report`).

Metrics with formulas and sources: docs/tokenizer-evaluation.md.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson

from tokenizer.evaluation.audit import Audit
from tokenizer.evaluation.bootstrap import Estimate
from tokenizer.evaluation.parity import Parity

EVALUATION_VERSION = 1


@dataclass(frozen=True)
class Scores:
    """One tokenizer on one group of documents.  None: nothing to divide by, or a script without words."""

    tokens: int
    bytes_per_token: Estimate | None
    chars_per_token: Estimate | None
    fertility: Estimate | None
    continued_words: Estimate | None
    single_token_retention: Estimate | None
    normalized_length: dict[str, Estimate]  # tokens / tokens of each other tokenizer, by its name
    regret: Estimate | None
    renyi: float | None
    shannon: float | None
    used_tokens: int
    used_share: float
    lossy_documents: int


@dataclass(frozen=True)
class Group:
    """Documents of one language and domain; None stands for all languages or all domains."""

    language: str | None
    domain: str | None
    documents: int
    units: int  # what the bootstrap drew: pages, documents, or 4,096 blocks of them
    bytes: int
    chars: int
    words: int
    unspaced_share: float  # of letters, those of scripts written without spaces
    scores: dict[str, Scores]


@dataclass(frozen=True)
class Evaluation:
    """`subjects[0]` is the tokenizer evaluated.  `measured` holds what no two runs share (speed)."""

    version: int
    subjects: list[str]
    seed: int
    replicates: int
    level: float
    groups: list[Group]
    parity: Parity | None
    audits: dict[str, Audit]
    measured: dict[str, Any]

    def group(self, language: str | None = None, domain: str | None = None) -> Group:
        """The group of a language and a domain, None for all.  Raises KeyError."""
        for group in self.groups:
            if (group.language, group.domain) == (language, domain):
                return group
        raise KeyError((language, domain))

    def json(self) -> bytes:
        """Everything, indented, floats to six significant digits."""
        return _dump(_rounded(asdict(self)))

    def canonical(self) -> bytes:
        """`json` without `measured`: equal bytes for equal tokenizers, documents, seed and replicates."""
        return _dump(_rounded(asdict(replace(self, measured={}))))


def headline(made: Evaluation) -> dict[str, Any]:
    """The few figures for a manifest: bytes per token and length against each yardstick, overall and by language."""
    name = made.subjects[0]
    by_language = {group.language: group.scores[name] for group in made.groups if group.domain is None}
    return _rounded(  # type: ignore[no-any-return]
        {
            "bytes_per_token": {
                language or "all": score.bytes_per_token.value
                for language, score in by_language.items()
                if score.bytes_per_token
            },
            "normalized_length": {other: ratio.value for other, ratio in by_language[None].normalized_length.items()},
            "unreachable": made.audits[name].unreachable.count,
            "lossy_documents": by_language[None].lossy_documents,
        }
    )


def _rounded(value: Any) -> Any:
    """Floats to six significant digits: what the last bits of a logarithm are depends on the machine."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list) else value


def _dump(value: Any) -> bytes:
    return orjson.dumps(
        value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    )
