"""How deep, how large and how costly a page's tree will be, found in one pass before it is parsed.

The parser (lexbor) never overflows the stack, but a few kilobytes of HTML can make
it build a million nodes (unclosed formatting elements are reopened in every block)
or walk an ancestor chain for every node.  Counting unclosed tags would refuse legal
pages with thousands of `<p>` or `<li>`; so this follows the tree builder's own rules
(WHATWG "tree construction") with a stack of hashes and builds nothing.  Where it
simplifies, it counts more.  Checked against the parser in tests and benchmarks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from curation.sources import html_elements, html_rules, html_stack, html_tokens
from curation.sources.html_elements import element_table
from curation.sources.html_stack import ACTIVE_COLUMNS, COUNTERS, DEPTH, NODES, STACK_COLUMNS, WORK
from curation.sources.html_tokens import follow
from curation.text.kernel import cached_kernel, source_digest


@dataclass(frozen=True, slots=True)
class Shape:
    """What parsing and extraction will meet.

    nodes: elements and texts of the tree.  depth: the longest chain of open elements.
    work: steps of the walks that are not linear in the page: for every element its ancestors, for
    every attribute or option a quarter of those before it in the same tag or list.
    """

    nodes: int
    depth: int
    work: int


def measure(html: str, *, nodes: int, depth: int, work: int) -> Shape:
    """The shape of a page, or of its beginning up to where it first exceeds one of the bounds.

    Linear in the page: the pass itself stops when `work` is spent.
    """
    buffer = np.frombuffer(html.encode(), dtype=np.uint8)
    stack = np.zeros((depth + 2, STACK_COLUMNS), dtype=np.int64)
    active = np.zeros((depth + 2, ACTIVE_COLUMNS), dtype=np.int64)
    counters = np.zeros(COUNTERS, dtype=np.int64)
    counters[DEPTH] = len(_FRAMESET.findall(html))
    _kernel()(buffer, *_elements(), stack, active, counters, nodes, depth, work)
    return Shape(int(counters[NODES]), int(counters[DEPTH]), int(counters[WORK]))


# Framesets take the place of the body, by rules that depend on everything before them; few pages have any,
# none has hundreds.  All of them count as one chain.
_FRAMESET = re.compile("<frameset", re.IGNORECASE)

_elements = cache(element_table)


@cache
def _kernel() -> Any:
    return _build(source_digest(html_elements, html_stack, html_rules, html_tokens))


def _build(sources: int) -> Any:
    """The entry kernel; returning `sources` makes the digest part of the machine code's cache key."""

    def measure_page(buffer, hashes, classes, stack, active, n, nodes, depth, work):  # type: ignore[no-untyped-def]
        follow(buffer, hashes, classes, stack, active, n, nodes, depth, work)
        return sources

    return cached_kernel(measure_page)
