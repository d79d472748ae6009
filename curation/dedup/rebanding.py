"""Documents of hot buckets get other keys: 32 bands of 16 rows under a second seed.

In a hot bucket the documents share a template: some of the 32 × 8 minima fall into it whatever the rest
says.  Bands twice as long under independent permutations keep together what is really alike:
P(candidate) is .009 at J = .6, .60 at .8, .91 at .85 and 1.00 at .9.  Buckets of the first seed that are
not hot count as before.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from curation.dedup.band_buckets import BUCKETS_SCHEMA, shared_keys, write_rows
from curation.dedup.inputs import first_old, read_shingles, row_counts, salts, scratch_folder
from curation.dedup.pairs import PairPartitions, partitions_for, prefix
from curation.dedup.presets import Banding
from curation.dedup.ranked import RankedSet
from curation.dedup.sketch import SECOND, band_keys
from curation.pipeline.barrier import ROW_BITS
from curation.pipeline.context import TaskContext
from curation.pipeline.shards import row_groups
from curation.pipeline.step import Step
from curation.pipeline.task import Input
from curation.text.shingles import Shingles

LONGER = Banding(32, 16, "own: docs/dedup.md")


def reband(context: TaskContext) -> None:
    """Write the `buckets` of the hot documents under the second seed."""
    writer = context.writer("buckets", BUCKETS_SCHEMA)
    hot = RankedSet(row_counts(context))
    for task in context.config["buckets"]:
        for group in row_groups(context.path(Input(task), "hot")):
            hot.add(np.asarray(group["position"]))
    hot.seal()
    if not hot.size:
        return
    context.counts["hot_documents"] = hot.size
    with scratch_folder(context) as folder:
        count = partitions_for(hot.size * LONGER.bands)
        partitions = PairPartitions(folder / "keys", count)
        salt = salts(context)
        for start, lists in read_shingles(context):
            rows = np.arange(start, start + len(lists), dtype=np.int64)
            wanted = rows[hot.holds(rows)]
            if len(wanted):
                part = lists.take(pa.array(wanted - start))
                ends = np.asarray(part.offsets)[1:] - part.offsets[0].as_py()
                keys = band_keys(Shingles(np.asarray(part.flatten()), ends), LONGER, SECOND)
                for column in np.ascontiguousarray(keys.T ^ salt[start >> ROW_BITS]):
                    partitions.add(prefix(column, count), column, wanted)
        for keys, positions in shared_keys(partitions, first_old(context)):
            write_rows(writer, BUCKETS_SCHEMA, keys, positions)


REBANDED = Step("minhash_rebanded", 1, reband, reads_text=False)
