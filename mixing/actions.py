"""What `curate mix …` does: call, print."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from curation.commands.output import find_run, print_json, print_line, print_table
from curation.pipeline.errors import UsageError
from curation.pipeline.shards import temporary_name, write_atomic
from mixing.request import mix_folder, request
from mixing.sample.make import PLAN, make_mix, planned
from mixing.tables import print_plan, print_sample


def show_plan(
    targets: Sequence[Path], budget: str | None, settings: Sequence[str], shown: int, *, as_json: bool
) -> None:
    """Cells, caps, tilt, floors, deficits; nothing is written."""
    files, config, _ = request(targets, budget, settings, None)
    made = planned(files, config)
    record = {"inventory": made.inventory.to_json(), **made.plan.to_json(made.inventory.cells)}
    if as_json:
        print_json(record)
        return
    print_plan(record, shown)


def write_sample(
    targets: Sequence[Path], out: Path, budget: str | None, settings: Sequence[str], ablation: str | None,
    seed: int | None, *, as_json: bool,
) -> None:  # fmt: skip
    """The folder of a mix: whole or not at all."""
    if out.exists():
        raise UsageError(f"{out} exists", "name a new folder")
    files, config, run_seed = request(targets, budget, settings, ablation)
    out.parent.mkdir(parents=True, exist_ok=True)
    filling = temporary_name(out)
    filling.mkdir()
    try:
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.cells.") as scratch:
            made = make_mix(files, config, filling, seed=run_seed if seed is None else seed, scratch=Path(scratch))
        os.rename(filling, out)
    finally:
        shutil.rmtree(filling, ignore_errors=True)
    if as_json:
        print_json({"out": str(out), **made.record})
        return
    print_sample(made.record)
    print_line(f"\n{out}; pack it with  pack: {{mix: {out}}}")


def show_mix(target: Path, document: str | None, against: Path | None, shown: int, *, as_json: bool) -> None:
    """A finished mix, a document of it, or its overlap with another."""
    folder = mix_folder(target)
    if against is not None:
        from mixing.sample.overlap import as_json as numbers
        from mixing.sample.overlap import copies_in, overlap

        found = numbers(overlap(copies_in(folder), copies_in(mix_folder(against))))
        if as_json:
            print_json(found)
            return
        rows = [
            [key, one["shared"], one["first"], one["second"]] for key, one in found.items() if isinstance(one, dict)
        ]
        print_table(["", "shared", "first", "second"], rows)
        nested = "the first is contained in the second" if found["nested"] else "neither contains the other whole"
        print_line(f"{found['share_of_smaller']:.4%} of the smaller mix's occurrences; {nested}")
        return
    if document is not None:
        _show_document(target, document, as_json=as_json)
        return
    record = orjson.loads((folder / PLAN).read_bytes())
    if as_json:
        print_json(record)
        return
    if "cells" in record:
        print_plan(record, shown)
        print_line()
    print_sample(record)


def show_regression(
    runs: Sequence[Path], within: Path | None, budget: str | None, settings: Sequence[str], tasks: Sequence[str],
    names: Sequence[str], out: Path | None, *, as_json: bool, **how: Any,
) -> None:  # fmt: skip
    """Predictors of finished runs and the mixes that they propose; `within`: documents that a mix must respect."""
    from mixing.inventory.inventory import read_inventory
    from mixing.regression.action import Limits, print_regression, regress

    limits = None
    if within is not None:
        files, config, _ = request([within], budget, settings, None)
        inventory = read_inventory(files, config.split(), duplicates=config.duplicates, untagged=config.untagged)
        limits = Limits(inventory.cells, config.budget, config.plan_config(), dict(_pairs("--name", names)) or None)
    elif budget or settings or names:
        raise UsageError(
            "--budget, --set and --name say what a mix must respect", "give the documents too: --within RUN"
        )
    weights = {key: _number("--task", value) for key, value in _pairs("--task", tasks)}
    record = regress(runs, tasks=weights or None, limits=limits, **how)
    if out is not None:
        write_atomic(out, orjson.dumps(record, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS))
    if as_json:
        print_json(record)
    else:
        print_regression(record)


def _pairs(option: str, texts: Sequence[str]) -> list[tuple[str, str]]:
    found = [text.partition("=") for text in texts]
    for key, sign, value in found:
        if not (key and sign and value):
            raise UsageError(f"{option} {key + sign + value!r} is not NAME=VALUE")
    return [(key, value) for key, _, value in found]


def _number(option: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{option}: {text!r} is not a number") from None


def _show_document(target: Path, id: str, *, as_json: bool) -> None:
    from curation.catalog import open_run
    from mixing.trace import trace

    with open_run(find_run(str(target))) as catalog:
        fate = catalog.document(id)
        chapters = trace(catalog, fate)
    rows = chapters[0][1] if chapters else [("decided", f"{fate.outcome}: it is not among the documents of the mix")]
    if as_json:
        print_json({"id": id, **dict(rows)})
        return
    width = max(len(label) for label, _ in rows)
    for label, value in rows:
        print_line(f"{label:<{width}}  {value}")
