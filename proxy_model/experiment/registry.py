"""The noise registry's file: how much runs of one arm differ by seed alone, one line for each arm of an experiment.

`<workdir>/ab/registry.jsonl` is append-only: a line is added under a lock and never changed; read, every line is
checked and named by its number when it is wrong.  What `statistics.registry_prior` borrows comes from `matching`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from filelock import FileLock

from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import fingerprint
from proxy_model.experiment.statistics.registry_prior import Noise, NoiseKey, Prior, Registry, fit_prior

FILE = "registry.jsonl"
VERDICT = "verdict.json"
FORMAT = 1
KEY = tuple(one.name for one in fields(NoiseKey))


@dataclass(frozen=True)
class Record:
    """One arm: variance s² of the suite mean between its runs (squared metric units), df = runs − 1.

    runs: digest of which runs these were; an arm that two experiments share is the same evidence once.
    lock: hash of the experiment's lock; date: ISO 8601, UTC, when it was added.
    """

    experiment: str
    arm: str
    key: NoiseKey
    variance: float
    df: int
    mean: float
    runs: str
    lock: str
    date: str

    def line(self) -> bytes:
        """One line of the file."""
        return orjson.dumps({"format": FORMAT, **asdict(self)}) + b"\n"


@dataclass(frozen=True)
class Shown:
    """What the registry knows for one key: experiments, df and σ_seed = √(pooled s²), and the prior fitted to it."""

    key: NoiseKey
    experiments: tuple[str, ...]
    df: int
    sigma_seed: float
    prior: Prior


def read(path: Path) -> tuple[Record, ...]:
    """All records in their order; none where the file is missing.  Raises UsageError with file and line."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    found: list[Record] = []
    places: dict[tuple[str, str, str], int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            one = _record(orjson.loads(line))
        except orjson.JSONDecodeError as error:
            raise _wrong(path, number, f"no JSON ({error.msg})") from None
        except ValueError as error:
            raise _wrong(path, number, str(error)) from None
        here = (one.experiment, one.arm, one.lock)
        if here in places:
            raise _wrong(
                path, number, f"arm {one.arm} of {one.experiment} stands there twice, before in line {places[here]}"
            )
        places[here] = number
        found.append(one)
    return tuple(found)


def append(path: Path, records: Sequence[Record]) -> int:
    """Add the records that are not there yet; how many were added.

    Raises UsageError when one stands there with other numbers: finished experiments do not change.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        there = {(one.experiment, one.arm, one.lock): one for one in read(path)}
        fresh = []
        for one in records:
            before = there.get((one.experiment, one.arm, one.lock))
            if before is None:
                fresh.append(one)
            elif _evidence(before) != _evidence(one):
                raise UsageError(
                    f"{path}: arm {one.arm} of {one.experiment} is there with s² = {before.variance:.6g} "
                    f"({before.df} df), not {one.variance:.6g} ({one.df} df)",
                    "a record is never changed; run the changed experiment under another name",
                )
        if fresh:
            whole = not path.exists() or path.read_bytes()[-1:] in (b"", b"\n")
            with path.open("ab") as handle:
                handle.write((b"" if whole else b"\n") + b"".join(one.line() for one in fresh))
                handle.flush()
                os.fsync(handle.fileno())
    return len(fresh)


def add(folder: Path, path: Path | None = None) -> tuple[Record, ...]:
    """The arms of a finished experiment with two or more runs, added to `path` (default: the registry beside it).

    Raises UsageError for an unfinished or amended experiment, or one whose arms have a single run each.
    """
    records = records_of(folder)
    append(folder.parent / FILE if path is None else path, records)
    return records


def records_of(folder: Path) -> tuple[Record, ...]:
    """Records of an experiment's folder, from its verdict.json; excluded runs do not count."""
    place = folder / VERDICT
    try:
        verdict = orjson.loads(place.read_bytes())
    except FileNotFoundError:
        raise UsageError(f"{folder} has no {VERDICT}", "finish it: curate ab run, curate ab report") from None
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{place} is damaged: {error.msg}", "write it again: curate ab report") from None
    if verdict.get("amended"):
        raise UsageError(
            f"{folder.name} was amended after its lock ({verdict['amended'][0]})",
            "only experiments that kept to their lock lend their noise to others",
        )
    date = datetime.now(UTC).isoformat(timespec="seconds")
    made = []
    try:
        key = _key(verdict["key"])
        for arm in verdict["arms"]:
            runs = [one for one in verdict["runs"] if one["arm"] == arm and not one.get("excluded")]
            values = np.array([one["weighted"] for one in runs], np.float64)
            if len(values) < 2:
                continue
            identity = fingerprint(sorted(str(one.get("run") or [one["number"], one.get("seeds")]) for one in runs))
            made.append(
                Record(
                    verdict["name"], arm, key, float(values.var(ddof=1)), len(values) - 1, float(values.mean()),
                    identity, verdict["lock"], date,
                )
            )  # fmt: skip
    except (KeyError, TypeError) as error:
        raise UsageError(
            f"{place}: {error} is missing or has another form", "write it again: curate ab report"
        ) from None
    except ValueError as error:
        raise UsageError(f"{place}: key: {error}", "write it again: curate ab report") from None
    if not made:
        raise UsageError(f"{folder.name}: no arm has two runs", "one run shows no variance between runs")
    if bad := [one.arm for one in made if not (math.isfinite(one.variance) and one.variance > 0)]:
        raise UsageError(f"{folder.name}: the runs of {bad[0]} have equal scores", "were their seeds different?")
    return tuple(made)


def matching(path: Path, key: NoiseKey) -> list[Noise]:
    """What `registry_prior.fit_prior` takes for this key: one entry an experiment, its arms pooled.

    Arms are pooled because the cap on the prior's degrees of freedom counts experiments; runs that stand in several
    experiments (a shared baseline) count in the first.
    """
    return pooled([one for one in read(path) if one.key == key])


def registry(path: Path) -> Registry:
    """The whole file for `compare`."""
    records = read(path)
    keys = dict.fromkeys(one.key for one in records)
    return Registry(tuple(noise for key in keys for noise in pooled([one for one in records if one.key == key])))


def pooled(records: Sequence[Record]) -> list[Noise]:
    """One Noise an experiment, in order; all records must have one key."""
    seen: set[str] = set()
    sums: dict[tuple[str, str], tuple[float, int]] = {}
    for one in records:
        if one.runs in seen:
            continue
        seen.add(one.runs)
        total, df = sums.get((one.experiment, one.lock), (0.0, 0))
        sums[one.experiment, one.lock] = (total + one.variance * one.df, df + one.df)
    return [Noise(records[0].key, total / df, df) for total, df in sums.values()]


def show(path: Path) -> list[Shown]:
    """One entry a key, in order of the file."""
    records = read(path)
    found = []
    for key in dict.fromkeys(one.key for one in records):
        some = [one for one in records if one.key == key]
        noise = pooled(some)
        df = sum(one.df for one in noise)
        variance = sum(one.variance * one.df for one in noise) / df
        prior = fit_prior([one.variance for one in noise], [one.df for one in noise])
        names = tuple(dict.fromkeys(one.experiment for one in some))
        found.append(Shown(key, names, df, math.sqrt(variance), prior))
    return found


def _evidence(one: Record) -> tuple[NoiseKey, float, int, str]:
    return one.key, one.variance, one.df, one.runs


def _wrong(path: Path, line: int, what: str) -> UsageError:
    return UsageError(f"{path}:{line}: {what}", "take the line out, or restore the file; a record is one line of JSON")


def _record(raw: Any) -> Record:
    """Raises ValueError that says what is wrong."""
    if not isinstance(raw, dict):
        raise ValueError("not a JSON object")
    if raw.get("format") != FORMAT:
        raise ValueError(f"format {raw.get('format')!r}, this curate reads {FORMAT}")
    names = [one.name for one in fields(Record)]
    if missing := [name for name in names if name not in raw]:
        raise ValueError(f"no {missing[0]!r}")
    for name in ("experiment", "arm", "runs", "lock", "date"):
        if not isinstance(raw[name], str) or not raw[name]:
            raise ValueError(f"{name} is no text")
    for name in ("variance", "mean"):
        if isinstance(raw[name], bool) or not isinstance(raw[name], int | float):
            raise ValueError(f"{name} is no number")
    if not raw["variance"] > 0:
        raise ValueError(f"variance is {raw['variance']}, not above 0")
    if isinstance(raw["df"], bool) or not isinstance(raw["df"], int) or raw["df"] < 1:
        raise ValueError(f"df is {raw['df']!r}, not a whole number from 1 on")
    values: dict[str, Any] = {name: raw[name] for name in names}
    return Record(**{**values, "key": _key(raw["key"])})


def _key(raw: Any) -> NoiseKey:
    if not isinstance(raw, Mapping) or set(raw) != set(KEY):
        raise ValueError(f"key must name {', '.join(KEY)}")
    for name in KEY:
        if not isinstance(raw[name], int if name == "tokens" else str):
            raise ValueError(f"{name} of the key is {raw[name]!r}")
    return NoiseKey(**raw)
