"""Which engine may serve a tokenizer: each is checked against Hugging Face once, and the answer is remembered.

A check takes seconds, so its result is kept in the user's cache directory, keyed by everything that it
depends on; a damaged or foreign entry is checked anew.  Without a directory that can be written, every
process checks for itself.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from curation.pipeline.hashing import fingerprint
from curation.pipeline.shards import write_atomic
from tokenizer.encoding.canary import (
    CANARY_VERSION,
    fails_in_child,
    first_difference,
    fuzz_texts,
    own_tokens,
    run_digests,
)
from tokenizer.encoding.engines import HUGGING_FACE, WORDS, Engine, EngineUnavailable, build
from tokenizer.encoding.risk import CONTEXTS, PROBED, RiskyRows, probe_source, risk_points
from tokenizer.encoding.routing import Routed
from tokenizer.encoding.source import OpenTokenizer
from tokenizer.notes import Note, silent
from tokenizer.splitting.patterns import UNICODE_TABLE_VERSION


@dataclass(frozen=True)
class Verdict:
    """What a check found.  `reason`: why refused, or how it was accepted; `mb_per_s`: on the canary's texts."""

    engine: str
    version: str | None
    accepted: bool
    reason: str
    mb_per_s: float | None = None
    risk_points: int = 0
    remembered: bool = False


def judge(
    engine: Engine, reference: Engine, tokenizer: OpenTokenizer, path: Path, note: Note = silent
) -> tuple[Verdict, RiskyRows]:
    """Compare an engine with Hugging Face; the second value finds the rows that it must not be given.

    note: told where the answer is not remembered and takes seconds.
    Raises EngineUnavailable where the engine fails on ordinary texts.
    """
    try:
        return _judge(engine, reference, tokenizer, path, note)
    except (EngineUnavailable, KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # a panic of a Rust library is no Exception
        raise EngineUnavailable(f"failed on the canary: {type(error).__name__}: {error}") from None


def _judge(
    engine: Engine, reference: Engine, tokenizer: OpenTokenizer, path: Path, note: Note
) -> tuple[Verdict, RiskyRows]:
    points = known_risk_points(engine, reference, tokenizer, note)
    risky = RiskyRows(points)
    key = {
        "what": f"canary {CANARY_VERSION}",
        "engines": [engine.name, engine.version, HUGGING_FACE, reference.version],
        "tokenizer": [tokenizer.hash, fingerprint(sorted(tokenizer.special_ids))],
        "points": fingerprint(points.tolist()),
    }
    answer = recall(key)
    remembered = answer is not None
    if answer is None:
        note(f"comparing {engine.name} with Hugging Face on this tokenizer: some seconds, once")
        answer = _check(Routed(engine, risky, reference.encode), tokenizer, path)
        remember(key, answer)
    accepted, speed = answer["problem"] is None, answer["mb_per_s"]
    reason = "identical to Hugging Face on the canary" if accepted else str(answer["problem"])
    return Verdict(engine.name, engine.version, accepted, reason, speed, len(points), remembered), risky


def _check(routed: Routed, tokenizer: OpenTokenizer, path: Path) -> dict[str, Any]:
    texts = [*fuzz_texts(list(tokenizer.special_ids)[:20]), *own_tokens(tokenizer.source)]
    problem = first_difference(routed.encode, routed.reference, texts)
    problem = problem or fails_in_child(routed.engine.name, path, run_digests(routed.reference))
    speed = None
    if problem is None:
        column = pa.array(["".join(texts)] * 2, pa.large_string())
        start = time.process_time()
        routed.engine.encode(column)
        speed = round(column.nbytes / 1e6 / max(time.process_time() - start, 1e-6), 1)
    return {"problem": problem, "mb_per_s": speed}


def known_risk_points(
    engine: Engine, reference: Engine, tokenizer: OpenTokenizer, note: Note = silent
) -> NDArray[np.int64]:
    """`risk.risk_points` for the tokenizer's pre-tokeniser and these versions, remembered.

    Our own scanner has none beside the release of `tokenizers` from which its table was taken: the tests probe that.
    """
    if engine.name == WORDS and UNICODE_TABLE_VERSION.endswith(f"tokenizers-{reference.version}"):
        return np.zeros(0, np.int64)
    split = {part: tokenizer.raw.get(part) for part in ("normalizer", "pre_tokenizer")}
    key = {
        "what": "risk points",
        "engines": [engine.name, engine.version, HUGGING_FACE, reference.version],
        "split": fingerprint(split),
        "probe": fingerprint([CONTEXTS, [[part.start, part.stop] for part in PROBED]]),
    }
    answer = recall(key)
    if answer is None:
        note(f"probing which characters {engine.name} knows otherwise than Hugging Face: up to a minute, once")
        vocabulary = tokenizer.source.vocabulary
        probe = probe_source(tokenizer.raw, vocabulary.pattern if vocabulary else None)
        found = risk_points(build(engine.name, probe).encode, build(HUGGING_FACE, probe).encode)
        answer = {"points": found.tolist()}
        remember(key, answer)
    return np.array(answer["points"], np.int64)


def cache_directory() -> Path | None:
    """Where verdicts are remembered; None without a home directory."""
    if stated := os.environ.get("XDG_CACHE_HOME"):
        return Path(stated) / "curate" / "encoders"
    try:
        return Path.home() / ".cache" / "curate" / "encoders"
    except RuntimeError:
        return None


def recall(key: dict[str, Any]) -> dict[str, Any] | None:
    """The remembered answer; None where there is none that fits."""
    directory = cache_directory()
    try:
        entry = orjson.loads((directory / f"{fingerprint(key)}.json").read_bytes()) if directory else None
        return dict(entry["answer"]) if entry and entry["key"] == key else None
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None


def remember(key: dict[str, Any], answer: dict[str, Any]) -> None:
    """Keep an answer for later processes, where there is a place for it."""
    if directory := cache_directory():
        try:
            directory.mkdir(parents=True, exist_ok=True)
            write_atomic(directory / f"{fingerprint(key)}.json", orjson.dumps({"key": key, "answer": answer}))
        except OSError:  # read-only or full: the next process checks again
            return
