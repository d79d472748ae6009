"""`curate dedup-index`: what a finished run kept becomes an index for later crawls."""

from __future__ import annotations

from pathlib import Path

from curation.commands.output import find_run, print_json, print_line
from curation.dedup.export import export_index
from curation.pipeline.plan import Plan
from curation.text.display import name


def write_index(text: str, target: Path, *, as_json: bool) -> None:
    """Write the index and say what is in it."""
    header = export_index(Plan.read(find_run(text) / "plan.json"), target)
    if as_json:
        print_json(header)
        return
    documents = sum(part["documents"] for part in header["parts"])
    size = sum(part["bytes"] for part in header["parts"])
    print_line(f"{documents:,} documents, {size / 1e6:,.1f} MB in {len(header['parts'])} parts: {name(str(target))}")
    print_line(f"use it in a later run:  dedup: {{minhash: {{against: [{name(str(target))}]}}}}")
