"""Items in, ScoreTable out: tokenise, score part by part, keep what is finished.

A part is up to 1,000 items of one benchmark, scored by itself, so a killed evaluation goes on where it stopped and
gives the same bytes.  Parts are named by everything that decides their scores; what another model or mode left in the
folder is never taken.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import fingerprint
from proxy_model.evaluate.items import Item, by_benchmark, items_hash
from proxy_model.evaluate.progress import Progress
from proxy_model.evaluate.scoring import RequestError, Scorer
from proxy_model.evaluate.split import Mode, Tokenised, TooLong, tokenise
from proxy_model.evaluate.table import SCHEMA, read_table, score_table, with_header, write_table
from proxy_model.evaluate.tokens import EvaluationTokenizer

FORMAT = "curate-scores-1"
PART_ITEMS = 1_000
SOFTWARE = ("curate-lm", "torch", "tokenizers", "transformers")


def evaluate(
    scorer: Scorer, tokenizer: EvaluationTokenizer, items: Sequence[Item], mode: Mode = "lcp", *,
    max_length: int | None = None, too_long: TooLong = "error", bos: int | None = None, parts: Path | None = None,
    progress: Progress | None = None, header: Mapping[str, Any] | None = None,
) -> pa.Table:  # fmt: skip
    """The ScoreTable of all items, benchmarks in alphabetical order, items in theirs.

    `parts`: folder for finished parts.  `max_length`: at most the scorer's own, which is the default.
    Raises UsageError for items that do not fit (unless `too_long` says otherwise), for none at all and for a tokenizer
    that is not the model's.
    """
    if not items:
        raise UsageError("no items to evaluate")
    limits = [limit for limit in (max_length, scorer.max_length) if limit is not None]
    longest = min(limits, default=None)
    ordered = [item for some in by_benchmark(items).values() for item in some]
    tokenised = tokenise(ordered, tokenizer, mode, max_length=longest, too_long=too_long, bos=bos)
    settings = {
        "model": scorer.digest, "scorer": dict(scorer.settings), "tokenizer": tokenizer.digest, "mode": mode,
        "bos": bos, "end_of_document": tokenizer.end_of_document, "max_length": longest, "too_long": too_long,
        "versions": {name: found for name in SOFTWARE if (found := _version(name))},
    }  # fmt: skip
    if progress is not None:
        progress.start(sum(map(len, tokenised.pairs)), _tokens(tokenised))
    tables = []
    for part in _parts(tokenised):
        path = None
        if parts is not None:
            path = parts / f"{fingerprint([FORMAT, settings, items_hash(part.items)])}.parquet"
        if path is not None and path.exists():
            table = read_table(path)
            if progress is not None:
                progress.reused(sum(map(len, part.pairs)), _tokens(part))
        else:
            table = _scored(scorer, part, progress)
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_table(table, path)
        tables.append(table)
    return with_header(
        pa.concat_tables(tables) if tables else SCHEMA.empty_table(),
        {
            "format": FORMAT, **settings, "items": items_hash(tokenised.items),
            "counts": {name: asdict(count) for name, count in tokenised.counts.items()}, **(header or {}),
        },
    )  # fmt: skip


def remove_parts(parts: Path) -> None:
    """Once the whole table is written."""
    shutil.rmtree(parts, ignore_errors=True)


def _parts(tokenised: Tokenised) -> Iterator[Tokenised]:
    start = 0
    for some in by_benchmark(tokenised.items).values():
        for first in range(start, start + len(some), PART_ITEMS):
            part = slice(first, min(first + PART_ITEMS, start + len(some)))
            yield Tokenised(tokenised.items[part], tokenised.pairs[part], tokenised.truncated[part], {})
        start += len(some)


def _scored(scorer: Scorer, part: Tokenised, progress: Progress | None) -> pa.Table:
    requests = [pair for pairs in part.pairs for pair in pairs]
    try:
        scored = scorer.log_likelihoods(requests, progress.advance if progress is not None else None)
    except RequestError as error:
        raise UsageError(str(error), "evaluate with the tokenizer that the model was trained with") from error
    return score_table(part, scored)


def _tokens(tokenised: Tokenised) -> int:
    return sum(len(context) + len(continuation) - 1 for pairs in tokenised.pairs for context, continuation in pairs)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
