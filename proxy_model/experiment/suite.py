"""The items that decide: read from their files, refused where one cannot be scored, cut to a fixed subset, weighted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from curation.pipeline.errors import UsageError
from curation.pipeline.registry import suggest
from proxy_model.evaluate.items import Item, ItemError, by_benchmark, items_hash, subset, with_clusters
from proxy_model.evaluate.reading import read_items
from proxy_model.experiment.settings import Experiment, PrimaryConfig

SHOWN = 5  # refused lines in an error
CHOICE_METRICS = ("log_acc_norm2", "norm_prob_byte", "root_softmax")  # cloze items have one option


@dataclass(frozen=True)
class Suite:
    """files: (name, digest of the stored bytes); hash: of all items with what can change a score; weights sum to 1."""

    files: tuple[tuple[str, str], ...]
    items: tuple[Item, ...]
    hash: str
    weights: dict[str, float]
    counts: dict[str, int]
    skipped: int = 0  # lines that gave no item


def load_suite(experiment: Experiment) -> Suite:
    """Raises UsageError: a file without items, any line that is no item, a benchmark that is not there, a benchmark of
    one item, a metric that an item cannot have, weights of other benchmarks."""
    primary = experiment.config.primary
    files = read_items(_paths(primary.items, experiment.base))
    refused = [one for file in files for one in file.refused]
    if refused and primary.unusable == "refuse":
        shown = "\n  ".join(map(str, refused[:SHOWN])) + (
            f"\n  and {len(refused) - SHOWN} more" if len(refused) > SHOWN else ""
        )
        raise UsageError(
            f"{len(refused):,} lines of the item files give no item:\n  {shown}",
            "correct them, take them out, or say primary: {unusable: skip}",
        )
    try:
        items = with_clusters([item for file in files for item in file.items], primary.cluster)
    except ItemError as error:
        raise UsageError(f"primary.cluster: {error}") from None
    items = _chosen(items, primary)
    if primary.limit is not None:
        items = subset(items, primary.limit, experiment.config.seed)
    found = by_benchmark(items)
    for name, some in found.items():
        if len({item.cluster or item.id for item in some}) < 2:
            raise UsageError(
                f"benchmark {name} has one unit: no variance over units", "leave it out, or use items as units"
            )
        cloze = [item for item in some if item.kind == "cloze"]
        if cloze and primary.metric in CHOICE_METRICS:
            raise UsageError(
                f"{primary.metric} has no value for {len(cloze):,} cloze items of {name}, such as {cloze[0].id}",
                "say metric: bpb or acc, or leave that benchmark out (primary.benchmarks)",
            )
    counts = {name: len(some) for name, some in found.items()}
    return Suite(
        tuple((file.name, file.digest) for file in files), tuple(items), items_hash(items), _weights(primary, counts),
        counts, len(refused),
    )  # fmt: skip


def _paths(patterns: list[str], base: Path) -> list[Path]:
    found: list[Path] = []
    for pattern in patterns:
        path = base / pattern
        if path.is_file():
            matches = [path]
        else:
            absolute = Path(pattern).is_absolute()
            try:
                matches = sorted(Path("/").glob(pattern[1:]) if absolute else base.glob(pattern))
            except (ValueError, NotImplementedError, IndexError):  # "", "a**b": no pattern
                matches = []
        if not matches:
            raise UsageError(f"no item file matches {pattern!r} in {base}", "paths are relative to the config file")
        found += matches
    twice = [path for path, n in Counter(found).items() if n > 1]
    if twice:
        raise UsageError(f"item file {twice[0]} is named twice")
    return found


def _chosen(items: list[Item], primary: PrimaryConfig) -> list[Item]:
    if primary.benchmarks is None:
        return items
    there = sorted({item.benchmark for item in items})
    for name in primary.benchmarks:
        if name not in there:
            raise UsageError(f"primary.benchmarks: no item of {name!r}", suggest(name, there))
    return [item for item in items if item.benchmark in primary.benchmarks]


def _weights(primary: PrimaryConfig, counts: dict[str, int]) -> dict[str, float]:
    if primary.weights == "equal":
        return {name: 1 / len(counts) for name in counts}
    if primary.weights == "items":
        whole = sum(counts.values())
        return {name: n / whole for name, n in counts.items()}
    given = primary.weights
    if set(given) != set(counts):
        wrong = ", ".join(sorted(set(given) ^ set(counts)))
        raise UsageError(f"primary.weights and the items name different benchmarks: {wrong}")
    return {name: given[name] for name in counts}
