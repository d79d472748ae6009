"""Which benchmark items stand in what each arm really read, and whether the arms differ in it.

An item counts as seen when a document shares 13 words in a row with its question and right answer, or 50 bytes, in
letters without case, punctuation and spacing (reference, experiments §5.3; matching: docs/decontamination.md).  Equal
contamination of both arms cancels in the difference between them; unequal contamination can be the whole difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import stats

from curation.decontaminate.index import long_enough
from curation.decontaminate.items import one_line, without_frame
from curation.pipeline.errors import UsageError
from curation.text.common_runs import common_runs
from curation.text.needle_index import build_index
from proxy_model.evaluate.items import Item
from proxy_model.experiment.consumption import documents, id_bytes_of
from proxy_model.experiment.scores import RunScores

WORDS, BYTES = 13, 50
DIFFERING = 0.005  # share of items seen in one arm only, above which the verdict is also computed without them
SHOWN = 50  # items named in the record


@dataclass(frozen=True)
class Contamination:
    """items: how many were looked for; short: of all items, too short to be found (in no rate).

    rate: share of items seen, by arm; only: items seen by that arm and not by every other; differing: share of items
    that some arms have seen and others have not; p: McNemar's exact test of the first two arms; benchmarks: items and
    share seen by benchmark and arm; examples: some items that differ; unclean: (benchmark, item) seen by any arm.
    """

    items: int
    short: int
    rate: dict[str, float]
    only: dict[str, int]
    differing: float
    p: float
    benchmarks: dict[str, dict[str, float]]
    examples: tuple[tuple[str, str], ...]
    unclean: tuple[tuple[str, str], ...]

    @property
    def ok(self) -> bool:
        """The arms differ in no more than DIFFERING of the items."""
        return self.differing <= DIFFERING

    def to_json(self) -> dict[str, object]:
        """For verdict.json; of unclean items only their number."""
        return {
            "items": self.items, "short": self.short, "rate": self.rate, "only": self.only, "ok": self.ok,
            "differing": self.differing, "p": self.p, "benchmarks": self.benchmarks,
            "examples": [list(one) for one in self.examples], "unclean": len(self.unclean),
        }  # fmt: skip


def needle(item: Item) -> str:
    """Question and right answer on one line, without the prompt's frame."""
    context, continuation = item.pair(item.gold)
    return one_line(f"{without_frame(one_line(context))} {continuation}")


def differential(items: Sequence[Item], folders: Mapping[str, Sequence[Path]], tokenizer: Path) -> Contamination:
    """folders: of the training runs of each arm.  Raises UsageError where no item is long enough to be found."""
    spelled = id_bytes_of(tokenizer)
    return compared(items, {arm: documents(list(some), spelled) for arm, some in folders.items()})


def compared(items: Sequence[Item], texts: Mapping[str, Iterable[pa.LargeStringArray]]) -> Contamination:
    """texts: what each arm read, in batches."""
    needles = [needle(item) for item in items]
    long = [i for i, fits in enumerate(long_enough(needles)) if fits]
    if not long:
        raise UsageError(
            f"none of {len(items)} items is long enough to be found in documents",
            "differential contamination needs items of five words or more",
        )
    sought = [items[i] for i in long]
    index = build_index(pa.array([needles[i] for i in long], pa.large_string()))
    seen = {}
    for arm, batches in texts.items():
        hit = np.zeros(len(sought), bool)
        for batch in batches:
            hit[np.unique(common_runs(batch, index, WORDS, BYTES).needle)] = True
        seen[arm] = hit
    return _told(sought, seen, len(items) - len(long))


def _told(items: Sequence[Item], seen: Mapping[str, NDArray[np.bool_]], short: int) -> Contamination:
    table = np.stack(list(seen.values()))
    somewhere, everywhere = table.any(0), table.all(0)
    differ = somewhere & ~everywhere
    names = np.array([item.benchmark for item in items], object)
    first, second = table[0] & ~table[-1], table[-1] & ~table[0]
    discordant = int(first.sum() + second.sum())
    p = float(stats.binomtest(int(second.sum()), discordant).pvalue) if discordant else 1.0
    return Contamination(
        len(items),
        short,
        {arm: float(hit.mean()) for arm, hit in seen.items()},
        {arm: int((hit & ~everywhere).sum()) for arm, hit in seen.items()},
        float(differ.mean()),
        p,
        {
            name: {"items": int((names == name).sum())}
            | {arm: float(hit[names == name].mean()) for arm, hit in seen.items()}
            for name in sorted(set(names.tolist()))
        },
        tuple((items[i].benchmark, items[i].id) for i in np.flatnonzero(differ)[:SHOWN].tolist()),
        tuple((items[i].benchmark, items[i].id) for i in np.flatnonzero(somewhere).tolist()),
    )


def clean_runs(runs: Sequence[RunScores], found: Contamination) -> list[RunScores]:
    """The same runs without the items that any arm has seen, for the verdict on clean items."""
    out = set(found.unclean)
    made = []
    for run in runs:
        pairs = zip(run.table["benchmark"].to_pylist(), run.table["item"].to_pylist(), strict=True)
        made.append(replace(run, table=run.table.filter(pa.array([pair not in out for pair in pairs], pa.bool_()))))
    return made
