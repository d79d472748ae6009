"""Evaluation by the likelihood of completions: items, tokenisation, scoring, metrics, retrieval tasks.

    from proxy_model.evaluate import ProxyScorer, JsonTokenizer, evaluate, read_items
    table = evaluate(ProxyScorer(model, digest), JsonTokenizer(path), items)
    estimates(item_scores(table))

Names are resolved when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from proxy_model.evaluate.hf import HFScorer
    from proxy_model.evaluate.items import Item, ItemError, items_hash, subset, with_examples
    from proxy_model.evaluate.metrics import METRICS, estimates, group_means, item_scores
    from proxy_model.evaluate.reading import read_items
    from proxy_model.evaluate.run import evaluate
    from proxy_model.evaluate.scoring import ProxyScorer, Scored, Scorer
    from proxy_model.evaluate.split import tokenise
    from proxy_model.evaluate.table import common_items, header_of, read_table, write_table
    from proxy_model.evaluate.tokens import HFTokenizer, JsonTokenizer

_HOME = {
    "HFScorer": "hf",
    "Item": "items",
    "ItemError": "items",
    "items_hash": "items",
    "subset": "items",
    "with_examples": "items",
    "METRICS": "metrics",
    "estimates": "metrics",
    "group_means": "metrics",
    "item_scores": "metrics",
    "read_items": "reading",
    "evaluate": "run",
    "ProxyScorer": "scoring",
    "Scored": "scoring",
    "Scorer": "scoring",
    "tokenise": "split",
    "common_items": "table",
    "header_of": "table",
    "read_table": "table",
    "write_table": "table",
    "HFTokenizer": "tokens",
    "JsonTokenizer": "tokens",
}

__all__ = [
    "METRICS",
    "HFScorer",
    "HFTokenizer",
    "Item",
    "ItemError",
    "JsonTokenizer",
    "ProxyScorer",
    "Scored",
    "Scorer",
    "common_items",
    "estimates",
    "evaluate",
    "group_means",
    "header_of",
    "item_scores",
    "items_hash",
    "read_items",
    "read_table",
    "subset",
    "tokenise",
    "with_examples",
    "write_table",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'proxy_model.evaluate' has no attribute {name!r}")
    return getattr(import_module(f"proxy_model.evaluate.{_HOME[name]}"), name)
