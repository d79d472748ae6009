"""Results that a person must confirm before anything is built on them.

A step may write the output `confirm`: measures with a message and examples.  The plan's facts say
which limits the config sets for them (they are in no fingerprint: another limit computes nothing
anew).  A run stops where a measure is above its limit, unless it is told `--yes`.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curation.pipeline.errors import CurateError
from curation.pipeline.plan import Plan, State

CONFIRM = "confirm"  # the output's name, and the key of the plan's facts: {task: {key, limits}}

CONFIRM_SCHEMA = pa.schema(
    [
        pa.field("limit", pa.string(), nullable=False),  # name of the config key it is held against
        pa.field("value", pa.float64(), nullable=False),
        pa.field("message", pa.string(), nullable=False),  # one line for a person
        pa.field("examples", pa.list_(pa.string()), nullable=False),  # one line each
    ]
)


class NeedsConfirmation(CurateError):
    """A result is above a limit; what was computed is kept."""


def downstream(plan: Plan, task: str) -> set[str]:
    """Every task that depends on `task`, directly or not."""
    found: set[str] = set()
    for one in plan.tasks:  # dependencies come first
        if any(name == task or name in found for name in one.dependencies()):
            found.add(one.name)
    return found


def exceeded(state: State, task: str) -> list[dict[str, Any]]:
    """The rows of a finished task that are above the limits of the config."""
    limits = state.plan.facts[CONFIRM][task]["limits"]
    rows = pq.read_table(state.output(task, CONFIRM)).to_pylist()
    return [row for row in rows if row["limit"] in limits and row["value"] > limits[row["limit"]]]


def require(state: State, task: str, *, confirmed: bool) -> list[str]:
    """Warnings about a finished task whose result was confirmed; raises NeedsConfirmation where it was not."""
    rows = exceeded(state, task)
    if not rows or confirmed:
        return [f"{row['message']}; confirmed with --yes" for row in rows]
    lines = []
    for row in rows:
        lines += [row["message"], *(f"    {example}" for example in row["examples"])]
    key = state.plan.facts[CONFIRM][task]["key"]
    keys = ", ".join(f"{key}.{name}" for name in dict.fromkeys(row["limit"] for row in rows))
    raise NeedsConfirmation(
        "\n".join([*lines, "stopped before these documents are removed; what was computed is kept"]),
        f"look at the examples, then go on with --yes, or raise {keys}",
    )
