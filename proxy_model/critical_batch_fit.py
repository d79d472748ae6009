"""`curate proxy fit-critical-batch`: probes on a run's kept checkpoints, a fitted curve, a table of batches."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from curation.pipeline.errors import UsageError
from curation.pipeline.shards import write_atomic
from proxy_model.config import from_json
from proxy_model.model import ProxyLM
from proxy_model.train import checkpoint, data
from proxy_model.train.critical_batch import Curve, Noise, fit, probe, table
from proxy_model.train.devices import reproducible
from proxy_model.train.loop import CONFIG

RESULT = "critical_batch.json"


def fit_run(folder: Path, *, probe: int, smallest: int | None, largest: int) -> dict[str, Any]:
    """The answer, also written as critical_batch.json.  Raises UsageError: no run there, too few checkpoints."""
    try:
        described = checkpoint.read_run(folder / CONFIG)
        steps = pq.read_table(folder / "steps.parquet")
    except FileNotFoundError as error:
        missing = error.filename or folder / "steps.parquet"  # pyarrow's error names no file
        raise UsageError(f"{missing} is not there", "name the folder of a run of `curate proxy train`") from None
    except (OSError, pa.ArrowException) as error:
        said = str(error).partition("\n")[0]
        raise UsageError(f"{folder}: {said}", "name the folder of a run of `curate proxy train`") from None
    steps = steps.filter(np.logical_not(np.asarray(steps["skipped"])))
    tokens, losses = steps["tokens"].to_pylist(), steps["loss"].to_pylist()
    with reproducible(torch.device("cpu"), described["threads"]):
        noises = _probes(folder, described, probe) if probe else []
    curve = fit([one for _, one in noises]) if probe else Curve()
    made = table(
        curve, tokens, losses, sequence_length=described["sequence_length"],
        smallest=smallest or int(steps["batch_tokens"][0].as_py()), largest=largest,
    )  # fmt: skip
    found = {
        "run": described["run"],
        "curve": {**asdict(curve), "from": f"{len(noises)} probes" if probe else "MiniMax-01's printed points"},
        "probes": [
            {"steps": at, "loss": one.loss, "batch": one.batch if math.isfinite(one.batch) else None}
            for at, one in noises
        ],
        "batch": [{"from": start, "batch": batch} for start, batch in made.rows],
    }
    write_atomic(folder / RESULT, (json.dumps(found, indent=1) + "\n").encode())
    return found


def _probes(folder: Path, described: dict[str, Any], sequences: int) -> list[tuple[int, Noise]]:
    """(steps, noise) of every kept checkpoint, each on the same sequences, the last of the shards' order."""
    there = checkpoint.found(folder)
    if len(there) < 3 or sequences < 2:
        raise UsageError(
            f"{folder} keeps {len(there)} checkpoints, {sequences} sequences were asked for",
            "a fit needs 3 checkpoints (checkpoint: {every: 50, keep: 8}) and 2 sequences",
        )
    dataset = data.open_shards(Path(described["shards"]))
    if dataset.manifest.root != described["identity"]["shards"]:
        raise UsageError(f"{described['shards']} are no longer the shards of this run", "restore them, or train again")
    rows = data.scheduled(dataset)
    chosen = rows.take(np.arange(max(0, len(rows) - sequences), len(rows)))
    parts = list(data.batches(dataset, chosen, 1))
    config = from_json(described["identity"]["model"])
    model = ProxyLM(config, 0)
    live = dict(model.named_parameters())
    made = []
    for path in there:
        found = checkpoint.load(path)
        for name, one in live.items():
            one.data.copy_(found.tensors[f"weight.{name}"])
        made.append((found.steps, probe(model, parts)))
    return made
