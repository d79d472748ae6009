"""`curate quality label`: choose documents, tell the cost, ask the judge, write the label table."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from curation.pipeline.errors import UsageError
from curation.pipeline.progress import open_progress
from curation.pipeline.shards import write_atomic
from quality.judge.ask import Asker, Outcome
from quality.judge.budget import Budget, Caps
from quality.judge.cache import ReplyCache
from quality.judge.documents import Chosen, Everything, Second, Selection, choose, read_chosen
from quality.judge.endpoint import Endpoint
from quality.judge.run import Answers, Estimate, ask_all, estimate, group
from quality.labels.table import label_table, write_labels
from quality.rubric.rubric import Rubric, load_rubric

PARALLEL_MOST = 512
RATE_EVERY_S = 30.0  # in plain output


@dataclass(frozen=True)
class LabelReport:
    """What a run did; amounts of money in the currency of the prices."""

    out: str
    labels: int
    failed: dict[str, int]  # reason: documents; their ids are in `failures`
    failures: str | None
    empty: int
    not_reached: int
    cap: str | None  # the cap that ended the run
    requests: int  # sent in this run
    tokens: int
    money: str
    cached: int
    unsettled: int  # requests of killed runs that count although no answer came
    damaged: int  # unreadable lines of the cache
    seconds: float
    estimate: Estimate


def label(
    documents: Sequence[Path], out: Path, endpoint: Endpoint, *, rubric: str | Path = "v1",
    selection: Selection = Everything(), caps: Caps = Caps(), parallel: int = 8, mask: bool = True,  # noqa: B008
    cache: Path | None = None, dry_run: bool = False, quiet: bool = False, note: Callable[[str], None] = lambda _: None,
) -> LabelReport:  # fmt: skip
    """Judge the chosen documents and write `out` (Parquet) and, where some failed, `out`.failed.jsonl.

    cache: folder of paid replies, default `out`.replies; run the same command again and it goes on where it stopped.
    dry_run: nothing is sent or written, only the estimate is made.  note: gets the estimate before any request.
    Raises UsageError for a wrong request, CurateError where the judge keeps failing.
    """
    if not 1 <= parallel <= PARALLEL_MOST:
        raise UsageError(f"{parallel} requests at a time", f"give 1 to {PARALLEL_MOST}")
    if not dry_run and not caps.any and not endpoint.is_local:
        raise UsageError(f"nothing limits what {endpoint.host} may cost", "give a cap on requests, tokens or money")
    if not out.parent.is_dir():
        raise UsageError(f"{out.parent}: there is no such folder")
    endpoint.headers()  # a missing key is told before any reading
    started = time.monotonic()
    loaded = load_rubric(rubric)
    wanted = choose(documents, selection)
    earlier: list[dict[str, Any]] = []
    if isinstance(selection, Second) and wanted is not None:
        earlier = _reweighted(selection.labels, wanted, endpoint)
        wanted = {doc_id: (stage, weight) for doc_id, (stage, weight) in wanted.items() if stage == 2}
    chosen, empty = read_chosen(documents, wanted, mask=mask)
    groups = group(endpoint, loaded, chosen)
    folder = cache or out.with_name(out.name + ".replies")
    with ReplyCache(folder) if folder.exists() or not dry_run else nullcontext(ReplyCache.none()) as replies:
        told = estimate(endpoint, loaded, chosen, groups, replies, caps)
        note(str(told))
        if replies.unsettled:
            note(f"{replies.unsettled} requests of a killed run got no answer; they count as paid, at their bound")
        budget = Budget(caps, replies.spent)
        answers = Answers([None] * len(chosen), None)
        if not dry_run:
            answers = _asked(endpoint, loaded, chosen, groups, replies, budget, parallel, quiet)
            rows = [_row(endpoint, loaded, *pair) for pair in zip(chosen, answers.outcomes, strict=True)]
            write_labels(label_table([*earlier, *(row for row in rows if row)], loaded, str(out)), out)
        failed = [(one.doc_id, o) for one, o in zip(chosen, answers.outcomes, strict=True) if o and o.reason]
        failures = out.with_name(out.name + ".failed.jsonl")
        if not dry_run:
            _write_failures(failures, failed)
        paid = budget.spent - replies.spent
        return LabelReport(
            out=str(out),
            labels=sum(1 for one in answers.outcomes if one and one.judgement),
            failed=dict(Counter(str(one.reason).partition(":")[0] for _, one in failed)),
            failures=str(failures) if failed else None,
            empty=len(empty),
            not_reached=sum(one is None for one in answers.outcomes),
            cap=answers.cap,
            requests=paid.requests,
            tokens=paid.tokens,
            money=str(paid.money),
            cached=told.cached,
            unsettled=replies.unsettled,
            damaged=replies.damaged,
            seconds=time.monotonic() - started,
            estimate=told,
        )


def _asked(
    endpoint: Endpoint, rubric: Rubric, chosen: Sequence[Chosen], groups: dict[str, list[int]], replies: ReplyCache,
    budget: Budget, parallel: int, quiet: bool,
) -> Answers:  # fmt: skip
    try:
        from quality.judge.client import Client
    except ModuleNotFoundError as error:
        raise UsageError(f"the judge needs {error.name}", "pip install 'curate-lm[judge]'") from None
    told_at = time.monotonic()
    priced = budget.caps.price_in is not None
    on_terminal = sys.stderr.isatty()
    with Client(endpoint, parallel=parallel) as client, open_progress(len(chosen), 0, quiet=quiet) as bar:

        def on_done(count: int, rate: float) -> None:
            nonlocal told_at
            cost = f", {budget.spent.money:.4f} of money" if priced else ""
            text = f"{rate:.1f} requests/s, {budget.spent.tokens:,} tokens{cost} in all"
            for _ in range(count):
                bar.task_done(text)
            bar.bytes_done(0)  # lets plain output print its line (done, time left) when one is due
            if not (quiet or on_terminal) and time.monotonic() - told_at >= RATE_EVERY_S:
                told_at = time.monotonic()
                bar.note(text)

        return ask_all(Asker(endpoint, rubric, replies, budget, client), chosen, groups, parallel, on_done)


def _reweighted(labels: pa.Table, sample: dict[str, tuple[int, float]], endpoint: Endpoint) -> list[dict[str, Any]]:
    """The labels of stage 1 with their weights for both stages; they are not asked for again."""
    others = set(labels["judge"].to_pylist()) - {endpoint.name}
    if others:
        raise UsageError(f"stage 1 was judged by {min(others)!r}, this is {endpoint.name!r}", "use one judge for both")
    return [row | {"weight": sample[row["doc_id"]][1]} for row in labels.to_pylist()]


def _row(endpoint: Endpoint, rubric: Rubric, one: Chosen, outcome: Outcome | None) -> dict[str, Any] | None:
    """None where there is no judgement."""
    if outcome is None or outcome.judgement is None:
        return None
    judged = outcome.judgement
    return {
        "doc_id": one.doc_id,
        "rubric": rubric.version,
        "judge": endpoint.name,
        **judged.scores,
        **judged.secondary,
        **{f"{name}_expected": value for name, value in outcome.expected.items()},
        "category": judged.category,
        "category2": judged.category2,
        "confidence": judged.confidence,
        "weight": one.weight,
        "stage": one.stage,
        "chars": one.excerpt.chars,
        "text_hash": one.hash,
        "evidence": judged.evidence,
        "raw": outcome.raw,
    }


def _write_failures(path: Path, failed: Sequence[tuple[str, Outcome]]) -> None:
    lines = [orjson.dumps({"doc_id": d, "reason": o.reason, "attempts": o.attempts}) for d, o in failed]
    if lines:
        write_atomic(path, b"\n".join(lines) + b"\n")
    else:
        path.unlink(missing_ok=True)


def money(text: str | None) -> Decimal | None:
    """A price or a cap as it is typed; UsageError for what is no amount."""
    if text is None:
        return None
    try:
        value = Decimal(text)
    except ArithmeticError:
        raise UsageError(f"{text!r:.40} is no amount", "give one such as 2.50") from None
    if not value.is_finite() or value < 0:
        raise UsageError(f"{text!r:.40} is no amount", "give one such as 2.50")
    return value
