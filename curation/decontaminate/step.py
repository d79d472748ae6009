"""The `decontaminate:` section: one task reads the benchmarks, then two row-wise steps a shard, and no barrier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from curation.decontaminate.config import DecontaminateConfig
from curation.decontaminate.decide import LEDGER, decide_documents
from curation.decontaminate.index import ITEMS, VERSION, write_index
from curation.decontaminate.match import match_documents
from curation.pipeline.step import PlanBuilder, Section, Step
from curation.sources.inputs import InputFile, content_digest, expand
from curation.text.cuts import CUTS_VERSION


def plan(config: DecontaminateConfig, builder: PlanBuilder) -> None:
    """Index the items, match every shard's texts, decide."""
    fields = config.fields.model_dump(mode="json")
    files = tuple(asdict(file) for file in _item_files(config, builder))
    index = builder.add(INDEX, INDEX.name, {"fields": fields}, files=files)
    wanted = {"ngram": config.ngram, "bytes": config.bytes}
    builder.add_layer(MATCH, lambda shard: wanted, beside=[index])
    everything = {shard.name: [part.task for part in shard.parts] for shard in builder.shards}
    thresholds = config.model_dump(mode="json", include={"containment", "action", "remove_above"})
    builder.add_layer(DECIDE, lambda shard: thresholds, also=everything, beside=[index], edits=True)


def _item_files(config: DecontaminateConfig, builder: PlanBuilder) -> list[InputFile]:
    files = expand("decontaminate", config.items, builder.base, key="decontaminate.items")
    if builder.verify_inputs == "digest":
        files = [replace(file, version=content_digest(file)) for file in files]
    return files


def views(run: Path) -> dict[str, list[Path]]:
    """The ledger and the benchmarks' items as SQL views of a run's folder."""
    return {
        view: sorted((run / view).glob("*.parquet")) for view in (LEDGER, ITEMS) if any((run / view).glob("*.parquet"))
    }


def _versions(config: Any) -> Mapping[str, str]:
    return {"benchmark_index": VERSION.decode()}


def _decide_versions(config: Any) -> Mapping[str, str]:
    return {"benchmark_index": VERSION.decode(), "cuts": str(CUTS_VERSION)}


INDEX = Step("benchmark_index", 2, write_index, _versions, views=(ITEMS,))
MATCH = Step("contamination", 1, match_documents, _versions)
DECIDE = Step("decontaminate", 1, decide_documents, _decide_versions, reads_text=False, views=(LEDGER,))


def _config() -> Any:
    return DecontaminateConfig


SECTION = Section(
    "decontaminate", "dedup", plan, (INDEX, MATCH, DECIDE), _config, "benchmark items found in documents, and cut"
)
