"""Tags of whole documents from the labels of their pieces: the columns that do not depend on other documents.

Scores and their intervals are length-weighted means over the pieces (so an interval supposes that the errors of
one document's pieces go together: it does not shrink with length); category is the mean of the probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.pipeline.errors import CurateError
from curation.pipeline.hashing import Purpose, derive_seed, hash64
from quality.rubric.rubric import DIMENSIONS
from quality.tagging.chunks import CHARACTERS, MOST, chunk
from quality.tagging.labeler import Labeler, Labels

LABELLED_AT_ONCE = 4 << 20  # bytes of text; bounds the memory of a labeler
SECOND_CATEGORY = 0.2  # least probability of a second category that is told

SCORE_FIELDS = tuple(
    pa.field(f"{name}{ending}", pa.float32())
    for name in DIMENSIONS
    for ending in ("", "_lo", "_hi", "_max", "_min", "_sd")
)
TAG_SCHEMA = pa.schema(
    [
        *SCORE_FIELDS,
        pa.field("category", pa.string()),
        pa.field("category2", pa.string()),  # where its probability is at least SECOND_CATEGORY
        pa.field("category_p", pa.float32()),  # probability of `category`
        pa.field("low_confidence", pa.bool_()),
        pa.field("quality_model", pa.string()),  # the labeler's hash
    ]
)
DRAW_SCHEMA = pa.schema(
    [
        pa.field("prio_sample", pa.uint64()),  # two independent orders of all documents
        pa.field("prio_ablate", pa.uint64()),
        pa.field("split", pa.string()),  # train | holdout
        pa.field("byte_count", pa.int64()),  # UTF-8
    ]
)
TRAIN, HOLDOUT = "train", "holdout"


@dataclass(frozen=True)
class Chunking:
    """How long documents are cut (`quality.tagging.chunks`)."""

    characters: int = CHARACTERS
    most: int = MOST


def tag(labeler: Labeler, texts: pa.LargeStringArray, chunking: Chunking = Chunking()) -> pa.RecordBatch:
    """One row of TAG_SCHEMA a text; all null where the text is null.

    A text without anything but space has low confidence, whatever the labeler says.
    """
    if not len(texts):
        return pa.RecordBatch.from_pylist([], TAG_SCHEMA)
    pieces = chunk(texts, chunking.characters, chunking.most)
    labels = _labelled(labeler, pieces.texts)
    share = pieces.weight.copy()
    whole = np.add.reduceat(share, pieces.first)
    share[whole[pieces.document] == 0] = 1.0  # an empty document is its one empty piece
    share /= np.add.reduceat(share, pieces.first)[pieces.document]

    def mean(values: NDArray[np.floating]) -> NDArray[np.float64]:
        weights = share if values.ndim == 1 else share[:, None]
        return np.asarray(np.add.reduceat(values * weights, pieces.first, axis=0), np.float64)

    columns: dict[str, NDArray[np.generic]] = {}
    for d, name in enumerate(DIMENSIONS):
        value = labels.value[:, d].astype(np.float64)
        middle = mean(value)
        columns[name] = middle
        columns[f"{name}_lo"], columns[f"{name}_hi"] = mean(labels.lo[:, d]), mean(labels.hi[:, d])
        columns[f"{name}_max"] = np.maximum.reduceat(labels.value[:, d], pieces.first)
        columns[f"{name}_min"] = np.minimum.reduceat(labels.value[:, d], pieces.first)
        columns[f"{name}_sd"] = np.sqrt(mean((value - middle[pieces.document]) ** 2))
    written = pc.match_substring_regex(texts.fill_null(""), r"\S").to_numpy(zero_copy_only=False)
    unsure = (mean(labels.low_confidence.astype(np.float64)) >= 0.5) | ~written
    arrays = {name: pa.array(column.astype(np.float32)) for name, column in columns.items()}
    arrays |= _categories(labeler, mean(labels.category_p))
    arrays["low_confidence"] = pa.array(unsure)
    arrays["quality_model"] = pa.repeat(pa.scalar(labeler.hash), len(texts))
    if texts.null_count:
        there = texts.is_valid()
        arrays = {name: pc.if_else(there, one, pa.scalar(None, one.type)) for name, one in arrays.items()}
    return pa.RecordBatch.from_arrays([arrays[name] for name in TAG_SCHEMA.names], schema=TAG_SCHEMA)


def _labelled(labeler: Labeler, texts: pa.LargeStringArray) -> Labels:
    """Labels of all pieces, LABELLED_AT_ONCE bytes at a time."""
    before = np.concatenate([[0], np.cumsum(pc.binary_length(texts).to_numpy(zero_copy_only=False))])
    parts = []
    start = 0
    while start < len(texts):
        end = int(np.searchsorted(before, before[start] + LABELLED_AT_ONCE, side="right")) - 1
        end = min(max(end, start + 1), len(texts))
        parts.append(_checked(labeler, labeler.label(texts.slice(start, end - start)), end - start))
        start = end
    return Labels(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("value", "lo", "hi", "category_p", "low_confidence")
        )
    )


def _checked(labeler: Labeler, labels: Labels, texts: int) -> Labels:
    """CurateError where a labeler breaks its promise: one bad number would spoil every rank."""
    shapes = {name: (texts, len(DIMENSIONS)) for name in ("value", "lo", "hi")}
    for name, shape in {**shapes, "category_p": (texts, len(labeler.categories))}.items():
        found = getattr(labels, name)
        if found.shape != shape or not np.isfinite(found).all():
            raise CurateError(f"the labeler {labeler.name!r} gave no finite numbers of shape {shape} for {name}")
    return labels


def _categories(labeler: Labeler, p: NDArray[np.float64]) -> dict[str, pa.Array]:
    """Columns of the most probable category and, where it is probable too, the second; ties by the rubric's order."""
    names = pa.array(labeler.categories, pa.string())
    rows = np.arange(len(p))
    best = p.argmax(axis=1)
    columns = {"category": names.take(pa.array(best)), "category_p": pa.array(p[rows, best].astype(np.float32))}
    if p.shape[1] < 2:
        return {**columns, "category2": pa.nulls(len(p), pa.string())}
    rest = p.copy()
    rest[rows, best] = -1.0
    second = rest.argmax(axis=1)
    likely = pa.array(rest[rows, second] >= SECOND_CATEGORY)
    return {**columns, "category2": pc.if_else(likely, names.take(pa.array(second)), pa.scalar(None, pa.string()))}


def draws(ids: pa.Array, texts: pa.LargeStringArray, *, seed: int, holdout: float) -> pa.RecordBatch:
    """One row of DRAW_SCHEMA a document: pure functions of its id and the seed (CONTRACTS, Identity)."""
    sample, ablate, split = (derive_seed(seed, one) for one in (Purpose.SAMPLE, Purpose.ABLATE, Purpose.SPLIT))
    keys = [one.encode() for one in ids.to_pylist()]
    held = [hash64(key, split) / 2.0**64 < holdout for key in keys]
    return pa.RecordBatch.from_arrays(
        [
            pa.array([hash64(key, sample) for key in keys], pa.uint64()),
            pa.array([hash64(key, ablate) for key in keys], pa.uint64()),
            pa.array([HOLDOUT if one else TRAIN for one in held], pa.string()),
            pc.binary_length(texts).cast(pa.int64()),
        ],
        schema=DRAW_SCHEMA,
    )
