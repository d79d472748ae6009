"""The chapter of `curate trace ID` on mixing: cell, cap, copies and their places, and the rule that decided."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson

from curation.catalog import Catalog, Fate
from curation.histogram import identifier
from curation.text.display import name
from mixing.inventory.assign import NOWHERE, cell_numbers
from mixing.inventory.cells import Cells, cells_from_json
from mixing.inventory.columns import Split
from mixing.inventory.inventory import Inventory
from mixing.inventory.natural import natural_weights
from mixing.sample.documents import COLUMNS, draws
from mixing.sample.entry import copies_allowed, entry_key
from mixing.sample.make import ABLATION, PLAN
from mixing.sample.table import rows_of
from mixing.step import MIX

Rows = list[tuple[str, Any]]
SHOWN = 10  # places


def trace(catalog: Catalog, fate: Fate) -> list[tuple[str, Rows]]:
    """Empty where the run mixes nothing, or the record is no kept document."""
    folder = catalog.directory / MIX
    if fate.outcome != "kept" or not (folder / PLAN).is_file():
        return []
    return [(MIX, explained(catalog, fate.row))]


def explained(catalog: Catalog, row: dict[str, Any]) -> Rows:
    """Label and value of everything that decided about a document."""
    folder = catalog.directory / MIX
    plan = orjson.loads((folder / PLAN).read_bytes())
    inventory = inventory_of(plan)
    columns = ", ".join(identifier(one) for one in COLUMNS if one in catalog.columns["documents"])
    batch = catalog.sql(f"select {columns} from documents where doc_key = $1", [row["doc_key"]]).to_batches()[0]
    cell = int(cell_numbers(batch, inventory)[0])
    if cell == NOWHERE:
        return [("decided", _outside(row))]
    about = plan["cells"][cell]
    found = rows_of(folder, int(row["doc_key"]))
    weight = natural_weights(np.array([row.get("duplicate_count") or 1]), inventory.duplicates)
    first = float(entry_key(np.array([1]), draws(batch, "prio_sample", plan["seed"]), weight)[0])
    cap = "no cap" if about["cap"] is None else f"cap {about['cap']:g}"
    lines: Rows = [
        ("cell", f"{name(inventory.cells.name(cell))}: {about['documents']:,} documents, {about['tokens']:,} tokens, "
                 f"{about['epochs']:.3g} epochs planned, {cap}"),
        ("cluster", f"{row.get('duplicate_count') or 1:,} documents of the crawl, weight {weight[0]:g}"),
        ("entry", f"copy 1 enters at {first:.4f}, the cell reaches {about['reach']:.4f}"),
        ("copies", len(found)),
        ("decided", _rule(about, len(found))),
    ]  # fmt: skip
    for one in found[:SHOWN]:
        queue = plan["queues"][one["queue"]]["name"]
        lines.append((f"copy {one['copy']}", f"at {one['order_key']:.4f} of queue {name(queue)}"))
    if len(found) > SHOWN:
        lines.append(("", f"… and {len(found) - SHOWN:,} more"))
    if plan.get(ABLATION):
        kept = len(rows_of(folder / ABLATION, int(row["doc_key"])))
        lines.append((ABLATION, f"{kept} of its {len(found)} copies" if found else "not in it: the mix has none"))
    return lines


def _outside(row: dict[str, Any]) -> str:
    if row.get("split") == "holdout":
        return "held out: never sampled"
    return "no tokens: nothing to sample"


def _rule(about: dict[str, Any], copies: int) -> str:
    if about["planned"] == 0:
        return "its cell gets nothing of the budget (the plan's warnings and `folded` say why)"
    if copies == 0:
        return "not reached by the budget: its entry key is above what its cell reaches"
    if about["cap"] is not None and copies >= copies_allowed(about["cap"]):
        return f"sampled as often as the cap of its cell allows: {copies}"
    return f"sampled: {copies} of its entry keys are within what its cell reaches"


def inventory_of(plan: dict[str, Any]) -> Inventory:
    """The inventory that a plan.json was made from."""
    about = plan["inventory"]
    cells: Cells = cells_from_json(plan["cells"])
    split = Split(tuple(about["keys"]), tuple(about["length_edges"]))
    held, bare = about["holdout"], about["untagged"]
    return Inventory(
        cells, split, about["duplicates"], about["end_tokens"], (held["documents"], held["tokens"]),
        (bare["documents"], bare["tokens"]),
    )  # fmt: skip
