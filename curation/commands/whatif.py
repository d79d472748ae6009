"""`curate whatif`: the same decisions with other thresholds, from stored measurements.

It plans the changed config and executes only the steps that read no text (deciding,
exact dedup): those are cheap, content-addressed, and exactly what a real run would
reuse, so the answer is the real run's answer.
"""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import yaml

from curation.commands.output import find_run, print_json, print_line, print_table
from curation.pipeline.config import RunConfig, override_key, validate
from curation.pipeline.config_errors import Located
from curation.pipeline.context import DOCUMENTS, LAYER, SLICES, overlay_slice, shard_batches
from curation.pipeline.errors import UsageError
from curation.pipeline.execute import execute
from curation.pipeline.plan import Plan, State, build, step_of
from curation.pipeline.registry import suggest
from curation.pipeline.schema import REMOVED_BY
from curation.pipeline.task import Shard

KEPT = "(kept)"


def what_if(text: str, changes: list[str], *, overrides: list[str], n: int, as_json: bool) -> None:
    """Print kept and removed per rule, now and then, and examples of what changes."""
    folder = find_run(text)
    now = Plan.read(folder / "plan.json")
    then = build(changed_config(now, changes, overrides), until=now.until)
    answer = compare(now, then, n)
    if as_json:
        print_json(answer)
        return
    rows = [[rule, a, b, b - a] for rule, (a, b) in answer["rules"].items()]
    print_table(["fate", "now", "then", "change"], rows)
    print_line(f"{answer['changed']:,} of {answer['documents']:,} documents change their fate")
    if answer["examples"]:
        print_line()
        print_table(["id", "now", "then"], [[e["id"], e["now"], e["then"]] for e in answer["examples"]])


def changed_config(plan: Plan, changes: list[str], overrides: list[str]) -> RunConfig:
    """The run's config with thresholds and `--set` keys replaced; validated as a whole."""
    raw = copy.deepcopy(plan.config)
    for change in changes:
        key, sign, value = change.partition("=")
        if not sign:
            raise UsageError(f"{change!r} is not threshold=value", "write for example gopher-quality.min_words=30")
        if key.partition(".")[0] in raw:  # a section's own key, e.g. dedup.minhash.jaccard
            override_key(raw, change, "THRESHOLD=VALUE")
        else:
            set_threshold(raw, key, yaml.safe_load(value))
    for override in overrides:
        override_key(raw, override, "--set")
    raw["workdir"] = str(plan.workdir)
    return validate(Located(raw, None), plan.base / "(this change)")


def set_threshold(raw: dict[str, Any], key: str, value: Any) -> None:
    """`item.field` sets an item's own field; `preset.threshold` an override of the `rules` entry that has it."""
    first, _, rest = key.partition(".")
    found = False
    valid: list[str] = []
    for entry in raw.get("clean") or []:
        for kind, config in entry.items():
            if kind == first and rest:
                entry[kind] = {**(config or {}), rest: value}
                found = True
            elif isinstance(config, dict) and first in config.get("presets", []):
                config["override"] = {**(config.get("override") or {}), key: value}
                found = True
            valid += [kind, *(config or {}).get("presets", [])]
    if not found:
        raise UsageError(f"this run has no rule {first!r}", suggest(first, valid))


def compare(now: Plan, then: Plan, n: int) -> dict[str, Any]:
    """Fates of all documents under two plans over the same reads."""
    before, after = State(now), State(then)
    if [before.fingerprint(s.read) for s in now.shards] != [after.fingerprint(s.read) for s in then.shards]:
        raise UsageError("the change alters the sources", "use `curate run` for that")
    for task in then.tasks:
        step = step_of(task)
        if DOCUMENTS in step.views or after.finished(task.name):
            continue
        if step.reads_text:
            raise UsageError(
                f"{task.name} would have to read the texts again (or the run is not finished)",
                "use `curate run` for that",
            )
        execute(after, task.name)
    rules: dict[str, list[int]] = {}
    examples: list[dict[str, str]] = []
    changed = documents = 0
    for old, new in zip(now.shards, then.shards, strict=True):
        for a, b in zip(_fates(before, old), _fates(after, new), strict=True):
            for side, batch in enumerate((a, b)):
                for fate, count in Counter(batch[1]).items():
                    rules.setdefault(fate, [0, 0])[side] += count
            for id, was, will in zip(a[0], a[1], b[1], strict=True):
                documents += 1
                if was != will:
                    changed += 1
                    if len(examples) < n:
                        examples.append({"id": id, "now": was, "then": will})
    ordered = dict(sorted(rules.items(), key=lambda item: (item[0] != KEPT, -max(item[1]), item[0])))
    return {"documents": documents, "changed": changed, "rules": ordered, "examples": examples}


def _fates(state: State, shard: Shard) -> Any:
    """(ids, fates) per row group of a shard."""
    parts = [
        state.output(part.task, LAYER)
        if part.slice is None
        else overlay_slice(state.output(part.task, SLICES), part.slice)
        for part in shard.parts
    ]
    for batch in shard_batches(state.output(shard.read, DOCUMENTS), parts, ["id", REMOVED_BY]):
        yield batch["id"].to_pylist(), [fate or KEPT for fate in batch[REMOVED_BY].to_pylist()]
