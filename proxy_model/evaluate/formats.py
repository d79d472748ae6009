"""One record → one item, for each of three formats.

Own: {benchmark, id, query, choices, gold} · with {contexts, continuation} instead of a completion (WinoGrande) · or
{query, answer} (cloze).  lm-evaluation-harness: a line of `--log_samples`.  OLMES: request files, one request a line,
the requests of one document together (allenai/OLMo-in-loop-evals).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proxy_model.evaluate.items import Item, ItemError, Kind, passage_cluster

UNCONDITIONAL = 1_000_000  # OLMES numbers requests without the question from here
NO_SPACES = frozenset({"zh", "th", "ja", "lo", "km", "my"})  # languages written without spaces between words

# What joins premise and alternative in XCOPA: (cause, effect), as lm-evaluation-harness has them.
XCOPA_WORDS = {
    "et": ("sest", "seetõttu"), "ht": ("poukisa", "donk sa"), "id": ("karena", "maka"), "it": ("perché", "quindi"),
    "qu": ("imataq", "chaymi"), "sw": ("kwa sababu", "kwa hiyo"), "ta": ("காரணமாக", "எனவே"),
    "th": ("เพราะ", "ดังนั้น"), "tr": ("çünkü", "bu yüzden"), "vi": ("bởi vì", "vì vậy"), "zh": ("因为", "所以"),
    "en": ("because", "so"),
}  # fmt: skip
_SAMPLES = re.compile(r"samples_(.+?)(?:_\d{4}-\d{2}-\d{2}T[\d:.\-]+)?\.jsonl")


@dataclass(frozen=True, slots=True)
class Record:
    """One parsed line and where it stood."""

    data: Mapping[str, Any]
    file: str
    line: int

    @property
    def document(self) -> tuple[str, str]:
        """What the requests of one OLMES document share."""
        return str(self.data.get("task_name")), str(self.data.get("doc_id"))

    @property
    def unconditional(self) -> bool:
        """An OLMES request for the choice without its question."""
        number = self.data.get("doc_id")
        return isinstance(number, int) and number >= UNCONDITIONAL


def is_olmes(data: Mapping[str, Any]) -> bool:
    """Whether a record is one request of an OLMES file."""
    return isinstance(data.get("request"), dict) and "doc_id" in data


def is_lm_eval(data: Mapping[str, Any]) -> bool:
    """Whether a record is a sample that lm-evaluation-harness logged."""
    return "arguments" in data and "doc" in data


def item_of_own(record: Record) -> Item:
    """The project's own format; raises ItemError."""
    data = record.data
    benchmark = _text(data, "benchmark") or record.file.partition(".")[0]
    identity = _text(data, "id") or f"line-{record.line}"
    query, joining = _text(data, "query"), data.get("joining")
    if isinstance(data.get("relation"), str) and benchmark == "xcopa":
        return _xcopa(data, identity, query)
    common = {
        "benchmark": benchmark,
        "id": identity,
        "cluster": _text(data, "cluster") or passage_cluster(query) or identity,
        "group": _text(data, "group") or _text(data, "subject"),
        "weight": _number(data.get("weight", 1.0)),
    }
    if "contexts" in data or "continuation" in data:
        contexts = _texts(data, "contexts")
        return _item("context_choice", contexts, (_text(data, "continuation"),), _gold(data), joining, common)
    if data.get("choices") is not None:
        return _item("multiple_choice", (query,), _texts(data, "choices"), _gold(data), joining, common)
    if "answer" in data:
        return _item("cloze", (query,), (_text(data, "answer"),), 0, joining, common)
    there = ", ".join(list(data)[:20])[:200]
    raise ItemError(f"neither choices nor an answer; its fields are: {there}")


def item_of_lm_eval(record: Record) -> Item:
    """A logged sample of a multiple_choice or loglikelihood task; raises ItemError."""
    data = record.data
    pairs = _arguments(data["arguments"])
    found = _SAMPLES.fullmatch(record.file)
    doc = data["doc"] if isinstance(data["doc"], dict) else {}
    target = str(data.get("target", ""))
    contexts = list(dict.fromkeys(context for context, _ in pairs))
    gold: int | None = int(target) if target.isdecimal() and len(target) < 4 else None
    if gold is None:  # the target is the text of the choice, or, with several contexts, of the continuation
        same = [i for i, (_, continuation) in enumerate(pairs) if continuation.strip() == target.strip()]
        gold = same[0] if len(same) == 1 else None
    if gold is None and len(contexts) > 1 and str(doc.get("answer")) in ("1", "2"):  # WinoGrande
        gold = int(doc["answer"]) - 1
    return _of_requests(pairs, gold, found[1] if found else record.file.partition(".")[0], str(data.get("doc_id")))


def item_of_olmes(records: Sequence[Record]) -> Item:
    """The requests of one document; raises ItemError."""
    try:
        ordered = sorted(records, key=lambda record: int(record.data.get("idx", 0)))
        pairs = [(str(r.data["request"]["context"]), str(r.data["request"]["continuation"])) for r in ordered]
    except (KeyError, TypeError, ValueError):
        raise ItemError("an OLMES request needs request.context, request.continuation and a numeric idx") from None
    label = ordered[0].data.get("label")
    gold = label if isinstance(label, int) and not isinstance(label, bool) else 0 if len(pairs) == 1 else None
    task, document = ordered[0].document
    return _of_requests(pairs, gold, task, str(ordered[0].data.get("native_id") or "") + f"#{document}")


def _of_requests(pairs: list[tuple[str, str]], gold: int | None, benchmark: str, identity: str) -> Item:
    """(context, continuation) of each option; the joining space is the one that every continuation begins with."""
    if gold is None:
        raise ItemError("no gold")
    contexts = tuple(dict.fromkeys(context for context, _ in pairs))
    spaced = all(text.startswith(" ") and len(text) > 1 and text[1] != " " for _, text in pairs)
    texts = tuple(text[1:] if spaced else text for _, text in pairs)
    common = {"benchmark": benchmark, "id": identity, "cluster": identity}
    joining = " " if spaced else ""
    if len(pairs) == 1:
        return _item("cloze", contexts, texts, 0, joining, common)
    if len(contexts) == 1:
        return _item("multiple_choice", contexts, texts, gold, joining, common)
    if len(set(texts)) == 1 and len(contexts) == len(pairs):
        return _item("context_choice", contexts, texts[:1], gold, joining, common)
    raise ItemError("contexts and continuations both vary: neither multiple choice nor choice of context")


def _xcopa(data: Mapping[str, Any], identity: str, query: str) -> Item:
    language = _text(data, "lang")
    if language not in XCOPA_WORDS or data["relation"] not in ("cause", "effect"):
        raise ItemError(f"no connecting word for language {language!r}, relation {str(data['relation'])[:20]!r}")
    word = XCOPA_WORDS[language][data["relation"] == "effect"]
    space = "" if language in NO_SPACES else " "
    premise = query.strip().rstrip(".。")
    choices = tuple(one[:1].lower() + one[1:] for one in _texts(data, "choices"))
    common = {"benchmark": f"xcopa_{language}", "id": identity, "cluster": identity}
    return _item("multiple_choice", (premise + space + word,), choices, _gold(data), space, common)


def _item(
    kind: Kind, contexts: tuple[str, ...], choices: tuple[str, ...], gold: int, joining: Any, common: Mapping[str, Any]
) -> Item:
    """Between a context that ends in white space, or none, and a choice stands nothing; else a space unless given."""
    if joining is None:
        joining = "" if all(not one or one[-1].isspace() for one in contexts) else " "
    if not isinstance(joining, str):
        raise ItemError("'joining' is no text")
    return Item(kind=kind, contexts=contexts, choices=choices, gold=gold, joining=joining, **common)


def _text(data: Mapping[str, Any], field: str) -> str:
    value = data.get(field)
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise ItemError(f"{field!r} is no text")
    return value


def _texts(data: Mapping[str, Any], field: str) -> tuple[str, ...]:
    value = data.get(field)
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ItemError(f"{field!r} is no list of texts")
    return tuple(value)


def _gold(data: Mapping[str, Any]) -> int:
    gold = data.get("gold")
    if gold is None:
        raise ItemError("no gold")
    if isinstance(gold, bool) or not isinstance(gold, int):
        raise ItemError(f"gold is {str(gold)[:40]!r}, not the place of a choice")
    return gold


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ItemError("'weight' is no number")
    return float(value)


def _arguments(value: Any) -> list[tuple[str, str]]:
    """`[[context, continuation], …]` as in memory, or the dictionaries that lm-evaluation-harness writes."""
    rows = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(rows, list) or not rows:
        raise ItemError("'arguments' holds no request")
    pairs = []
    for row in rows:
        both = list(row.values()) if isinstance(row, dict) else row
        if not isinstance(both, list) or len(both) < 2 or not all(isinstance(one, str) for one in both[:2]):
            raise ItemError("a request that is no log-likelihood: context and continuation expected")
        pairs.append((both[0], both[1]))
    return pairs
