"""What a checkpoint remembers of the data: which shards, which stage, how many of its sequences were served.

One number says it all, because every batch is arithmetic on it: any world size, number of workers, batch size or
accumulation may follow, and the union of what is served is still the stage's order, each sequence once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from packing.layout.manifest import LayoutError, Manifest

FORMAT = 1


class StateError(LayoutError):
    """A state that does not belong to the shards at hand, or is damaged; names the difference."""


@dataclass(frozen=True)
class Position:
    """The next sequence of a stage."""

    stage: int
    sequence: int


def make_state(manifest: Manifest, position: Position) -> dict[str, Any]:
    """JSON-ready state.  `made_from` is there only so that a mismatch can be explained."""
    return {
        "format": FORMAT,
        "root": manifest.root,
        "stage": position.stage,
        "sequence": position.sequence,
        "made_from": describe(manifest),
    }


def read_state(manifest: Manifest, state: dict[str, Any]) -> Position:
    """The position in a state of these shards.  Raises StateError."""
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise StateError(f"not a state of format {FORMAT}: {state!r:.200}; give what state_dict() returned")
    numbers = [state.get("stage"), state.get("sequence")]
    if not all(isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in numbers):
        raise StateError(f"stage and sequence of a state are whole numbers, not {numbers!r}; the checkpoint is damaged")
    if state.get("root") != manifest.root:
        raise StateError(_difference(manifest, state))
    stage, sequence = state["stage"], state["sequence"]
    if stage >= len(manifest.stages) or sequence > manifest.stages[stage].sequences:
        raise StateError(f"the shards have no sequence {sequence} of stage {stage}; the checkpoint is damaged")
    return Position(stage, sequence)


def describe(manifest: Manifest) -> dict[str, Any]:
    """What distinguishes two shard directories, short enough for a checkpoint and an error message."""
    content = hashlib.sha256()
    for shard in manifest.shards:
        for file in shard.files:
            content.update(file.sha256.encode())
    return {
        "sequence_length": manifest.sequence_length,
        "tokenizer": manifest.tokenizer,
        "vocab_rows": manifest.vocab_rows,
        "seed": manifest.seed,
        "policy": manifest.policy,
        "rows of queues": {queue.name: queue.rows for queue in manifest.queues},
        "stages": {
            f"{number} ({stage.name})": {
                "sequences": stage.sequences,
                "weights": stage.weights,
                "end_weights": stage.end_weights,
                "order": stage.file.sha256 if stage.file else None,
            }
            for number, stage in enumerate(manifest.stages)
        },
        "tokens": sum(queue.tokens for queue in manifest.queues),
        "content of shards": content.hexdigest(),
    }


def _difference(manifest: Manifest, state: dict[str, Any]) -> str:
    old, new = state.get("made_from"), describe(manifest)
    lines = _compare(old, new, "") if isinstance(old, dict) else []
    what = "".join(f"\n  {line}" for line in lines) or "\n  nothing that the state describes: the manifests differ"
    return (
        f"the state belongs to other shards (root {str(state.get('root'))[:16]}…, here {manifest.root[:16]}…):{what}\n"
        "  → open the directory that the run began with; to train on these shards, start without a state"
    )


def _compare(old: Any, new: Any, name: str) -> list[str]:
    """Lines `name: old in the state, new here` for the leaves that differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        lines = []
        for key in [*new, *(key for key in old if key not in new)]:
            if old.get(key) != new.get(key):
                lines += _compare(old.get(key), new.get(key), f"{name}.{key}" if name else str(key))
        return lines
    return [f"{name}: {old!r:.80} in the state, {new!r:.80} here"]
