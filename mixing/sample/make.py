"""From shards of documents to a finished mix: inventory, plan, sample, ablation, table and plan.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from mixing.config import MixConfig
from mixing.inventory.columns import LENGTHS
from mixing.inventory.inventory import Inventory, read_inventory
from mixing.plan.planner import plan
from mixing.plan.result import Plan
from mixing.sample.ablate import matched, ordinary
from mixing.sample.documents import Documents, collect, read_batches
from mixing.sample.places import MIN_GAP
from mixing.sample.realise import Sample, realise
from mixing.sample.repeats import cell_documents, cell_tokens, distance, repeat_shares, smallest_share
from mixing.sample.table import write_table
from mixing.schedule.config import stages_of
from mixing.schedule.demand import Law
from mixing.schedule.feasible import hand_over

PLAN = "plan.json"
ABLATION = "ablation"
VERSION = 1
MOST_QUEUES = 200
TOLD_DISTANCE = 0.02  # of an ablation's categories from the mix's


@dataclass(frozen=True, eq=False)
class Planned:
    """An inventory and the plan over it."""

    inventory: Inventory
    plan: Plan


def planned(files: Sequence[Path], config: MixConfig, scratch: Path | None = None) -> Planned:
    """Count the documents' cells and plan the budget; nothing is written.  Raises UsageError, Infeasible."""
    inventory = read_inventory(
        files, config.split(), duplicates=config.duplicates, untagged=config.untagged, scratch=scratch
    )
    return Planned(inventory, plan(inventory.cells, config.budget, config.plan_config()))


@dataclass(frozen=True, eq=False)
class Made:
    """A finished mix: its plan, its sample and what plan.json says."""

    planned: Planned
    sample: Sample
    record: dict[str, Any]
    warnings: tuple[str, ...]


def make_mix(files: Sequence[Path], config: MixConfig, folder: Path, *, seed: int, scratch: Path) -> Made:
    """Write the mix table, plan.json and, where asked for, `ablation/` into `folder`.

    folder, scratch: empty folders that exist.  A pure function of the documents (in any order, in any cut into
    shards), the config and the seed.  Raises UsageError and Infeasible as `planned`.
    """
    found = planned(files, config, scratch)
    inventory, made = found.inventory, found.plan
    documents = collect(read_batches(files), inventory, seed=seed, scratch=scratch)
    sample = realise(documents, made.x, made.cap)
    if not sample.occurrences:
        raise UsageError(f"mix.budget: {config.budget:,} tokens take not one document", "a larger budget")
    queues, numbers = _queues(inventory, config)
    sources = inventory.cells.source
    rows = write_table(folder, documents, sample.copies, numbers, sources, seed)
    record = {
        "version": VERSION, "seed": seed, "tokens": sample.total, "occurrences": rows,
        "documents": int(np.count_nonzero(sample.copies)), "min_gap": MIN_GAP,
        "queues": _queue_rows(queues, numbers, sample.tokens), "inventory": inventory.to_json(),
        **made.to_json(inventory.cells),
        "repeats": {"final": repeat_shares(documents, sample.copies).tolist()},
    }  # fmt: skip
    kept = cell_documents(documents, sample.copies)
    for i, row in enumerate(record["cells"]):
        row |= {
            "queue": int(numbers[i]), "sampled": int(sample.tokens[i]), "sampled_documents": int(kept[i]),
            "reach": float(sample.reach[i]),
        }  # fmt: skip
    warnings = [*made.warnings, *_unreached(inventory, made, sample)]
    if config.stages is not None:
        record |= hand_over(stages_of(config.stages), *_law(inventory, made, documents, config.length_edges))
        if not record["stage_needs"]["fits"]:
            warnings += [f"stages: {line}" for line in record["stage_needs"]["statement"]]
    if config.ablation is not None:
        record["ablation"], shares = _ablation(config, inventory, documents, sample, folder, numbers, queues, seed)
        record["repeats"] |= shares
        warnings += record["ablation"]["warnings"]
    record["warnings"] = warnings
    _write(folder, record)
    return Made(found, sample, record, tuple(warnings))


def _queues(inventory: Inventory, config: MixConfig) -> tuple[list[str], NDArray[np.int64]]:
    """Names of the queues, and the number of each cell's."""
    cells = inventory.cells
    of = ["pool"] * len(cells) if config.queues == "pool" else list(cells.column(config.queues))
    names = sorted(set(of))
    if len(names) > MOST_QUEUES:
        raise UsageError(f"mix.queues: {len(names)} queues; {MOST_QUEUES} are the most", "queues: pool, or category")
    return names, np.array([names.index(one) for one in of], np.int64)


def _queue_rows(names: list[str], numbers: NDArray[np.int64], tokens: NDArray[np.int64]) -> list[dict[str, Any]]:
    held = np.bincount(numbers, weights=tokens, minlength=len(names)).astype(np.int64)
    whole = max(int(held.sum()), 1)
    return [
        {"name": name, "tokens": int(one), "weight": float(one / whole)} for name, one in zip(names, held, strict=True)
    ]


def _unreached(inventory: Inventory, made: Plan, sample: Sample) -> list[str]:
    """Cells that have a target but got no whole document (they are below one; the fair stream passed them)."""
    empty = np.flatnonzero((made.x > 0) & (sample.tokens == 0))
    if not len(empty):
        return []
    some = ", ".join(inventory.cells.name(int(i)) for i in empty[:5])
    lost = float(made.x[empty].sum())
    return [f"{len(empty)} cells have less than a document of the budget and got none: {lost:,.0f} tokens ({some})"]


def _law(
    inventory: Inventory, made: Plan, documents: Documents, edges: tuple[int, int]
) -> tuple[Law, NDArray[np.float64]]:
    """Unique tokens by source and length class, and the epochs that the cells' caps allow of them."""
    sources = tuple(sorted(set(inventory.cells.source)))
    held = np.zeros((len(sources), len(LENGTHS)))
    allowed = np.zeros_like(held)
    for cell, source in enumerate(inventory.cells.source):
        sizes = documents.sizes(cell)
        kind = (sizes >= edges[0]).astype(np.int64) + (sizes > edges[1])
        tokens = np.bincount(kind, weights=sizes, minlength=len(LENGTHS))
        row = sources.index(source)
        held[row] += tokens
        allowed[row, tokens > 0] += tokens[tokens > 0] * made.cap[cell]
    return Law(sources, held), np.divide(allowed, held, out=np.zeros_like(held), where=held > 0)


def _ablation(
    config: MixConfig, inventory: Inventory, documents: Documents, sample: Sample, folder: Path,
    numbers: NDArray[np.int64], queues: list[str], seed: int,
) -> tuple[dict[str, Any], dict[str, Any]]:  # fmt: skip
    """Write `ablation/`; returns what plan.json says of it, and the histograms of both ways beside the final one."""
    assert config.ablation is not None
    budget = config.ablation.budget(sample.total)
    if budget >= sample.total:
        raise UsageError(
            f"mix.ablation: {budget:,.0f} tokens of a mix of {sample.total:,}", "fewer tokens, or another budget"
        )
    both = {
        "matched": matched(documents, sample.copies, budget),
        "ordinary": ordinary(documents, sample.copies, budget),
    }
    final = repeat_shares(documents, sample.copies)
    shares = {name: repeat_shares(documents, one) for name, one in both.items()}
    kept = both["matched" if config.ablation.matched else "ordinary"]
    tokens = cell_tokens(documents, kept)
    category, of = np.unique(np.array(inventory.cells.category), return_inverse=True)
    held = [np.bincount(of, weights=one, minlength=len(category)) for one in (tokens, sample.tokens)]
    apart = distance(*(one / max(one.sum(), 1) for one in held))
    warnings = [] if apart <= TOLD_DISTANCE else [
        f"ablation: its categories are {apart:.3f} (total variation) from the mix's: it is small for so many cells"
    ]  # fmt: skip
    (folder / ABLATION).mkdir()
    rows = write_table(folder / ABLATION, documents, kept, numbers, inventory.cells.source, seed)
    least = smallest_share(cell_documents(documents, sample.copies))
    record = {
        "matched": config.ablation.matched, "budget": budget, "share": budget / sample.total,
        "tokens": int(tokens.sum()), "documents": int(np.count_nonzero(kept)), "occurrences": rows,
        "category_distance": apart, "smallest_share": least if np.isfinite(least) else None, "warnings": warnings,
    }  # fmt: skip
    _write(
        folder / ABLATION, {"version": VERSION, "seed": seed, "queues": _queue_rows(queues, numbers, tokens), **record}
    )
    apart_by = {name: distance(final, one) for name, one in shares.items()}
    return record, {**{name: one.tolist() for name, one in shares.items()}, "distance": apart_by}


def _write(folder: Path, record: dict[str, Any]) -> None:
    data = orjson.dumps(record, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
    (folder / PLAN).write_bytes(data)
