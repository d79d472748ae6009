"""What a finished run says of itself (`run.json`), and the check that nothing was lost.

The counts come from the Parquet files' own footers, not from the counters that the
steps kept, so the conservation check compares two independent accounts.
"""

from __future__ import annotations

import datetime
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pyarrow.parquet as pq

from curation.pipeline.errors import ConservationError
from curation.pipeline.hashing import fingerprint
from curation.pipeline.plan import State, step_of

TOTALS = ("records", "documents", "removed", "quarantined", "input_bytes", "text_bytes_in", "text_bytes_kept")
SOFTWARE = ("curate-lm", "pyarrow", "duckdb", "numpy", "numba", "FastWARC", "Resiliparse", "trafilatura")


def summarise(state: State, ran: set[str], *, wall_s: float) -> dict[str, Any]:
    """Totals, per source and per rule, steps with time and memory, digests, warnings."""
    sources: dict[str, Counter[str]] = {}
    removed_by: Counter[str] = Counter()
    quarantine: Counter[str] = Counter()
    edits: Counter[str] = Counter()
    edited = 0
    fates: dict[str, Counter[str]] = {}
    for shard in state.plan.shards:
        counts = sources.setdefault(shard.source, Counter())
        read = state.manifest(shard.read)
        final = state.manifest(shard.final) if shard.final else None
        if read is None or final is None:
            raise ConservationError(f"{shard.name} has no finished output")
        rows = {
            "documents": _rows(state, shard.final or "", "documents"),
            "removed": _rows(state, shard.final or "", "removed"),
            "quarantined": _rows(state, shard.read, "quarantine"),
        }
        records = read.counts["records"]
        if records != sum(rows.values()):
            raise ConservationError(
                f"{shard.name}: {records:,} records in, but {rows['documents']:,} kept + {rows['removed']:,} removed "
                f"+ {rows['quarantined']:,} quarantined = {sum(rows.values()):,}",
                "this is a defect of curate: please report it with the plan.json of this run",
            )
        counts.update(rows, records=records, input_bytes=read.counts.get("input_bytes", 0))
        counts.update({key: final.counts.get(key, 0) for key in ("text_bytes_in", "text_bytes_kept")})
        removed_by.update(_suffixes(final.counts, "removed_by."))
        quarantine.update(_suffixes(read.counts, "quarantine."))
        edits.update(_suffixes(final.counts, "edits."))
        edited += final.counts.get("edited_documents", 0)
        fates.setdefault(shard.source, Counter()).update(_suffixes(final.counts, "removed_by."))
        fates[shard.source].update(_suffixes(read.counts, "quarantine."))
    renamed = sum(m.counts.get("renamed_ids", 0) for t in state.plan.tasks if (m := state.manifest(t.name)))
    totals = {key: sum(counts[key] for counts in sources.values()) for key in TOTALS}
    return {
        "run": state.plan.run,
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "plan": state.plan.fingerprint,
        "digest": root_digest(state),
        "totals": totals,
        "sources": {name: {key: counts[key] for key in TOTALS} for name, counts in sources.items()},
        "removed_by": dict(removed_by.most_common()),
        "quarantine": dict(quarantine.most_common()),
        "edits": dict(edits.most_common()),
        "edited_documents": edited,
        **state.plan.facts,
        "steps": _steps(state, ran),
        "wall_s": round(wall_s, 2),
        "versions": software_versions(),
        "renamed_ids": renamed,
        "warnings": [*_warnings(totals, sources, fates, renamed), *_of_tasks(state)],
        "config": state.plan.config,
    }


def root_digest(state: State) -> str:
    """Hash over sorted (shard, content digest) of everything the run's folder shows; no times, no hosts."""
    parts = []
    for task in state.plan.tasks:
        manifest = state.manifest(task.name)
        for view in step_of(task).views:
            if manifest is not None:
                parts.append([task.name, view, manifest.outputs[view].digest])
    return fingerprint(sorted(parts))


def software_versions() -> dict[str, str]:
    """Installed versions of what can change an output."""
    found = {}
    for name in SOFTWARE:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _rows(state: State, task: str, output: str) -> int:
    return int(pq.read_metadata(state.output(task, output)).num_rows)


def _suffixes(counts: dict[str, int], prefix: str) -> dict[str, int]:
    return {key.removeprefix(prefix): n for key, n in counts.items() if key.startswith(prefix)}


def _steps(state: State, ran: set[str]) -> list[dict[str, Any]]:
    steps: dict[str, dict[str, Any]] = {}
    digests: dict[str, list[Any]] = {}
    for task in state.plan.tasks:
        manifest = state.manifest(task.name)
        if manifest is None:
            continue
        row = steps.setdefault(
            task.step,
            {"step": task.step, "version": task.version, "tasks": 0, "reused": 0}
            | {"wall_s": 0.0, "cpu_s": 0.0, "max_rss_mb": 0.0},
        )
        row["tasks"] += 1
        row["reused"] += task.name not in ran
        row["wall_s"] = round(row["wall_s"] + manifest.wall_s, 3)
        row["cpu_s"] = round(row["cpu_s"] + manifest.cpu_s, 3)
        row["max_rss_mb"] = max(row["max_rss_mb"], manifest.max_rss_mb)
        digests.setdefault(task.step, []).append(
            [task.name, sorted((name, one.digest) for name, one in manifest.outputs.items())]
        )
    return [row | {"digest": fingerprint(sorted(digests[name]))} for name, row in steps.items()]


def _of_tasks(state: State) -> list[str]:
    """What tasks warned of when they ran, in this run or before, each line once."""
    manifests = (state.manifest(task.name) for task in state.plan.tasks)
    return list(dict.fromkeys(line for one in manifests if one is not None for line in one.warnings))


def _warnings(
    totals: dict[str, int], sources: dict[str, Counter[str]], fates: dict[str, Counter[str]], renamed: int
) -> list[str]:
    warnings = []
    if renamed:
        warnings.append(f"{renamed:,} document(s) had an id that another has: renamed to <id>~2, ~3 …")
    if totals["quarantined"]:
        warnings.append(
            f"{totals['quarantined']:,} damaged record(s) are in quarantine (curate inspect … --quarantine)"
        )
    for name, counts in sources.items():
        if counts["records"] and not counts["documents"]:
            reason, n = fates[name].most_common(1)[0]
            warnings.append(f"source {name}: none of its {counts['records']:,} records was kept; {n:,} by {reason}")
        if not counts["records"]:
            warnings.append(f"source {name}: its files hold no records")
    return warnings
