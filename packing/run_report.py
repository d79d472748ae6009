"""The chapter on packing in a run's report: padding, cuts, pieces per row, how near the mix is, cost of attention."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from numpy.typing import NDArray

from curation.catalog import Catalog
from curation.report.render import environment
from curation.report.section import Section
from packing.layout import files
from packing.layout.manifest import Manifest
from packing.step import SETS

RANKS = 64  # data-parallel ranks that the balance is told for, one row each
BATCHES = 2_000


def packed(catalog: Catalog) -> Section | None:
    """None where the run packs nothing; sets of rows of several lengths stand one after another."""
    folders = [catalog.directory / name for name in SETS if (catalog.directory / name).is_dir()]
    if not folders:
        return None
    return Section("Packed rows", Markup("\n").join(Markup(_of_set(folder)) for folder in folders), 89)


def _of_set(directory: Path) -> str:
    manifest = Manifest.read(directory)
    rows = sum(queue.rows for queue in manifest.queues)
    return _environment().get_template("run_section.html.j2").render(
        manifest=manifest,
        ledger=manifest.ledger,
        rows=rows,
        size=4 * rows * manifest.sequence_length,
        queues=_queues(manifest),
        stages=list(zip(manifest.stages, manifest.ledger["order"]["prefix_deviation"], strict=True)),
        per_row=_per_row(manifest),
        cost=_costs(directory, manifest),
        ranks=RANKS,
    )  # fmt: skip


def _queues(manifest: Manifest) -> list[dict[str, Any]]:
    room = manifest.sequence_length
    total = sum(queue.tokens for queue in manifest.queues)
    return [
        {
            "name": queue.name,
            "rows": queue.rows,
            "tokens": queue.tokens,
            "share": queue.tokens / total if total else 0.0,
            "padding": 1 - queue.tokens / (queue.rows * room) if queue.rows else 0.0,
        }
        for queue in manifest.queues
    ]


def _per_row(manifest: Manifest) -> list[tuple[str, int]]:
    """Rows by number of fragments; the last counts 8 and more."""
    counts = manifest.ledger["fragments"]["per_row"]
    names = [*map(str, range(len(counts) - 1)), f"{len(counts) - 1} or more"]
    return [(name, count) for name, count in zip(names, counts, strict=True) if count]


def _costs(directory: Path, manifest: Manifest) -> dict[str, float] | None:
    """Attention's cost Σ l² of a row as a share of a full one, and how uneven batches of RANKS rows are.

    `slowest`: the mean over random batches of (largest / mean cost of a row), which is what ranks wait for.
    """
    parts = [_row_costs(directory, shard.name, shard.rows) for shard in manifest.shards if shard.rows]
    if not parts:
        return None
    share = np.concatenate(parts) / float(manifest.sequence_length) ** 2
    generator = np.random.Generator(np.random.PCG64(manifest.seed))
    batches = share[generator.integers(0, len(share), (BATCHES, RANKS))]
    return {
        "mean": float(share.mean()),
        "median": float(np.median(share)),
        "p90": float(np.quantile(share, 0.9)),
        "slowest": float((batches.max(axis=1) / batches.mean(axis=1)).mean()),
    }


def _row_costs(directory: Path, shard: str, rows: int) -> NDArray[np.float64]:
    starts, lengths = files.map_csr(directory, shard, rows)
    squares = lengths.astype(np.float64) ** 2
    return np.asarray(np.add.reduceat(squares, starts[:-1].astype(np.int64)))


@cache
def _environment() -> Environment:
    return environment().overlay(loader=PackageLoader("packing"))
