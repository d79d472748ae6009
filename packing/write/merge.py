"""The occurrences of a queue over all units, in training order, a bounded number at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from packing.write.occurrences import OCCURRENCE
from packing.write.unit import DOCUMENTS, Unit

AT_ONCE = 1 << 20  # occurrences held, some 100 bytes each while they are sorted
PLACED = np.dtype([*((name, OCCURRENCE[name]) for name in OCCURRENCE.names or ()), ("unit", "<u4")])


def merged(
    units: Sequence[Unit], queue: str, sources: Sequence[str], *, begin: float = 0.0, at_once: int = AT_ONCE
) -> Iterator[NDArray[np.void]]:
    """PLACED records sorted by (order_key, doc_key, copy); `source` numbers are those of `sources`.

    With `begin`, those with an order key from it on come first, and then the others.
    However the documents are divided into units, the records are the same but for `unit` and `start`.
    Raises UsageError where two documents have one key, or a mix table lists an occurrence twice.
    """
    sections = [_section(unit, queue) for unit in units]
    renumbered = [np.array([sources.index(name) for name in unit.info.sources], np.uint16) for unit in units]
    at = [int(np.searchsorted(one["order_key"], begin, "left")) for one in sections]
    turns = [[one[first:] for one, first in zip(sections, at, strict=True)]]
    turns += [[one[:first] for one, first in zip(sections, at, strict=True)]] * (begin > 0)
    for parts in turns:
        yield from _in_order(parts, renumbered, units, at_once)


def _in_order(
    parts: Sequence[NDArray[np.void]], renumbered: Sequence[NDArray[np.uint16]], units: Sequence[Unit], at_once: int
) -> Iterator[NDArray[np.void]]:
    bounds = _bounds(parts, at_once)
    places = [0] * len(parts)
    for bound in [*bounds, np.inf]:
        found = []
        for number, part in enumerate(parts):
            stop = int(np.searchsorted(part["order_key"], bound, "left"))
            if stop > places[number]:
                found.append(_placed(part[places[number] : stop], number, renumbered[number]))
                places[number] = stop
        if found:
            together = np.concatenate(found)
            together = together[np.lexsort((together["copy"], together["doc_key"], together["order_key"]))]
            _check_distinct(together, units)
            yield together


def _section(unit: Unit, queue: str) -> NDArray[np.void]:
    if queue not in unit.info.queues:
        return unit.occurrences[:0]
    number = unit.info.queues.index(queue)
    first, last = np.searchsorted(unit.occurrences["queue"], [number, number + 1])
    return unit.occurrences[first:last]


def _bounds(parts: Sequence[NDArray[Any]], at_once: int) -> list[float]:
    """Order keys between which at most some `at_once` records lie: quantiles of every few-th key."""
    step = max(1, at_once // 64)
    total = sum(map(len, parts))
    if total <= at_once:
        return []
    sample = np.sort(np.concatenate([part["order_key"][::step] for part in parts]))
    bounds: list[float] = np.unique(sample[:: max(1, len(sample) * at_once // total)][1:]).tolist()
    return bounds


def _placed(part: NDArray[np.void], unit: int, sources: NDArray[np.uint16]) -> NDArray[np.void]:
    made = np.zeros(len(part), PLACED)
    for name in OCCURRENCE.names or ():
        made[name] = part[name]
    made["source"] = sources[part["source"]]
    made["unit"] = unit
    return made


def _check_distinct(ordered: NDArray[np.void], units: Sequence[Unit]) -> None:
    same = (ordered["doc_key"][1:] == ordered["doc_key"][:-1]) & (ordered["copy"][1:] == ordered["copy"][:-1])
    if not same.any():
        return
    at = int(np.argmax(same))
    pair = ordered[at : at + 2]
    names = [_id_of(units[int(one["unit"])], int(one["doc_key"])) for one in pair]
    if pair["unit"][0] == pair["unit"][1] and pair["start"][0] == pair["start"][1]:
        raise UsageError(f"the mix table lists copy {pair['copy'][0]} of {names[0]!r} twice", "make the mix again")
    raise UsageError(
        f"two documents have the key {pair['doc_key'][0]:#018x}: {names[0]!r} and {names[1]!r}",
        "give every document an id of its own",
    )


def _id_of(unit: Unit, doc_key: int) -> str:
    found = pq.read_table(
        unit.path / DOCUMENTS, columns=["id"], filters=pc.field("doc_key") == pa.scalar(doc_key, pa.uint64())
    )
    return str(found["id"][0].as_py())
