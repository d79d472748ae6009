"""verdict.json and lock.json as the page takes them: checked once, one comparison for each candidate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from curation.pipeline.errors import UsageError
from proxy_model.experiment.report.units import Unit, unit_of

VERDICT, LOCK = "verdict.json", "lock.json"
NEEDED = ("name", "lock", "arms", "metric", "runs")
OF_A_VERDICT = (
    "label", "estimate", "ci", "p", "df", "level", "components", "sigma_seed", "mde_achieved", "mde_in_sigma", "runs",
    "units", "per_benchmark", "robustness", "assumptions", "warnings",
)  # fmt: skip
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """One candidate against the baseline; verdict: a Verdict as JSON, None where there is none (exploration)."""

    baseline: str
    candidate: str
    verdict: Record | None


@dataclass(frozen=True)
class Experiment:
    """raw: verdict.json; lock: lock.json or None; runs: those that count; excluded: those that do not."""

    folder: Path
    raw: Record
    lock: Record | None
    unit: Unit
    comparisons: tuple[Comparison, ...]
    runs: tuple[Record, ...]
    excluded: tuple[Record, ...]

    @property
    def arms(self) -> list[str]:
        return list(self.raw["arms"])

    @property
    def amended(self) -> list[str]:
        return list(self.raw.get("amended") or ())

    @property
    def failed(self) -> list[Record]:
        """Health checks that failed and take the verdict's meaning away."""
        return [one for one in self.raw.get("health") or () if not one["ok"] and one.get("stops", True)]

    @property
    def hypothesis(self) -> Record:
        found: Record = self.raw.get("hypothesis") or {}
        return found

    @property
    def planned(self) -> float | None:
        """The smallest effect that the plan was made for, in metric units."""
        found: float | None = self.hypothesis.get("mde")
        return found

    @property
    def locked(self) -> Record:
        """What the lock holds."""
        found: Record = (self.lock or {}).get("content") or {}
        return found

    @property
    def weights(self) -> Mapping[str, float] | None:
        found: Mapping[str, float] | None = (self.locked.get("items") or {}).get("weights")
        return found

    @property
    def exploratory(self) -> bool:
        return self.raw.get("status") == "exploratory"

    @property
    def caveats(self) -> list[str]:
        """Of every verdict and of the experiment, each once; failed health checks stand in the headline."""
        own = [text for one in self.comparisons if one.verdict for text in one.verdict["warnings"]]
        found = [*own, *(self.raw.get("caveats") or ())]
        return [text for text in dict.fromkeys(found) if "must not be used" not in text]

    def runs_of(self, arm: str) -> list[Record]:
        return [run for run in self.runs if run["arm"] == arm]


def read_experiment(folder: Path) -> Experiment:
    """Raises UsageError: no verdict, a damaged one, or one without what a page needs."""
    raw = _json(folder / VERDICT)
    place = folder / VERDICT
    for name in NEEDED:
        if name not in raw:
            raise UsageError(f"{place}: no {name!r}", "write it again: curate ab report")
    if len(raw["arms"]) < 2:
        raise UsageError(f"{place}: one arm, nothing to compare", "a report needs a baseline and a candidate")
    baseline, *candidates = raw["arms"]
    given = raw.get("verdicts") or {}
    for name, verdict in given.items():
        for key in OF_A_VERDICT if verdict else ():
            if key not in verdict:
                raise UsageError(f"{place}: the verdict on {name} has no {key!r}", "write it again: curate ab report")
    return Experiment(
        folder, raw, _json(folder / LOCK) if (folder / LOCK).exists() else None, unit_of(raw["metric"]),
        tuple(Comparison(baseline, name, given.get(name)) for name in candidates),
        tuple(run for run in raw["runs"] if not run.get("excluded")),
        tuple(run for run in raw["runs"] if run.get("excluded")),
    )  # fmt: skip


def looks_of(folder: Path) -> list[dict[str, Any]]:
    """Lines of looks.jsonl; one that a crash cut, or that is no look, is left out."""
    path = folder / "looks.jsonl"
    found = []
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            one = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(one, dict) and isinstance(one.get("look", ""), int | None) and isinstance(one.get("runs"), dict):
            found.append(one)
    return found


def _json(path: Path) -> dict[str, Any]:
    try:
        found = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        raise UsageError(f"{path} is not there", "name the folder of an experiment: <workdir>/ab/<name>") from None
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{path} is damaged: {error.msg}", "write it again: curate ab report") from None
    if not isinstance(found, dict):
        raise UsageError(f"{path} is no JSON object", "write it again: curate ab report")
    return found
