"""Random cells and configs: sizes over nine decades, all presets, caps and floors of every kind."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from mixing.inventory.cells import Cells
from mixing.plan import PlanConfig

PRESETS = ("tilted", "tilted", "proportional", "temperature", "unimax", "fixed")


def random_cells(r: Generator, n: int, sources: int, categories: int) -> Cells:
    """n distinct cells (fewer where the keys do not suffice); some without bucket, some without tokens."""
    places = np.sort(r.choice(sources * categories * 6, min(n, sources * categories * 6), replace=False))
    source, rest = np.divmod(places, categories * 6)
    category, bucket = np.divmod(rest, 6)
    n = len(places)
    documents = np.maximum(r.lognormal(6, 3, n), 1).astype(np.int64)
    tokens = (documents * np.maximum(r.lognormal(5, 2, n), 1)).astype(np.int64)
    if n > 3 and r.random() < 0.2:
        documents[0] = tokens[0] = 0
    return Cells(
        source=tuple(f"s{i:02}" for i in source),
        category=tuple(f"c{i:02}" for i in category),
        bucket=(bucket - 1).astype(np.int8),
        tokens=tokens,
        documents=documents,
        score=(bucket - 3) * r.random() + r.normal(0, 1, n),
        longest=np.where(documents > 0, tokens // np.maximum(documents, 1) + 1, 0),
    )


def random_config(r: Generator, cells: Cells, **given: object) -> PlanConfig:
    """A config that names things of these cells; ceilings only where asked for."""
    preset = str(r.choice(PRESETS))
    caps = tuple(float(one) for one in r.choice([0.5, 1, 2, 3, 4, 7.5, np.inf], 5))
    if r.random() < 0.5:
        caps = (2.0, 2.0, 3.0, 4.0, 4.0)
    floors: object = float(r.random())
    if r.random() < 0.2:
        names = sorted(set(cells.category))
        floors = dict(zip(names, (r.dirichlet(np.ones(len(names))) * r.random()).tolist(), strict=True))
    weights: dict[str, float] = {}
    if preset == "fixed":
        names = sorted(set(cells.source))
        shares = r.dirichlet(np.ones(len(names))) * (r.random(len(names)) < 0.8)
        alive = {name for name, tokens in zip(cells.source, cells.tokens, strict=True) if tokens}
        if sum(share for name, share in zip(names, shares, strict=True) if name in alive) == 0:
            shares = np.ones(len(names))
        weights = dict(zip(names, (shares / shares.sum()).tolist(), strict=True))
    values: dict[str, object] = {
        "preset": preset,
        "kl": float(r.choice([0, 0.1, 0.25, 1.0, 50.0])),
        "caps": caps,
        "floors": floors,
        "weights": weights,
        "over": str(r.choice(["cell", "source", "category"])),
        "on_deficit": str(r.choice(["shrink", "relax_caps", "relax_low_first"])),
    }
    return PlanConfig(**(values | given))  # type: ignore[arg-type]
