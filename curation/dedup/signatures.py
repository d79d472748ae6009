"""The row-wise half of near-duplicate removal: band keys and shingles of every document.

Three files a shard, row-aligned with its documents: the layer says how many distinct shingles a
document has, `bands` what makes it a candidate, `shingles` what the verdict is computed from; so the
barrier never reads a text, and another threshold needs no pass over the texts.  Each band is a column
of its own: keys of different bands never meet, so a task that looks for shared keys reads its bands only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.dedup.presets import Banding
from curation.dedup.sketch import SKETCH_VERSION, band_keys
from curation.pipeline.context import LAYER, TaskContext
from curation.pipeline.schema import TEXT
from curation.pipeline.step import Step
from curation.text.shingles import SHINGLE_VERSION, distinct, shingle_hashes

BANDS, SHINGLES = "bands", "shingles"  # private outputs beside the layer
COUNT = "shingle_count"

LAYER_SCHEMA = pa.schema([pa.field(COUNT, pa.int64())])  # null: the document takes no part
SHINGLES_SCHEMA = pa.schema([pa.field(SHINGLES, pa.large_list(pa.uint32()))])  # sorted; null as above


def band_names(bands: Iterable[int]) -> list[str]:
    """Columns of these bands."""
    return [f"band_{band:03}" for band in bands]


def bands_schema(bands: int) -> pa.Schema:
    """One key a band; null as in the layer."""
    return pa.schema([pa.field(name, pa.uint64()) for name in band_names(range(bands))])


def write_signatures(context: TaskContext) -> None:
    """Sketch every document of the shard.  Texts without a word get no signature: nothing is like them."""
    banding = Banding(context.config["bands"], context.config["rows"], "")
    layer = context.writer(LAYER, LAYER_SCHEMA, align=True)
    bands = context.writer(BANDS, bands_schema(banding.bands), align=True)
    lists = context.writer(SHINGLES, SHINGLES_SCHEMA, align=True)
    for batch in context.batches([TEXT]):
        shingles = distinct(shingle_hashes(batch[TEXT]))
        keys = band_keys(shingles, banding)
        starts = np.concatenate([[0], shingles.ends])
        counts = np.diff(starts)
        absent = counts == 0
        layer.write(pa.record_batch([pa.array(counts, mask=absent)], schema=LAYER_SCHEMA))
        columns = [pa.array(column, mask=absent) for column in np.ascontiguousarray(keys.T)]
        bands.write(pa.record_batch(columns, schema=bands.schema))
        values = pa.LargeListArray.from_arrays(_offsets(starts, absent), pa.array(shingles.values))
        lists.write(pa.record_batch([values], schema=SHINGLES_SCHEMA))
        context.counts["signatures"] += int((~absent).sum())
        context.counts["without_words"] += int(absent.sum())


def _offsets(starts: NDArray[Any], absent: NDArray[np.bool_]) -> pa.Array:
    """Arrow's offsets, null where the list is null."""
    return pa.array(starts, mask=np.append(absent, False))


def _versions(config: Any) -> Mapping[str, str]:
    return {"shingles": str(SHINGLE_VERSION), "sketch": str(SKETCH_VERSION)}


SIGNATURES = Step("signatures", 2, write_signatures, _versions)
