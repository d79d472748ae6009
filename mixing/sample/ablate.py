"""A smaller set to experiment on that repeats documents as the final run does.

`matched` keeps whole documents with all their copies, in order of the second draw `prio_ablate`: a cell that the
final run repeats 3.2 times is repeated 3.2 times.  `ordinary` draws occurrences, as is common: it keeps the mix
and loses the repeats.  Source: paper.md (MiniMax-01 §4.1.3.2), quality_mixing §4.5.

The second draw must be independent of the first: documents that come early by `prio_sample` are the ones that
the final run takes once more than the others, so that draw would pick them and distort the repeats.

Cut at a number of tokens, a cell of few documents would keep the short ones: they fit.  So each cell is a circle of
its tokens from which a growing arc is kept, from a drawn point on, and a document is in when the arc covers a drawn
share of it: whatever its length, a document's chance is exactly the arc's share of the circle (systematic sampling).

A few books more or less in many cells would still move the repeats of a small set.  So the documents of all cells
that stand equally often form one class, in order of their arcs, and the cut is at one share of every class: the
tokens of a class are off by one document, not by one a cell.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixing.sample.documents import Documents
from mixing.sample.entry import sorted_by
from mixing.sample.places import mixed, unit

START, SHARE, CLASS, ORDINARY = (np.uint64(int.from_bytes(one)) for one in (b"start", b"share", b"class", b"ordinary"))


def matched(
    documents: Documents, copies: NDArray[np.uint16], budget: float, draw: NDArray[np.uint64] | None = None
) -> NDArray[np.uint16]:
    """uint16[documents]: all copies of a document, or 0; `budget` tokens to half of the last document's copies.

    The set of a budget is contained in that of any larger one.  draw: the order, by default `documents.ablate`.
    """
    draw = documents.ablate if draw is None else draw
    rows, places, weights = [], [], []
    for cell in range(documents.cells):
        here = documents.rows(cell)
        there = np.flatnonzero(copies[here])
        there = there[sorted_by(draw[here][there], (documents.doc_key[here][there],))]
        weight = documents.sizes(cell)[there] * copies[here][there]
        if len(there):
            first = mixed(documents.doc_key[here][there[:1]])
            places.append(arc(weight, *(float(unit(mixed(first ^ one))[0]) for one in (START, SHARE))))
            rows.append(here.start + there)
            weights.append(weight)
    kept = np.zeros_like(copies)
    if rows:
        row, weight = np.concatenate(rows), np.concatenate(weights)
        place = by_class(documents.doc_key[row], copies[row], np.concatenate(places), weight)
        mine = _cut(documents, [row], [place], [weight], budget)
        kept[mine] = copies[mine]
    return kept


def by_class(
    doc_key: NDArray[np.uint64], copies: NDArray[np.uint16], place: NDArray[np.float64], weight: NDArray[np.int64]
) -> NDArray[np.float64]:
    """float64[n]: the share of its class (documents with as many copies) from which on each document is in.

    A class takes its documents in order of `place`; the last one is in when a drawn share of it is covered.
    """
    found = np.empty(len(place))
    for many in np.unique(copies):
        mine = np.flatnonzero(copies == many)
        mine = mine[sorted_by(place[mine], (doc_key[mine],))]
        end = np.cumsum(weight[mine])
        share = float(unit(mixed(doc_key[mine[:1]] ^ CLASS))[0])
        found[mine] = (end - weight[mine] + share * weight[mine]) / end[-1]
    return found


def arc(weight: NDArray[np.int64], start: float, share: float) -> NDArray[np.float64]:
    """float64[n] in [0, 1): the arc, as a share of the circle, from which on each document is in.

    weight: > 0, in order around the circle; start, share: in [0, 1), where the arc begins, and how much of a
    document it must cover.
    """
    end = np.cumsum(weight)
    whole = float(end[-1])
    point = start * whole
    at = min(int(np.searchsorted(end, point, side="right")), len(end) - 1)
    place = (end - weight - point) % whole + share * weight
    covered = float(end[at]) - point  # of the document that the arc begins in, before it comes round
    heavy = float(weight[at])
    place[at] = share * heavy if covered >= share * heavy else whole - heavy + share * heavy
    found: NDArray[np.float64] = place / whole
    return found


def ordinary(documents: Documents, copies: NDArray[np.uint16], budget: float) -> NDArray[np.uint16]:
    """uint16[documents]: of each document's copies, those that a draw of single occurrences hits."""
    rows, places, weights = [], [], []
    for cell in range(documents.cells):
        here = documents.rows(cell)
        many = copies[here].astype(np.int64)
        document = np.repeat(np.arange(len(many), dtype=np.int32), many)
        turn = np.arange(len(document)) - np.repeat(np.cumsum(many) - many, many)
        start = mixed(documents.ablate[here] ^ ORDINARY)
        places.append(unit(mixed(start[document] ^ turn.astype(np.uint64))))
        rows.append(here.start + document.astype(np.int64))
        weights.append(documents.sizes(cell)[document])
    kept = np.zeros_like(copies)
    np.add.at(kept, _cut(documents, rows, places, weights, budget), np.uint16(1))
    return kept


def _cut(
    documents: Documents, rows: list[NDArray[np.int64]], places: list[NDArray[np.float64]],
    weights: list[NDArray[np.int64]], budget: float,
) -> NDArray[np.int64]:  # fmt: skip
    """The first rows in order of their places, to the boundary nearest to the budget."""
    none = np.zeros(0, np.int64)
    row, weight = np.concatenate([none, *rows]), np.concatenate([none, *weights])
    place = np.concatenate([np.zeros(0), *places])
    order = sorted_by(place, (documents.doc_key[row],))
    held = np.concatenate([[0], np.cumsum(weight[order])])
    after = min(int(np.searchsorted(held, budget, side="left")), len(order))
    nearest = after - 1 if after and budget - held[after - 1] <= held[after] - budget else after
    return row[order[:nearest]]
