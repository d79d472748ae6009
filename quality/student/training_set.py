"""Labelled texts as arrays, checked for what training needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from curation.pipeline.errors import UsageError
from quality.judge.windows import WINDOW_CHARS, excerpt
from quality.student.arithmetic import Array

FEWEST = 50  # labels: five folds of ten, twice nested, still have examples
WHOLE_CHARS = 2 * WINDOW_CHARS  # longer texts are cut to what a judge sees of them
WINDOW_BREAK = "\n\n"


@dataclass(frozen=True)
class TrainingSet:
    """n labelled texts, ordered by id."""

    ids: tuple[str, ...]
    groups: tuple[str, ...]  # documents of one group (exact copies, versions of one article) share a fold
    texts: pa.LargeStringArray
    scores: dict[str, Array]  # float64[n] in [0, levels − 1]; a mean of judges may lie between two levels
    levels: int
    names: tuple[str, ...]  # categories in the rubric's order; empty: no category head
    category: Array  # int64[n], index into `names`
    weight: Array  # float64[n], mean 1
    sources: tuple[str, ...]
    licences: tuple[str, ...]  # of the texts, as the document files state them; "" where they do not

    @property
    def origins(self) -> tuple[str, ...]:
        """What a source names before its first slash: `owner/a` and `owner/b` are too alike to test each other."""
        return tuple(source.partition("/")[0] for source in self.sources)

    def take(self, index: Array) -> TrainingSet:
        """The rows `index`, in rising order."""
        index = np.sort(index)
        rows = index.tolist()
        return TrainingSet(
            tuple(self.ids[i] for i in rows),
            tuple(self.groups[i] for i in rows),
            self.texts.take(pa.array(rows)),
            {name: values[index] for name, values in self.scores.items()},
            self.levels,
            self.names,
            self.category[index] if self.names else self.category,
            self.weight[index],
            tuple(self.sources[i] for i in rows),
            tuple(self.licences[i] for i in rows),
        )


def make_training_set(
    ids: Sequence[str],
    texts: Sequence[str],
    scores: dict[str, Array],
    *,
    levels: int = 6,
    names: Sequence[str] = (),
    category: Sequence[str] = (),
    weight: Array | None = None,
    sources: Sequence[str] | None = None,
    licences: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
) -> TrainingSet:
    """Ordered by id, long texts cut to windows; without `groups` exact copies form one.

    UsageError: too few labels, fewer labels than categories, or a dimension on which all labels agree.

    A category with one example is trained on (in the fold that holds it out nothing is known of it); one without
    any keeps a column whose probability is near zero; the card lists both.
    """
    n = len(ids)
    if n < FEWEST:
        raise UsageError(f"{n} labelled documents are too few to train on", f"label at least {FEWEST}")
    if n < len(names):
        raise UsageError(f"{n} labelled documents for {len(names)} categories", "label more than there are categories")
    for name, values in scores.items():
        if np.ptp(values) == 0:
            raise UsageError(f"all {n} labels have {name} = {values[0]:g}: nothing to learn", "label a wider sample")
    order = np.array(sorted(range(n), key=lambda i: ids[i]))
    weight = np.ones(n) if weight is None else np.asarray(weight, dtype=np.float64)
    mean = float(np.cumsum(weight[order])[-1]) / n  # cumsum adds from left to right: the same bits everywhere
    first: dict[str, str] = {}
    for i in order:
        first.setdefault(texts[i], ids[i])
    index = {name: i for i, name in enumerate(names)}
    return TrainingSet(
        tuple(ids[i] for i in order),
        tuple(first[texts[i]] if groups is None else groups[i] for i in order),
        pa.array([cut(texts[i]) for i in order], pa.large_string()),
        {name: np.asarray(values, dtype=np.float64)[order] for name, values in scores.items()},
        levels,
        tuple(names),
        np.array([index[category[i]] for i in order], dtype=np.int64) if names else np.zeros(0, dtype=np.int64),
        weight[order] / mean,
        tuple("" if sources is None else sources[i] for i in order),
        tuple("" if licences is None else licences[i] for i in order),
    )


def cut(text: str) -> str:
    """A text of more than 4,400 characters as the windows that a judge sees of it."""
    if len(text) <= WHOLE_CHARS:
        return text
    return WINDOW_BREAK.join(excerpt(text, mask=False).windows)


def read_training_set(labels: Sequence[Path], documents: Sequence[Path], rubric: str = "v1") -> TrainingSet:
    """Label files and document files as one training set; UsageError as `read_labels`, `combine`, `join_texts`.

    Several judgements of a document are combined (mean, or median of three that disagree); two files that give
    different labels by one judge are refused.
    """
    from quality.labels.combine import combine
    from quality.labels.join import join_texts
    from quality.labels.table import read_labels
    from quality.rubric.rubric import DIMENSIONS, LEVELS, load_rubric

    by = load_rubric(rubric)
    table = join_texts(combine([read_labels(path, by) for path in labels]), list(documents)).table
    ids, texts, category, sources, licences = (
        table[name].to_pylist() for name in ("doc_id", "text", "category", "source", "license")
    )
    return make_training_set(
        ids, texts, {name: np.asarray(table[name], dtype=np.float64) for name in DIMENSIONS}, levels=LEVELS,
        names=by.category_names, category=category, weight=np.asarray(table["weight"]),
        sources=[source or _prefix(name) for source, name in zip(sources, ids, strict=True)],
        licences=[licence or "" for licence in licences],
    )  # fmt: skip


def _prefix(name: str) -> str:
    """The source that an id itself tells: `source/file#record` or `source-hash`."""
    return name.partition("/")[0] if "/" in name else name.rpartition("-")[0]
